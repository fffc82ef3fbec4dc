// json_path.hpp — the plain part of JSONPath: $, .name, ['name'], [0], [-1].
#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace sluice::ops {

/// The value at the path, nullptr if there is none. Throws Error(invalid) for what is no such path.
const nlohmann::json* find_path(const nlohmann::json& value, std::string_view path);

}  // namespace sluice::ops
