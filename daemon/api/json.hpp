// json.hpp — the JSON type of the API: keys stay in the order in which a view writes them.
// Heavy: include it in .cpp files and in headers of this folder that views need.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/instant.hpp"

namespace sluice::api {

using Json = nlohmann::ordered_json;

inline Json time_or_null(const std::optional<Instant>& at) {
    return at ? Json(format_z(*at)) : Json(nullptr);
}
inline Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}
inline std::int64_t to_millis(Instant at) { return to_micros(at) / 1'000; }
/// What a caller sent. Throws Failure(422) when it is not JSON or is nested deeper than 64 levels
/// (copying and printing a value recurse).
Json parse_sent(const std::string& text);
/// Stored JSON text as a value; text that is not JSON (it was cut) stays a string.
Json stored_json(const std::string& text);
/// Compact; bytes that are not UTF-8 are replaced, never thrown at the caller.
std::string dump(const Json& json);

}  // namespace sluice::api
