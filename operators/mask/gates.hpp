// gates.hpp — what a masked result must pass before it is written: no column that stays readable
// looks like personal data, and no class of rows is so small that it tells a person.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/binding/inputs.hpp"
#include "operators/mask/plan.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/anonymity.hpp"
#include "task/context.hpp"

namespace sluice::mask {

/// Throws Failure(data_quality) naming columns and classes, never values.
void look_for_personal_data(
    task::TaskContext& context,
    engine::Database& database,
    const nlohmann::json& params,
    const Plan& plan,
    const binding::Relation& input,
    std::int64_t rows
);

/// The gate as written; none without one.
struct KAnonymity {
    privacy::Anonymity asked;
    bool suppress{false};
    double most{0.05};  // share of rows that may be suppressed
    bool force{false};
};
std::optional<KAnonymity> anonymity_of(
    const nlohmann::json& params, std::vector<Problem>& problems
);
/// Columns that are not in the result.
void check_anonymity(const KAnonymity& gate, const Plan& plan, std::vector<Problem>& problems);

/// The query to write: `query`, or with its small classes suppressed. Throws Failure(data_quality).
std::string anonymous(
    task::TaskContext& context,
    engine::Database& database,
    const KAnonymity& gate,
    const Plan& plan,
    const std::string& query
);

}  // namespace sluice::mask
