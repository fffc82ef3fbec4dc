#include "base/instant.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;

namespace sluice {
namespace {

Instant at(std::string_view text) {
    const auto parsed = parse_time(text);
    REQUIRE(parsed);
    return parsed->at;
}

TEST_CASE("an instant is written in UTC with six decimals or none", "[base][instant]") {
    const Instant whole = std::chrono::sys_days{std::chrono::year{2018} / 1 / 1};
    REQUIRE(format_z(whole) == "2018-01-01T00:00:00Z");
    REQUIRE(format_offset(whole) == "2018-01-01T00:00:00+00:00");
    REQUIRE(format_z(whole + 9h + 22min + 595146us) == "2018-01-01T09:22:00.595146Z");
    REQUIRE(format_offset(whole + 1us) == "2018-01-01T00:00:00.000001+00:00");
    REQUIRE(format_date(whole + 23h) == "2018-01-01");
}

TEST_CASE("an instant before 1970 is written as its own day", "[base][instant]") {
    REQUIRE(format_z(from_micros(-1)) == "1969-12-31T23:59:59.999999Z");
    REQUIRE(format_date(from_micros(-1)) == "1969-12-31");
}

TEST_CASE("a time is read with an offset, with Z, or naive", "[base][instant]") {
    REQUIRE(format_z(at("2026-01-05T10:00:00+02:00")) == "2026-01-05T08:00:00Z");
    REQUIRE(format_z(at("2026-01-05 10:00:00-0530")) == "2026-01-05T15:30:00Z");
    REQUIRE(format_z(at("2026-01-05T10:00+02")) == "2026-01-05T08:00:00Z");
    REQUIRE(format_z(at("2026-01-05T10:00:00.5Z")) == "2026-01-05T10:00:00.500000Z");
    REQUIRE(format_z(at("2026-01-05T10:00:00.123456789Z")) == "2026-01-05T10:00:00.123456Z");
    REQUIRE(parse_time("2026-01-05T10:00Z")->has_offset);
    REQUIRE_FALSE(parse_time("2026-01-05T10:00")->has_offset);
    REQUIRE(parse_time("2026-01-05")->date_only);
    REQUIRE_FALSE(parse_time("2026-01-05T00:00")->date_only);
}

TEST_CASE("what is not a time is refused", "[base][instant]") {
    for (const char* text :
         {"",
          "2026",
          "2026-1-5",
          "2026-02-30",
          "2026-13-01",
          "2026-01-05T",
          "2026-01-05T24:00",
          "2026-01-05T10:60",
          "2026-01-05T10:00:60",
          "2026-01-05T10:00:00.",
          "2026-01-05T10:00Zx",
          "2026-01-05T10:00+2",
          "2026-01-05T10:00+25:00",
          "2026-01-05x",
          "now"}) {
        CAPTURE(text);
        REQUIRE_FALSE(parse_time(text));
    }
}

TEST_CASE("a duration has units, largest first", "[base][instant]") {
    REQUIRE(parse_duration("90s") == Duration{90s});
    REQUIRE(parse_duration("5m") == Duration{5min});
    REQUIRE(parse_duration("2h") == Duration{2h});
    REQUIRE(parse_duration("7d") == Duration{168h});
    REQUIRE(parse_duration("2w") == Duration{336h});
    REQUIRE(parse_duration("1h30m") == Duration{90min});
    REQUIRE(parse_duration("250ms") == Duration{250ms});
    REQUIRE(parse_duration("1m250ms") == Duration{60250ms});
    REQUIRE(parse_duration("-5m") == Duration{-5min});
    REQUIRE(parse_duration("0s") == Duration{0});
}

TEST_CASE("a duration may be ISO 8601 without years and months", "[base][instant]") {
    REQUIRE(parse_duration("PT5M") == Duration{5min});
    REQUIRE(parse_duration("P1DT2H") == Duration{26h});
    REQUIRE(parse_duration("P2W") == Duration{336h});
    REQUIRE(parse_duration("PT0.5S") == Duration{500ms});
    REQUIRE(parse_duration("-PT1H") == Duration{-1h});
}

TEST_CASE("what is not a duration is refused", "[base][instant]") {
    for (const char* text :
         {"",
          "-",
          "300",
          "5 m",
          "5x",
          "m",
          "30m1h",
          "1h1h",
          "1.5h",
          "P",
          "P1Y",
          "P1M",
          "PT",
          "P1DT",
          "P1H",
          "PT1D",
          "PT1S1M",
          "PT1.5M",
          "99999999999999999999s",
          "9999999999999999w"}) {
        CAPTURE(text);
        REQUIRE_FALSE(parse_duration(text));
    }
}

TEST_CASE("a duration is written in its largest whole unit and read back", "[base][instant]") {
    REQUIRE(format_duration(90s) == "90s");
    REQUIRE(format_duration(300s) == "5m");
    REQUIRE(format_duration(2h) == "2h");
    REQUIRE(format_duration(168h) == "7d");
    REQUIRE(format_duration(250ms) == "250ms");
    REQUIRE(format_duration(1us) == "1us");
    REQUIRE(format_duration(Duration{0}) == "0s");
    REQUIRE(format_duration(-90min) == "-90m");
    for (const Duration duration : {Duration{1}, Duration{61s}, Duration{25h}, Duration{1500ms}})
        REQUIRE(parse_duration(format_duration(duration)) == duration);
}

}  // namespace
}  // namespace sluice
