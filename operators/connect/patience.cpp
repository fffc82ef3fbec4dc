#include "operators/connect/patience.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

namespace sluice::connect {

namespace {

constexpr std::chrono::milliseconds first_wait{500};
constexpr std::chrono::milliseconds longest_backoff{30'000};

}  // namespace

nlohmann::json extra_of(const task::Connection& connection) {
    nlohmann::json extra = nlohmann::json::parse(connection.extra, nullptr, false);
    return extra.is_object() ? extra : nlohmann::json::object();
}

int retries_of(const task::Connection& connection) {
    const nlohmann::json extra = extra_of(connection);
    const auto found = extra.find("retries");
    return found != extra.end() && found->is_number_integer()
               ? std::clamp(found->get<int>(), 0, 100)
               : 5;
}

Duration backoff(int failures, std::mt19937_64& random) {
    const auto most = std::min(longest_backoff, first_wait * (1 << std::min(failures, 10)));
    return std::chrono::milliseconds{
        std::uniform_int_distribution<std::int64_t>(most.count() / 4, most.count())(random)
    };
}

}  // namespace sluice::connect
