// params.hpp — the params of a DAG: what a trigger may set, each with a JSON Schema. Pure.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "model/dag.hpp"

namespace sluice {

/// What is wrong with the schema of one param: unknown keywords, a default that breaks it, or no
/// default where one is needed (a scheduled DAG). Pointers are relative to the schema.
std::vector<Problem> param_problems(const nlohmann::json& schema, bool scheduled);

/// The values of a run: defaults of the DAG, over them those of the task, over them the run's conf.
/// Canonical JSON object. `conf` keys that are no params are left out.
std::string param_values(const Dag& dag, const Task* task, const std::string& conf);

/// Every way in which the values of a run with this conf break the params' schemas; pointers are
/// into the conf. Empty = the run may be made.
std::vector<Problem> conf_problems(const Dag& dag, const std::string& conf);
/// The same in Airflow's words for whoever asked for the run, a line each; "" = nothing is wrong.
std::string conf_complaint(const Dag& dag, const std::string& conf);

}  // namespace sluice
