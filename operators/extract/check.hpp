// check.hpp — what `extract` takes: its schema, and what is looked at when a DAG is loaded.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "task/operator.hpp"

namespace sluice::extract {

extern const char* const schema;

task::CheckResult check(const task::CheckInput& input);

/// The data set of the lines that could not be read.
std::string rejects_name(const nlohmann::json& params);

}  // namespace sluice::extract
