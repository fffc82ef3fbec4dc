#include "operators/lake/limit.hpp"

#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

namespace sluice::lake {

std::optional<double> share_of(const std::string& text) {
    double percent = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), percent);
    if (failed != std::errc{} || std::string_view(end) != "%" || percent < 0) return std::nullopt;
    return percent / 100;
}

std::int64_t Limit::allowed(std::int64_t total) const {
    if (rows >= 0) return rows;
    return static_cast<std::int64_t>(std::floor(share * static_cast<double>(total)));
}

bool Limit::exceeded(std::int64_t bad, std::int64_t total) const { return bad > allowed(total); }

std::optional<Limit> limit_of(const nlohmann::json& value) {
    if (value.is_number_integer()) return Limit{0, value.get<std::int64_t>()};
    if (!value.is_string()) return std::nullopt;
    const auto share = share_of(value.get<std::string>());
    if (!share || *share > 1) return std::nullopt;
    return Limit{*share, -1};
}

}  // namespace sluice::lake
