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
    std::string samples;  // JSON: a few of the rows, what is classified hidden; "" = none
};

struct RowTerms {
    bool contract{true};           // declared columns are there, castable, not null
    std::vector<std::string> key;  // shown with samples
};

struct RowResult {
    std::int64_t rows_in{0};
    std::int64_t rows_bad{0};  // set aside, dropped ones included
    std::int64_t rows_quarantined{0};
    std::int64_t ambiguous_dates{0};
    std::vector<Finding> findings;  // of every rule that found something
    std::string good;               // SQL of the rows that pass, in declared types
    std::string quarantine;         // SQL of the rows set aside, with `_reasons`
    std::string pass;               // the one statement that looked at all rows
};

/// `input` has the columns as they came. Tables `_checked` and `_aside` are left in the database:
/// the two statements read them. Throws Failure(schema) if a declared column is missing.
RowResult check_rows(
    binding::Inputs& inputs,
    const binding::Relation& input,
    const Rules& rules,
    const RowTerms& terms
);

/// The name that column `index` of the input, as it came, has in `_checked`.
std::string raw_column(std::size_t index);

/// The relation in its declared types, null for what cannot be cast.
std::string typed_sql(const binding::Relation& relation);

}  // namespace sluice::validate
