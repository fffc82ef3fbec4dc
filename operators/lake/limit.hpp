// limit.hpp — how many rows may be bad: a number, or a share of all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace sluice::lake {

/// "0.5%" -> 0.005
std::optional<double> share_of(const std::string& text);

/// A share or a number of rows: "5%", 100.
struct Limit {
    double share{0.05};
    std::int64_t rows{-1};  // -1: `share` counts
    [[nodiscard]] std::int64_t allowed(std::int64_t total) const;
    [[nodiscard]] bool exceeded(std::int64_t bad, std::int64_t total) const;
};
std::optional<Limit> limit_of(const nlohmann::json& value);

}  // namespace sluice::lake
