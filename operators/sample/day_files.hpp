// day_files.hpp — one day's orders, their items and payments, as the three files of that day.
#pragma once

#include <string>

#include "operators/sample/plan.hpp"

namespace sluice::sample {

struct DayFiles {
    std::string orders;    // JSON lines
    std::string items;     // CSV
    std::string payments;  // JSON lines, to be compressed
    std::int64_t order_rows{};
    std::int64_t item_rows{};  // readable ones, header and two malformed lines apart
    std::int64_t payment_rows{};
};

/// The day whose files carry order k of a day: the day itself, or a later one for a late order.
std::int64_t delivery_day(const Plan& plan, std::int64_t day, std::int64_t k);

DayFiles write_day(const Plan& plan, std::int64_t day);

}  // namespace sluice::sample
