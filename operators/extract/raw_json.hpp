// raw_json.hpp — parts of a JSON text as they are written: no number is read and written again, so
// none loses a digit. The text must be valid JSON. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::extract {

/// A JSONPath of $, .name, ['name'], [0] and, at its end, [*].
struct JsonPath {
    struct Step {
        std::string name;
        long index{-1};  // of an array, if not negative
    };
    std::vector<Step> steps;
    bool each{false};  // ends with [*]: every element
};
/// None for what is no such path.
std::optional<JsonPath> json_path_of(std::string_view text);

/// The text of the value at the path (its [*] left aside); none if there is none.
std::optional<std::string_view> raw_value(std::string_view json, const JsonPath& path);
/// Calls for each element of an array's text. False if it is no array.
bool raw_elements(
    std::string_view array, const std::function<void(std::string_view element)>& each
);

}  // namespace sluice::extract
