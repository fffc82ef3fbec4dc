// step_tools.hpp — what all steps need: looking columns up, reading names, expressions as SQL.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/expression/expression.hpp"
#include "operators/transform/steps.hpp"

namespace sluice::transform {

inline constexpr const char* hidden_hash = "_sluice_row_hash";

/// State of a compilation.
struct Work {
    Relation in;  // what the step reads: SQL is a name of an earlier part
    Compiled& out;
    Inputs& inputs;
    const SqlStepRules& rules;
    /// "with s0 as (...), ..." so far: puts a query before which `in.sql` is known.
    std::string prefix;
    binding::Columns declared;  // the contract of the first input
    /// No step so far brought rows together: asked again, each row is what it was before.
    bool row_by_row{true};
};

/// `expression as "name"`.
std::string as(const std::string& expression, const std::string& name);
/// Throws StepError(E-COLUMN) with a suggestion.
const ColumnSpec& column(const binding::Columns& columns, const std::string& name);
/// Parses, and checks that every column is there.
expression::Expression parsed(const nlohmann::json& text, const binding::Columns& columns);
std::string duckdb(const expression::Expression& expression);
/// The columns an expression shows, made into one.
ColumnSpec shown(
    const std::string& name, const expression::Expression& value, const binding::Columns& columns
);
/// "a", "b" of columns.
std::string list(const binding::Columns& columns, const std::string& prefix = "");
/// select ITEMS, hash from IN
std::string select(const std::string& items, const std::string& from, const std::string& tail = "");

// The steps. Each reads work.in and its own parameter and returns the new relation (its SQL is a
// whole select; types are set by the caller).
Relation rename(Work& work, const nlohmann::json& with);
Relation select_columns(Work& work, const nlohmann::json& with);
Relation drop(Work& work, const nlohmann::json& with);
Relation normalize(Work& work, const nlohmann::json& with);
Relation cast(Work& work, const nlohmann::json& with);
Relation fill_null(Work& work, const nlohmann::json& with);
Relation drop_null(Work& work, const nlohmann::json& with);
Relation derive(Work& work, const nlohmann::json& with);
Relation filter(Work& work, const nlohmann::json& with);
Relation dedup(Work& work, const nlohmann::json& with);
Relation join(Work& work, const nlohmann::json& with);
Relation union_all(Work& work, const nlohmann::json& with);
Relation aggregate(Work& work, const nlohmann::json& with);
Relation pivot(Work& work, const nlohmann::json& with);
Relation unpivot(Work& work, const nlohmann::json& with);
Relation sql(Work& work, const nlohmann::json& with);

}  // namespace sluice::transform
