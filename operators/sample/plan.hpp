// plan.hpp — the numbers of one sample, worked out from its options, and what all tables share.
#pragma once

#include <cstdint>
#include <string>

#include "base/instant.hpp"
#include "operators/sample/sample.hpp"

namespace sluice::sample {

/// A first canary row of each table is 500; every thousandth row carries a marker in every column
/// that holds personal data, for the leak scan to look for.
constexpr bool is_canary(std::int64_t id) { return id % 1000 == 500; }

/// The options with the scale applied.
struct Plan {
    std::int64_t days;
    std::int64_t orders_per_day;  // N
    std::int64_t customers;       // C
    std::int64_t products;        // P
    std::int64_t locations;       // L
    std::int64_t start_s;         // day 0, seconds since 1970
    std::uint64_t seed;
};
Plan make_plan(const Options& options);

/// Start of day d, seconds since 1970.
constexpr std::int64_t day_start(const Plan& plan, std::int64_t day) {
    return plan.start_s + day * 86'400;
}
/// The number of days e in [0, day] with (id + e) % period == 0.
constexpr std::int64_t changes_until(std::int64_t id, std::int64_t day, std::int64_t period) {
    return day < 0 ? 0 : (id + day) / period - (id - 1) / period;
}
/// List price of a product at the end of a day, in cents.
std::int64_t list_price_cents(const Plan& plan, std::int64_t product, std::int64_t day);
/// The day on which a customer is deleted, or -1.
std::int64_t delete_day(const Plan& plan, std::int64_t customer);
/// Unknown customers have ids above C: this is the one of the order k % 500 = 121 of a day.
constexpr std::int64_t unknown_customer(const Plan& plan, std::int64_t day, std::int64_t k) {
    return plan.customers + 1 + day * (plan.orders_per_day / 500) + k / 500;
}

/// "2026-01-05T07:08:09Z", "2026-01-05", "05/01/2026 07:08".
std::string iso(std::int64_t seconds);
std::string iso_date(std::int64_t seconds);
std::string day_first(std::int64_t seconds);

struct City {
    const char* name;
    const char* state;
};
constexpr std::int64_t city_count = 40;
const City& city(std::int64_t index);

}  // namespace sluice::sample
