#include "operators/sample/plan.hpp"

#include <array>

#include <fmt/format.h>

#include "base/check.hpp"
#include "operators/sample/random.hpp"

namespace sluice::sample {

namespace {

constexpr std::array<City, city_count> cities{{
    {"New York", "NY"},    {"Los Angeles", "CA"},  {"Chicago", "IL"},     {"Houston", "TX"},
    {"Phoenix", "AZ"},     {"Philadelphia", "PA"}, {"San Antonio", "TX"}, {"San Diego", "CA"},
    {"Dallas", "TX"},      {"Jacksonville", "FL"}, {"Austin", "TX"},      {"Columbus", "OH"},
    {"Charlotte", "NC"},   {"Indianapolis", "IN"}, {"Seattle", "WA"},     {"Denver", "CO"},
    {"Boston", "MA"},      {"Nashville", "TN"},    {"Detroit", "MI"},     {"Portland", "OR"},
    {"Memphis", "TN"},     {"Louisville", "KY"},   {"Baltimore", "MD"},   {"Milwaukee", "WI"},
    {"Albuquerque", "NM"}, {"Tucson", "AZ"},       {"Fresno", "CA"},      {"Sacramento", "CA"},
    {"Kansas City", "MO"}, {"Atlanta", "GA"},      {"Omaha", "NE"},       {"Raleigh", "NC"},
    {"Miami", "FL"},       {"Cleveland", "OH"},    {"Tulsa", "OK"},       {"Oakland", "CA"},
    {"Minneapolis", "MN"}, {"Wichita", "KS"},      {"New Orleans", "LA"}, {"Honolulu", "HI"},
}};

struct Civil {
    int year;
    unsigned month;
    unsigned day;
    std::int64_t second;  // of the day
};

Civil civil(std::int64_t seconds) {
    const std::chrono::sys_seconds at{std::chrono::seconds{seconds}};
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date{day};
    return {
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        (at - day).count()
    };
}

}  // namespace

std::vector<Problem> check(const Options& options) {
    std::vector<Problem> problems;
    const auto require = [&](bool right, const char* pointer, const char* message) {
        if (right) return;
        Problem problem;
        problem.code = "E-SAMPLE";
        problem.pointer = pointer;
        problem.message = message;
        problems.push_back(std::move(problem));
    };
    require(options.days >= 1 && options.days <= 3660, "/days", "days must be 1 to 3660");
    require(
        options.orders_per_day >= 1000 && options.orders_per_day % 1000 == 0 &&
            options.orders_per_day <= 1'000'000,
        "/orders_per_day",
        "orders per day must be a multiple of 1000, at most 1,000,000"
    );
    require(
        options.customers >= 100 && options.customers <= 10'000'000,
        "/customers",
        "customers must be 100 to 10,000,000"
    );
    require(
        options.products >= 10 && options.products <= 1'000'000,
        "/products",
        "products must be 10 to 1,000,000"
    );
    require(
        options.locations >= 1 && options.locations <= 100'000,
        "/locations",
        "locations must be 1 to 100,000"
    );
    require(options.scale >= 1 && options.scale <= 1000, "/scale", "scale must be 1 to 1000");
    const auto start = parse_time(options.start);
    require(
        start.has_value() && start->date_only, "/start", "start must be a date such as 2026-01-01"
    );
    return problems;
}

Plan make_plan(const Options& options) {
    if (const auto problems = check(options); !problems.empty())
        throw Error(ErrorCode::invalid, problems.front().message);
    return Plan{
        .days = options.days,
        .orders_per_day = std::int64_t{options.orders_per_day} * options.scale,
        .customers = std::int64_t{options.customers} * options.scale,
        .products = options.products,
        .locations = options.locations,
        .start_s = to_micros(parse_time(options.start)->at) / 1'000'000,
        .seed = options.seed,
    };
}

std::int64_t list_price_cents(const Plan& plan, std::int64_t product, std::int64_t day) {
    const Stream prices{plan.seed, "price"};
    const std::int64_t first = 500 + prices.below(19'500, product, 0);
    return first + 25 * changes_until(product, day, 25);
}

std::int64_t delete_day(const Plan& plan, std::int64_t customer) {
    // 3 and 250 have no common factor, so one day of every 250 fits.
    for (std::int64_t day = 5; day < plan.days && day < 255; ++day)
        if ((customer + 3 * day) % 250 == 0) return day;
    return -1;
}

std::string iso(std::int64_t seconds) {
    const Civil at = civil(seconds);
    return fmt::format(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year,
        at.month,
        at.day,
        at.second / 3600,
        at.second / 60 % 60,
        at.second % 60
    );
}

std::string iso_date(std::int64_t seconds) {
    const Civil at = civil(seconds);
    return fmt::format("{:04}-{:02}-{:02}", at.year, at.month, at.day);
}

std::string day_first(std::int64_t seconds) {
    const Civil at = civil(seconds);
    return fmt::format(
        "{:02}/{:02}/{:04} {:02}:{:02}",
        at.day,
        at.month,
        at.year,
        at.second / 3600,
        at.second / 60 % 60
    );
}

const City& city(std::int64_t index) {
    SLUICE_CHECK(index >= 0);
    return cities[static_cast<std::size_t>(index % city_count)];
}

}  // namespace sluice::sample
