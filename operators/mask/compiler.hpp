// compiler.hpp — a plan as one select statement of the engine: registers the functions that it
// needs, with their keys. One task's; not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "operators/binding/inputs.hpp"
#include "operators/engine/database.hpp"
#include "operators/mask/plan.hpp"
#include "operators/privacy/methods.hpp"
#include "task/context.hpp"

namespace sluice::mask {

class Compiler {
public:
    Compiler(task::TaskContext& context, engine::Database& database, const policy::Policy& policy)
        : context_(context), database_(database), policy_(policy) {}

    std::string select(const Plan& plan, const binding::Relation& input);
    /// To be asked when the statement has run. Throws Failure(data_quality) for values that could
    /// not be masked safely; warns of those that were hidden whole.
    void settle(const Plan& plan) const;

private:
    std::string masked(const Output& output, const ColumnSpec& source);
    std::string value_sql(const Output& output, const ColumnSpec& source);
    std::string dated(const Output& output, const ColumnSpec& source);
    std::string noisy(const Output& output, const ColumnSpec& source);
    /// The token of the value: a column of a table that is made here and joined.
    std::string token(const Output& output, const ColumnSpec& source);
    /// Registers the rule's function and gives its name.
    std::string function(const Output& output);
    /// One text for several columns of the row.
    std::string row_text(const std::vector<std::string>& columns) const;

    task::TaskContext& context_;
    engine::Database& database_;
    const policy::Policy& policy_;
    const binding::Relation* input_{nullptr};
    int functions_{0};
    int token_columns_{0};
    std::string joins_;
    std::map<std::string, std::shared_ptr<privacy::Tally>> tallies_;  // by output column
};

}  // namespace sluice::mask
