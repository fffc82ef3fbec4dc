// row_check.hpp — rows against contract and rules: what passes is typed as declared, the rest is
// set aside as it came, with its reasons.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operators/binding/inputs.hpp"
#include "operators/validate/rules.hpp"

namespace sluice::validate {

struct Finding {
    std::string reason;
    OnFail on_fail{OnFail::fail};
    std::int64_t rows{0};
};

struct RowResult {
    std::int64_t rows_in{0};
    std::int64_t rows_bad{0};  // set aside, dropped ones included
    std::int64_t rows_quarantined{0};
    std::int64_t ambiguous_dates{0};
    std::vector<Finding> findings;  // of every rule that found something
    std::string good;               // SQL of the rows that pass, in declared types
    std::string quarantine;         // SQL of the rows set aside, with `_reasons`
};

/// `input` has the columns as they came. Tables `_checked` and `_aside` are left in the database:
/// the two statements read them. Throws Failure(schema) if a declared column is missing.
RowResult check_rows(
    binding::Inputs& inputs, const binding::Relation& input, const Rules& rules, bool contract
);

/// The relation in its declared types, null for what cannot be cast.
std::string typed_sql(const binding::Relation& relation);

}  // namespace sluice::validate
