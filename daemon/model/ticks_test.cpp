// Every zone's switches of 1970 to 2037 against the rule of semantics 4, written down plainly.
#include "model/ticks.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "model/timetable.hpp"

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace sluice {
namespace {

using Set = std::set<Instant>;

/// A cron of minute and hour, as lists, so that the rule can be applied by hand.
struct Plain {
    std::string cron;
    std::vector<int> minutes;
    std::vector<int> hours;  // empty = every hour
};

const std::vector<Plain>& plain_crons() {
    static const std::vector<Plain> all{
        {"30 2 * * *", {30}, {2}},
        {"0,30 0-3,22-23 * * *", {0, 30}, {0, 1, 2, 3, 22, 23}},
        {"15,45 * * * *", {15, 45}, {}},
        {"0 7-8 * * *", {0}, {7, 8}},
    };
    return all;
}

/// What the rule says fires in [from, to).
Set expected(const Plain& plain, const Zone& zone, Instant from, Instant to) {
    Set fires;
    if (plain.hours.empty()) {
        for (auto at = std::chrono::ceil<minutes>(from); at < to; at += 1min) {
            // A zone of old may be off by seconds: whole local minutes then are no whole minutes.
            for (int second = 0; second < 60; ++second) {
                const auto exact = at + seconds{second};
                const auto local = zone.to_local(exact);
                const auto clock = local - std::chrono::floor<days>(local);
                if (clock.count() % 60 != 0) continue;
                const int minute = static_cast<int>(clock.count() / 60 % 60);
                if (std::ranges::find(plain.minutes, minute) != plain.minutes.end() && exact < to)
                    fires.insert(exact);
            }
        }
        return fires;
    }
    const auto first = std::chrono::floor<days>(zone.to_local(from)) - days{3};
    const auto last = std::chrono::floor<days>(zone.to_local(to)) + days{3};
    for (auto day = first; day <= last; day += days{1})
        for (const int hour : plain.hours)
            for (const int minute : plain.minutes) {
                const Instant at =
                    zone.to_instant(day + std::chrono::hours{hour} + minutes{minute});
                if (from <= at && at < to) fires.insert(at);
            }
    return fires;
}

Schedule cron_schedule(const std::string& cron) {
    Schedule schedule;
    schedule.kind = ScheduleKind::cron_trigger;
    schedule.crons = {cron};
    return schedule;
}

/// Walks forward and back; what differs from `want` is told.
void check_walk(const Ticks& ticks, const Set& want, Instant from, Instant to) {
    std::vector<Instant> forward;
    for (auto at = ticks.next(from - 1us); at && *at < to; at = ticks.next(*at)) {
        if (!forward.empty() && *at <= forward.back()) FAIL("goes back to " << format_z(*at));
        forward.push_back(*at);
    }
    std::vector<Instant> back;
    for (auto at = ticks.previous(to); at && *at >= from; at = ticks.previous(*at)) {
        if (!back.empty() && *at >= back.back()) FAIL("goes on to " << format_z(*at));
        back.push_back(*at);
    }
    std::ranges::reverse(back);
    if (forward != back) FAIL("next and previous disagree");
    if (!std::ranges::equal(forward, want)) {
        for (const auto at : want)
            if (std::ranges::find(forward, at) == forward.end()) FAIL("skips " << format_z(at));
        for (const auto at : forward)
            if (!want.contains(at)) FAIL("fires at " << format_z(at));
    }
}

std::vector<sys_seconds> switches(const Zone& zone) {
    std::vector<sys_seconds> found;
    const sys_seconds end = std::chrono::sys_days{std::chrono::year{2038} / 1 / 1};
    sys_seconds at = std::chrono::sys_days{std::chrono::year{1970} / 1 / 1};
    while ((at = zone.stretch(at).end) < end) found.push_back(at);
    return found;
}

/// Each zone that is no mere other name of one before it.
std::vector<Zone> all_zones() {
    std::vector<Zone> zones;
    for (const auto& name : zone_names()) zones.push_back(*Zone::find(name));
    return zones;
}

void check_switch(const Zone& zone, sys_seconds at, const Plain& plain) {
    INFO(zone.name() << " " << format_z(at) << " " << plain.cron);
    const bool hourly = plain.hours.empty();
    const Instant from = at - (hourly ? 3h : 30h);
    const Instant to = at + (hourly ? 3h : 50h);
    const Ticks ticks{cron_schedule(plain.cron), zone, Instant{}};
    check_walk(ticks, expected(plain, zone, from, to), from, to);
}

void check_zones(std::size_t one_in) {
    std::size_t count = 0;
    for (const auto& zone : all_zones())
        for (const auto at : switches(zone))
            for (const auto& plain : plain_crons())
                if (++count % one_in == 0) check_switch(zone, at, plain);
    REQUIRE(count > 100'000);
}

TEST_CASE("crons fire by the rule at every zone's switches, a sample", "[ticks][zones]") {
    check_zones(37);
}
TEST_CASE("crons fire by the rule at every zone's switches, all", "[.][slow][zones]") {
    check_zones(1);
}

/// The ticks that a calendar leaves, by looking at each.
Set left_open(
    const Ticks& plain, const Calendar& calendar, const Zone& zone, Instant from, Instant to
) {
    Set left;
    for (auto at = plain.next(from - 45 * 24h); at && *at < to; at = plain.next(*at)) {
        const auto local = zone.to_local(*at);
        const auto day = std::chrono::floor<days>(local);
        if (!calendar.is_closed(day))
            left.insert(*at);
        else if (calendar.rule == ClosedRule::next_business_day)
            left.insert(zone.to_instant(calendar.open_from(day) + (local - day)));
    }
    std::erase_if(left, [&](Instant at) { return at < from || at >= to; });
    return left;
}

TEST_CASE("a calendar closes days, by the wall clock, at switches too", "[ticks][zones]") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto pick = [&](int below) {
        return static_cast<int>(random() % static_cast<unsigned>(below));
    };
    const auto zones = all_zones();
    const std::vector<std::string> crons{
        "0 6 * * *", "30 2 * * 1-5", "0 0 1 * *", "20 */5 * * *", "45 * * * *", "0 1,2,3 * * 0,6"
    };
    for (int round = 0; round < 400; ++round) {
        const Zone& zone = zones[static_cast<std::size_t>(pick(static_cast<int>(zones.size())))];
        auto at = switches(zone);
        if (at.empty()) continue;
        const auto middle = at[static_cast<std::size_t>(pick(static_cast<int>(at.size())))];
        auto schedule = cron_schedule(crons[static_cast<std::size_t>(pick(6))]);
        const Ticks plain{schedule, zone, Instant{}};
        auto& calendar = schedule.calendar;
        calendar.weekends = pick(2) == 0;
        calendar.rule = pick(3) == 0 ? ClosedRule::skip : ClosedRule::next_business_day;
        const auto today = std::chrono::floor<days>(zone.to_local(middle));
        for (int i = 0; i < 4; ++i) {
            const auto first = today + days{pick(16) - 8};
            calendar.closed.push_back({first, first + days{pick(3)}});
        }
        calendar.normalize();
        INFO(
            zone.name() << " " << format_z(middle) << " " << schedule.crons[0]
                        << (calendar.weekends ? " weekends" : "")
                        << (calendar.rule == ClosedRule::skip ? " skip" : " next")
        );
        const Ticks ticks{schedule, zone, Instant{}};
        const Instant from = middle - 10 * 24h;
        const Instant to = middle + 10 * 24h;
        check_walk(ticks, left_open(plain, calendar, zone, from, to), from, to);
    }
}

// ---------------------------------------------------------------------------- the test vectors

Instant at(std::string_view text) { return parse_time(text).value().at; }

std::vector<std::string> fires(
    const std::string& cron, std::string_view from, std::string_view to
) {
    const Ticks ticks{cron_schedule(cron), *Zone::find("Europe/Amsterdam"), Instant{}};
    std::vector<std::string> out;
    for (auto tick = ticks.next(at(from) - 1us); tick && *tick < at(to); tick = ticks.next(*tick))
        out.push_back(format_z(*tick));
    return out;
}

TEST_CASE("the test vectors of Amsterdam in 2026", "[ticks]") {
    using Times = std::vector<std::string>;
    CHECK(fires("30 2 * * *", "2026-03-29", "2026-03-30") == Times{"2026-03-29T01:30:00Z"});
    CHECK(fires("30 2 * * *", "2026-10-25", "2026-10-26") == Times{"2026-10-25T01:30:00Z"});
    CHECK(
        fires("30 * * * *", "2026-10-25T00:00Z", "2026-10-25T02:00Z") ==
        Times{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}
    );
    CHECK(
        fires("0 */2 * * *", "2026-10-24T23:30Z", "2026-10-25T02:30Z") ==
        Times{"2026-10-25T01:00:00Z"}
    );
    CHECK(
        fires("0 7-8 * * *", "2026-03-28T12:00Z", "2026-03-30T12:00Z") ==
        Times{
            "2026-03-29T05:00:00Z",
            "2026-03-29T06:00:00Z",
            "2026-03-30T05:00:00Z",
            "2026-03-30T06:00:00Z"
        }
    );
}

TEST_CASE("a calendar skips a tick or moves it to the next business day", "[ticks]") {
    auto schedule = cron_schedule("0 6 1 * *");
    schedule.calendar.weekends = true;
    schedule.calendar.closed = {*parse_closed_days("2027-01-01")};
    const auto next = [&](std::string_view after) {
        const Ticks ticks{schedule, Zone::utc(), Instant{}};
        const auto tick = ticks.next(at(after));
        REQUIRE(ticks.previous(*tick + 1us) == tick);
        return format_z(*tick);
    };
    CHECK(next("2026-07-15") == "2026-09-01T06:00:00Z");  // 1 August 2026 is a Saturday
    schedule.calendar.rule = ClosedRule::next_business_day;
    CHECK(next("2026-07-15") == "2026-08-03T06:00:00Z");
    CHECK(next("2026-12-15") == "2027-01-04T06:00:00Z");  // New Year's Friday, then a weekend
}

TEST_CASE("a daily tick that is moved upon another fires once", "[ticks]") {
    auto schedule = cron_schedule("0 6 * * *");
    schedule.calendar.weekends = true;
    schedule.calendar.rule = ClosedRule::next_business_day;
    const Ticks ticks{schedule, Zone::utc(), Instant{}};
    CHECK(ticks.next(at("2026-07-31T06:00")) == at("2026-08-03T06:00"));
    CHECK(ticks.next(at("2026-08-03T06:00")) == at("2026-08-04T06:00"));
}

TEST_CASE("a schedule of closed days only has no tick", "[ticks]") {
    auto schedule = cron_schedule("0 6 * * 0");
    schedule.calendar.weekends = true;
    const Ticks ticks{schedule, Zone::utc(), Instant{}};
    CHECK_FALSE(ticks.next(at("2026-01-01")));
    CHECK_FALSE(ticks.previous(at("2026-01-01")));
}

TEST_CASE("closed days are written as days or ranges", "[ticks]") {
    CHECK(parse_closed_days("2026-12-25")->last == parse_closed_days("2026-12-25")->first);
    CHECK(parse_closed_days("2026-12-24/2026-12-26").has_value());
    for (const char* wrong :
         {"", "2026-13-01", "2026-02-30", "25.12.2026", "2026-12-26/2026-12-24", "2026-1-01", "/"})
        CHECK_FALSE(parse_closed_days(wrong));
}

}  // namespace
}  // namespace sluice
