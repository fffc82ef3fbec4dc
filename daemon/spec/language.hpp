// language.hpp — the one table of the DAG language: a JSON Schema of every key, its type, default
// and meaning. The reader, the schema for editors and the reference page are made from it.
// `x-not-yet`: true = the key is read and then refused with E-NOT-YET, unless it has its default;
// a list = these values are. `x-title` and `x-note` are for the reference page.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace sluice::spec {

/// The whole: top-level keys, and `definitions` with task, group, default_args, dataset, column,
/// schedule and the basic types.
const nlohmann::json& language();
/// `definitions/NAME` of it.
const nlohmann::json& definition(const std::string& name);
const nlohmann::json& policy_language();
/// As text, its keys in the order in which a reader wants them.
std::string language_text();
std::string policy_language_text();

}  // namespace sluice::spec
