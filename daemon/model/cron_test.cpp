#include "model/cron.hpp"

#include <array>
#include <vector>

#include <catch2/catch.hpp>

#include "model/cron_ticks.hpp"

using namespace std::chrono_literals;

namespace sluice {
namespace {

Instant at(std::string_view text) {
    const auto parsed = parse_time(text);
    REQUIRE(parsed);
    return parsed->at;
}

/// The ticks after `from`, as text in UTC.
std::vector<std::string> ticks(
    std::string_view cron, std::string_view zone, std::string_view from, std::size_t count
) {
    const auto parsed = Cron::parse(cron);
    const auto found = Zone::find(zone);
    REQUIRE(found);
    std::vector<std::string> result;
    Instant now = at(from);
    while (result.size() < count) {
        const auto tick = next_tick(parsed, *found, now);
        REQUIRE(tick);
        now = *tick;
        result.push_back(format_z(now));
    }
    return result;
}

using Texts = std::vector<std::string>;

TEST_CASE("fields take numbers, names, lists, ranges and steps", "[cron]") {
    REQUIRE(
        ticks("*/20 9-10 * * *", "UTC", "2026-01-01T09:25", 4) ==
        Texts{
            "2026-01-01T09:40:00Z",
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:20:00Z",
            "2026-01-01T10:40:00Z"
        }
    );
    REQUIRE(
        ticks("0 0 * feb-MAR mon,FRI", "UTC", "2026-01-01", 2) ==
        Texts{"2026-02-02T00:00:00Z", "2026-02-06T00:00:00Z"}
    );
    REQUIRE(ticks("0 0 * * 7", "UTC", "2026-01-01", 1) == Texts{"2026-01-04T00:00:00Z"});
    REQUIRE(
        ticks("0 0 * * FRI-SUN", "UTC", "2026-01-01", 4) ==
        Texts{
            "2026-01-02T00:00:00Z",
            "2026-01-03T00:00:00Z",
            "2026-01-04T00:00:00Z",
            "2026-01-09T00:00:00Z"
        }
    );
    REQUIRE(
        ticks("5/30 * * * *", "UTC", "2026-01-01", 2) ==
        Texts{"2026-01-01T00:05:00Z", "2026-01-01T00:35:00Z"}
    );
}

TEST_CASE("a sixth field is seconds", "[cron]") {
    REQUIRE(
        ticks("* * * * * */30", "UTC", "2026-01-01", 2) ==
        Texts{"2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"}
    );
}

TEST_CASE("day of month and day of week, both restricted, are either", "[cron]") {
    REQUIRE(
        ticks("0 0 13 * FRI", "UTC", "2026-01-08", 4) ==
        Texts{
            "2026-01-09T00:00:00Z",
            "2026-01-13T00:00:00Z",
            "2026-01-16T00:00:00Z",
            "2026-01-23T00:00:00Z"
        }
    );
}

TEST_CASE("MON#1 is the first Monday of the month", "[cron]") {
    REQUIRE(
        ticks("0 9 * * MON#1", "UTC", "2026-01-01", 2) ==
        Texts{"2026-01-05T09:00:00Z", "2026-02-02T09:00:00Z"}
    );
    REQUIRE(ticks("0 0 * * 0#5", "UTC", "2026-01-01", 1) == Texts{"2026-03-29T00:00:00Z"});
}

TEST_CASE("presets are crons", "[cron]") {
    REQUIRE(ticks("@quarterly", "UTC", "2026-01-01", 1) == Texts{"2026-04-01T00:00:00Z"});
    REQUIRE(ticks("@weekly", "UTC", "2026-01-01", 1) == Texts{"2026-01-04T00:00:00Z"});
    REQUIRE_FALSE(preset_cron("@once"));
}

TEST_CASE("a rare date is found, an impossible one refused", "[cron]") {
    REQUIRE(ticks("0 0 29 2 *", "UTC", "2026-01-01", 1) == Texts{"2028-02-29T00:00:00Z"});
    REQUIRE(cron_problem("0 0 30 2 *") == "\"0 0 30 2 *\" matches no date");
}

TEST_CASE("what is not certain is refused with a reason", "[cron]") {
    for (const char* text :
         {"",
          "* * * *",
          "* * * * * * *",
          "60 * * * *",
          "* 24 * * *",
          "* * 0 * *",
          "* * 32 * *",
          "* * * 13 *",
          "* * * 0 *",
          "* * * * 8",
          "*/0 * * * *",
          "*/60 * * * *",
          "5-1 * * * *",
          "1-2-3 * * * *",
          "1,,2 * * * *",
          ", * * * *",
          "a * * * *",
          "-1 * * * *",
          "* * L * *",
          "* * 15W * *",
          "* * ? * *",
          "* * * * 5L",
          "* * * * MON#6",
          "* * * * MON#",
          "* * * * 1-5#2",
          "H * * * *",
          "1.5 * * * *",
          "@dayly",
          "*/5/2 * * * *",
          "* * * * foo"}) {
        CAPTURE(text);
        REQUIRE(cron_problem(text));
    }
    REQUIRE(
        cron_problem("0 0 L * *") ==
        "\"L\" in the day-of-month field: L, W, H and ? are not supported"
    );
    REQUIRE(cron_problem("0 25 * * *") == "\"25\" in the hour field: 25 is not in 0-23");
}

TEST_CASE("a daily cron keeps its wall-clock time through the year", "[cron][dst]") {
    REQUIRE(ticks("0 0 * * *", "US/Eastern", "2026-07-01", 1) == Texts{"2026-07-01T04:00:00Z"});
    REQUIRE(ticks("0 0 * * *", "US/Eastern", "2026-01-01", 1) == Texts{"2026-01-01T05:00:00Z"});
}

TEST_CASE("Amsterdam 2026: missing times shift forward, repeated ones fire late", "[cron][dst]") {
    const auto zone = "Europe/Amsterdam";
    REQUIRE(
        ticks("30 2 * * *", zone, "2026-03-28T12:00", 2) ==
        Texts{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}
    );
    REQUIRE(
        ticks("30 2 * * *", zone, "2026-10-24T12:00", 2) ==
        Texts{"2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}
    );
    REQUIRE(
        ticks("30 * * * *", zone, "2026-10-25T00:00", 3) ==
        Texts{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}
    );
    REQUIRE(
        ticks("30 * * * *", zone, "2026-03-29T00:00", 2) ==
        Texts{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}
    );
    REQUIRE(
        ticks("0 */2 * * *", zone, "2026-10-24T22:00", 3) ==
        Texts{"2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z", "2026-10-25T05:00:00Z"}
    );
    REQUIRE(
        ticks("0 7-8 * * *", zone, "2026-10-25T12:00", 3) ==
        Texts{"2026-10-26T06:00:00Z", "2026-10-26T07:00:00Z", "2026-10-27T06:00:00Z"}
    );
}

TEST_CASE("a missing time and the one it shifts onto are one tick", "[cron][dst]") {
    REQUIRE(
        ticks("30 2-3 * * *", "Europe/Amsterdam", "2026-03-29T00:00", 2) ==
        Texts{"2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}
    );
}

TEST_CASE(
    "asked in the first of two repeated hours, the tick of the second is next", "[cron][dst]"
) {
    REQUIRE(
        ticks("0,30 2 * * *", "Europe/Amsterdam", "2026-10-25T00:15", 2) ==
        Texts{"2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"}
    );
}

// Every zone with a DST of its own kind: half hours, a skipped day, negative DST, many switches.
constexpr std::array zones{
    "Europe/Amsterdam",  "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
    "Africa/Casablanca", "Europe/Dublin",    "Asia/Tehran",         "America/Sao_Paulo",
    "Antarctica/Troll",  "Asia/Kathmandu",   "Pacific/Chatham",     "America/St_Johns",
    "Asia/Pyongyang",    "Africa/Monrovia",  "Pacific/Kiritimati",  "America/Caracas",
    "Africa/Cairo",      "Asia/Gaza",        "Europe/Istanbul",     "UTC"
};
constexpr std::array expressions{
    "30 2 * * *",
    "0 * * * *",
    "*/15 * * * *",
    "0 */2 * * *",
    "0 0 * * *",
    "15 1-3 * * *",
    "59 23 * * *",
    "0 0 1 * *",
    "30 2 * * SUN",
    "0 2 25-31 3,10 * 30"
};

TEST_CASE(
    "around every DST switch ticks increase and next agrees with previous", "[cron][dst][property]"
) {
    for (const char* zone_name : zones) {
        const auto zone = Zone::find(zone_name);
        REQUIRE(zone);
        for (const char* expression : expressions) {
            const auto cron = Cron::parse(expression);
            auto edge = std::chrono::floor<std::chrono::seconds>(at("2005-01-01"));
            const auto last = std::chrono::floor<std::chrono::seconds>(at("2030-01-01"));
            for (; edge < last; edge = zone->stretch(edge).end) {
                CAPTURE(zone_name, expression, format_z(edge));
                Instant now = Instant{edge} - 49h;
                for (int i = 0; i < 12; ++i) {
                    const auto tick = next_tick(cron, *zone, now);
                    if (!tick || *tick <= now) FAIL("next_tick does not increase");
                    if (previous_tick(cron, *zone, *tick + 1us) != *tick) FAIL("previous differs");
                    const auto before = previous_tick(cron, *zone, *tick);
                    if (before && next_tick(cron, *zone, *before) != *tick) FAIL("a tick is lost");
                    now = i % 3 == 2 ? *tick + 37min : *tick;
                }
            }
        }
    }
    SUCCEED();
}

}  // namespace
}  // namespace sluice
