// plan.hpp — what becomes of each column under a policy; made at load and again in a run. Pure.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "operators/binding/columns.hpp"
#include "operators/policy/policy.hpp"

namespace sluice::mask {

/// One column of the result.
struct Output {
    std::string source;  // the column it is made of
    ColumnSpec column;   // as it will be: no class unless it stays readable
    bool masked{false};
    policy::Rule rule;
    std::string domain;  // of keys, if the rule names none
};

struct Plan {
    std::vector<Output> outputs;
    std::vector<Problem> problems;  // pointers relative to the task's `with`
};

struct Subject {
    std::string from;  // the data set
    std::string to;
    binding::Columns columns;  // with classes and origins
};

/// `rules` are the task's own, over the policy's. A class that would stay readable must be allowed
/// where the result lies.
Plan make_plan(const policy::Policy& policy, const nlohmann::json& rules, const Subject& subject);

}  // namespace sluice::mask
