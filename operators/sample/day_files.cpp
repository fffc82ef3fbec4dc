#include "operators/sample/day_files.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "operators/sample/random.hpp"

namespace sluice::sample {

namespace {

constexpr std::int64_t gift_note_day = 7;  // the schema drifts from this day on

struct Order {
    std::int64_t day;
    std::int64_t k;
    std::int64_t id;
    std::int64_t ordered_at;
    bool cancelled;
};

Order order(const Plan& plan, std::int64_t day, std::int64_t k) {
    std::int64_t at = day_start(plan, day) + 86'400 * k / plan.orders_per_day;
    if (k % 100 == 61) at -= at % 60;  // its format has no seconds
    return {day, k, day * plan.orders_per_day + k + 1, at, k % 20 == 18};
}

const char* status(std::int64_t k) {
    const std::int64_t place = k % 20;
    if (place < 16) return "completed";
    if (place < 18) return "shipped";
    return place == 18 ? "cancelled" : "returned";
}

std::int64_t customer(const Plan& plan, const Order& order) {
    if (order.k % 500 == 121) return unknown_customer(plan, order.day, order.k);
    std::int64_t id = 1 + Stream{plan.seed, "orders"}.below(plan.customers, order.id, 0);
    // Who was deleted orders nothing more.
    for (std::int64_t gone = delete_day(plan, id); gone >= 0 && gone <= order.day;
         gone = delete_day(plan, id))
        id = id % plan.customers + 1;
    return id;
}

std::int64_t discount_bp(const Plan& plan, std::int64_t order_id) {
    constexpr std::array<std::int64_t, 8> steps{0, 0, 0, 0, 250, 500, 1000, 1500};
    return steps[static_cast<std::size_t>(Stream{plan.seed, "orders"}.below(8, order_id, 1))];
}

/// Sixteen digits with a right check digit; the canaries' begin with 9999, which no issuer has.
std::string card_number(const Plan& plan, std::int64_t order_id) {
    const Stream values{plan.seed, "orders"};
    std::string digits =
        is_canary(order_id)
            ? fmt::format("9999{:011}", order_id)
            : fmt::format("4{:014}", values.below(100'000'000'000'000, order_id, 2));
    int sum = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        int digit = digits[i] - '0';
        if (i % 2 == 0) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    digits += static_cast<char>('0' + (10 - sum % 10) % 10);
    return fmt::format(
        "{}-{}-{}-{}",
        digits.substr(0, 4),
        digits.substr(4, 4),
        digits.substr(8, 4),
        digits.substr(12, 4)
    );
}

std::string ip(const Plan& plan, std::int64_t order_id) {
    if (is_canary(order_id))
        return fmt::format("2001:db8:cafe::{:x}:{:x}", order_id >> 16, order_id & 0xFFFF);
    const Stream values{plan.seed, "orders"};
    return fmt::format(
        "10.{}.{}.{}",
        values.below(256, order_id, 3),
        values.below(256, order_id, 4),
        1 + values.below(254, order_id, 5)
    );
}

std::string ordered_at_json(const Order& order) {
    if (order.k % 500 == 47) return "\"2026-02-30\"";
    if (order.k % 500 == 147) return "\"not-a-date\"";
    if (order.k % 100 == 61) return "\"" + day_first(order.ordered_at) + "\"";
    if (order.k % 100 == 62) return std::to_string(order.ordered_at * 1000);
    return "\"" + iso(order.ordered_at) + "\"";
}

enum class Copy { original, near_duplicate };

void order_line(const Plan& plan, const Order& order, Copy copy, DayFiles& out) {
    constexpr std::array channels{"web", "app", "store"};
    const Stream values{plan.seed, "orders"};
    const bool near = copy == Copy::near_duplicate;
    const bool null_customer = order.k % 200 == 13;
    fmt::format_to(
        std::back_inserter(out.orders),
        R"({{"order_id":{},"customer_id":{},"ordered_at":{},"status":"{}","channel":"{}",)"
        R"("location_id":{},"currency":"USD","discount_bp":{},"card_number":"{}","ip":"{}",)"
        R"("updated_at":"{}")",
        order.id,
        null_customer ? std::string("null") : std::to_string(customer(plan, order)),
        ordered_at_json(order),
        near ? "  Completed " : status(order.k),
        channels[static_cast<std::size_t>(values.below(3, order.id, 6))],
        1 + values.below(plan.locations, order.id, 7),
        discount_bp(plan, order.id),
        card_number(plan, order.id),
        ip(plan, order.id),
        iso(order.ordered_at + (near ? 3600 : 0))
    );
    if (order.day >= gift_note_day) {
        const std::string from = is_canary(order.id)
                                     ? fmt::format("zq{}canary@example.com", order.id)
                                     : fmt::format("friend{}@example.net", order.id);
        // The canaries' orders are k % 1000 = 499.
        out.orders += order.k % 5 == 4 ? ",\"gift_note\":\"Enjoy! From " + from + "\""
                                       : ",\"gift_note\":null";
    }
    out.orders += "}\n";
    ++out.order_rows;
}

std::string unit_price(std::int64_t cents, std::int64_t k) {
    if (k % 100 == 71) return fmt::format("${}.{:02}", cents / 100, cents % 100);
    if (k % 100 == 72) return fmt::format("\"{},{:02}\"", cents / 100, cents % 100);
    return std::to_string(cents);
}

/// Writes the items of one order; returns what was asked for them, in cents.
std::int64_t item_lines(const Plan& plan, const Order& order, DayFiles& out) {
    const Stream values{plan.seed, "items"};
    std::int64_t total = 0;
    const std::int64_t lines = 1 + order.k % 4;
    for (std::int64_t line = 1; line <= lines; ++line) {
        const std::int64_t product = 1 + values.below(plan.products, order.id * 4 + line, 0);
        const std::int64_t cents = list_price_cents(plan, product, order.day);
        const std::int64_t quantity = 1 + (order.k + line) % 3;
        const bool wrong = order.k % 250 == 99 && line == 1;
        total += quantity * cents;
        fmt::format_to(
            std::back_inserter(out.items),
            "{},{},{},{},{}\n",
            order.id,
            line,
            product,
            wrong ? (order.k % 500 == 99 ? -quantity : 0) : quantity,
            unit_price(cents, order.k)
        );
        ++out.item_rows;
    }
    if (order.k % 500 == 251) {
        fmt::format_to(std::back_inserter(out.items), "{},1,1,1,1999\n", 9'000'000'000 + order.id);
        ++out.item_rows;
    }
    return total;
}

void payment_line(const Plan& plan, const Order& order, std::int64_t total, DayFiles& out) {
    constexpr std::array methods{"card", "paypal", "transfer", "gift_card"};
    const Stream values{plan.seed, "payments"};
    const std::int64_t amount = (total * (10'000 - discount_bp(plan, order.id)) + 5'000) / 10'000;
    fmt::format_to(
        std::back_inserter(out.payments),
        "{{\"payment_id\":{},\"order_id\":{},\"method\":\"{}\",\"amount_cents\":{},\"paid_at\":\"{}"
        "\"}}\n",
        order.id,
        order.id,
        methods[static_cast<std::size_t>(values.below(4, order.id, 0))],
        amount,
        iso(order.ordered_at + 60 + values.below(3'540, order.id, 1))
    );
    ++out.payment_rows;
}

void deliver(const Plan& plan, const Order& order, DayFiles& out) {
    order_line(plan, order, Copy::original, out);
    const std::int64_t total = item_lines(plan, order, out);
    if (!order.cancelled) payment_line(plan, order, total, out);
}

}  // namespace

std::int64_t delivery_day(const Plan& plan, std::int64_t day, std::int64_t k) {
    if (k % 200 != 77) return day;
    return std::min(day + (k % 1000 == 877 ? 3 : 1), plan.days - 1);
}

DayFiles write_day(const Plan& plan, std::int64_t day) {
    DayFiles out;
    out.items = "order_id,line_no,product_id,qty,unit_price_cents\n";
    const std::int64_t half = plan.orders_per_day / 2;
    for (std::int64_t k = 0; k < plan.orders_per_day; ++k) {
        if (k == half) out.items += fmt::format("{},9,1,1,500,one field too many\n", k);
        if (delivery_day(plan, day, k) == day) deliver(plan, order(plan, day, k), out);
    }
    for (std::int64_t back = 3; back >= 1; --back)
        for (std::int64_t k = 77; day - back >= 0 && k < plan.orders_per_day; k += 200)
            if (delivery_day(plan, day - back, k) == day)
                deliver(plan, order(plan, day - back, k), out);
    for (std::int64_t k = 7; k < plan.orders_per_day; k += 100)
        order_line(plan, order(plan, day, k), Copy::original, out);
    for (std::int64_t k = 33; k < plan.orders_per_day; k += 250)
        order_line(plan, order(plan, day, k), Copy::near_duplicate, out);
    out.items += "1,9,1,1,\"a quote that is never closed\n";
    return out;
}

}  // namespace sluice::sample
