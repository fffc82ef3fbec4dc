// steps.hpp — the declarative steps of a transform, compiled into one select statement. Works on a
// database where the inputs are empty tables (at load) or files of the lake (in a run) alike.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "operators/binding/inputs.hpp"
#include "operators/binding/select_flow.hpp"
#include "operators/engine/database.hpp"

namespace sluice::transform {

using binding::Inputs;
using binding::Relation;

/// A question about the rows that must be asked before they are written.
struct RowCheck {
    std::string sql;      // gives one number, which must be 0
    std::string message;  // if it is not; "{}" stands for the number
};

struct Compiled {
    Relation result;
    std::vector<RowCheck> checks;
    std::vector<std::string> deduplicated;  // SQL of the rows removed by each dedup
};

/// Something wrong with a step: becomes a problem at load, an Error in a run.
class StepError : public Error {
public:
    StepError(std::string problem_code, const std::string& what, std::string hint = {})
        : Error(ErrorCode::invalid, what),
          problem_code_(std::move(problem_code)),
          hint_(std::move(hint)) {}
    [[nodiscard]] const std::string& problem_code() const { return problem_code_; }
    [[nodiscard]] const std::string& hint() const { return hint_; }

private:
    std::string problem_code_;
    std::string hint_;
};

/// A statement in SQL: what its outputs show. `attested` is the task's reason, if it gives one.
struct SqlStepRules {
    bool attested{false};
    /// Classes that may stay readable where the result goes.
    std::vector<std::string> allowed;
};

/// Compiles the steps one after another; `step` is kept at the number of the step in work, so that
/// a caller knows where a StepError comes from. Throws StepError.
Compiled compile_steps(
    const nlohmann::json& steps,
    Relation input,
    Inputs& inputs,
    const SqlStepRules& rules,
    std::size_t& step
);

/// Classes and origins of a statement's outputs, from the columns of what it reads: an output has
/// the classes of the columns in its expression and of those that have its name, unless it is
/// masked; one of a new name beside classified inputs needs `attest`.
binding::Columns statement_columns(
    const std::string& sql,
    const std::vector<engine::ColumnInfo>& outputs,
    const std::vector<binding::NamedColumns>& inputs,
    engine::Database& database,
    const SqlStepRules& rules
);

/// "Order ID" -> "order_id" (operators.md 4).
std::string snake_case(std::string_view name);

}  // namespace sluice::transform
