#include "model/timetable.hpp"

#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "model/cron_ticks.hpp"

using namespace std::chrono_literals;

namespace sluice {
namespace {

using Missed = Timetable::Missed;

Instant at(std::string_view text) {
    const auto parsed = parse_time(text);
    REQUIRE(parsed);
    return parsed->at;
}

Dag dag_with(ScheduleKind kind, const std::string& cron, const std::string& start = "") {
    Dag dag;
    dag.schedule.kind = kind;
    if (!cron.empty()) dag.schedule.crons = {cron};
    if (!start.empty()) dag.start_date = at(start);
    return dag;
}

std::string text(const std::optional<RunTimes>& run) {
    if (!run) return "none";
    return format_z(run->logical_date) + " [" + format_z(run->interval.start) + ", " +
           format_z(run->interval.end) + ") after " + format_z(run->run_after);
}

TEST_CASE("an interval DAG that is enabled late runs once for the latest interval", "[timetable]") {
    const Timetable daily{dag_with(ScheduleKind::cron_interval, "0 0 * * *", "2026-01-01")};
    const auto first = daily.next_run({}, Missed::skip, at("2026-01-31T15:00"));
    REQUIRE(
        text(first) ==
        "2026-01-30T00:00:00Z [2026-01-30T00:00:00Z, 2026-01-31T00:00:00Z) after "
        "2026-01-31T00:00:00Z"
    );
    SECTION("and once more after a pause of two days") {
        const auto next = daily.next_run(first->interval, Missed::skip, at("2026-02-02T15:00"));
        REQUIRE(next->interval == Interval{at("2026-02-01"), at("2026-02-02")});
    }
    SECTION("else it waits for the end of the next interval") {
        const auto next = daily.next_run(first->interval, Missed::skip, at("2026-01-31T15:00"));
        REQUIRE(next->run_after == at("2026-02-01"));
    }
    SECTION("exactly at a tick the interval that just ended is the latest") {
        const auto now = daily.next_run({}, Missed::skip, at("2026-01-31"));
        REQUIRE(now->interval == Interval{at("2026-01-30"), at("2026-01-31")});
    }
}

TEST_CASE("a trigger DAG takes the latest past tick", "[timetable]") {
    const Timetable daily{dag_with(ScheduleKind::cron_trigger, "0 0 * * *", "2026-01-01")};
    const auto first = daily.next_run({}, Missed::skip, at("2026-01-31T15:00"));
    REQUIRE(
        text(first) ==
        "2026-01-31T00:00:00Z [2026-01-31T00:00:00Z, 2026-01-31T00:00:00Z) after "
        "2026-01-31T00:00:00Z"
    );
    const auto next = daily.next_run(first->interval, Missed::skip, at("2026-02-02T15:00"));
    REQUIRE(next->run_after == at("2026-02-02"));
    SECTION("unless what is due is declared done") {
        const auto skipped = daily.latest_due(at("2026-02-02T15:00"));
        const auto later = daily.next_run(skipped, Missed::skip, at("2026-02-02T15:00"));
        REQUIRE(later->run_after == at("2026-02-03"));
    }
}

TEST_CASE("catchup runs every interval from the start date", "[timetable]") {
    const Timetable daily{dag_with(ScheduleKind::cron_interval, "0 0 * * *", "2026-01-01T06:00")};
    const auto first = daily.next_run({}, Missed::run, at("2026-01-31"));
    REQUIRE(first->logical_date == at("2026-01-02"));
    REQUIRE(
        daily.next_run(first->interval, Missed::run, at("2026-01-31"))->logical_date ==
        at("2026-01-03")
    );
}

TEST_CASE("no run begins before the start or after the end", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_interval, "0 0 * * *", "2026-01-01");
    dag.end_date = at("2026-01-02");
    const Timetable daily{dag};
    const auto now = at("2026-01-01T10:00");
    const auto first = daily.next_run({}, Missed::skip, now);
    REQUIRE(first->logical_date == at("2026-01-01"));
    const auto second = daily.next_run(first->interval, Missed::skip, now);
    REQUIRE(second->logical_date == at("2026-01-02"));
    REQUIRE_FALSE(daily.next_run(second->interval, Missed::skip, now));
    REQUIRE_FALSE(daily.next_run({}, Missed::skip, at("2026-05-01")));
}

TEST_CASE("a delay postpones the run and not the interval", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_interval, "0 0 * * *", "2026-01-01");
    dag.schedule.delay = 2h;
    const Timetable daily{dag};
    const auto early = daily.next_run({}, Missed::skip, at("2026-01-10T01:00"));
    REQUIRE(early->interval == Interval{at("2026-01-08"), at("2026-01-09")});
    const auto run = daily.next_run({}, Missed::skip, at("2026-01-10T02:00"));
    REQUIRE(run->interval == Interval{at("2026-01-09"), at("2026-01-10")});
    REQUIRE(run->run_after == at("2026-01-10T02:00"));
}

TEST_CASE("a trigger's window lies before its tick", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_trigger, "0 0 * * 1-5", "2026-01-01");
    const auto now = at("2026-01-05T12:00");  // a Monday
    SECTION("as a fixed length, which the logical date follows") {
        dag.schedule.window = 24h;
        const auto run = Timetable{dag}.next_run({}, Missed::skip, now);
        REQUIRE(run->logical_date == at("2026-01-04"));
        REQUIRE(run->interval == Interval{at("2026-01-04"), at("2026-01-05")});
    }
    SECTION("or from the tick before, the logical date staying the tick") {
        dag.schedule.previous_tick = true;
        const auto run = Timetable{dag}.next_run({}, Missed::skip, now);
        REQUIRE(run->logical_date == at("2026-01-05"));
        REQUIRE(run->interval == Interval{at("2026-01-02"), at("2026-01-05")});
    }
}

TEST_CASE("deltas are fixed steps from the start date", "[timetable]") {
    auto dag = dag_with(ScheduleKind::delta_interval, "", "2026-01-01T00:10");
    dag.schedule.delta = 1h;
    const Timetable hourly{dag};
    const auto run = hourly.next_run({}, Missed::skip, at("2026-01-02T05:30"));
    REQUIRE(run->interval == Interval{at("2026-01-02T04:10"), at("2026-01-02T05:10")});
    REQUIRE(hourly.next_tick(at("2025-12-31T23:10")) == at("2026-01-01T00:10"));
    REQUIRE(hourly.previous_tick(at("2025-12-31T23:10")) == at("2025-12-31T22:10"));
    REQUIRE(
        hourly.infer_interval(at("2026-01-02T05:30")) ==
        Interval{at("2026-01-02T04:30"), at("2026-01-02T05:30")}
    );
    dag.schedule.kind = ScheduleKind::delta_trigger;
    REQUIRE(
        Timetable{dag}.next_run({}, Missed::skip, at("2026-01-02T05:30"))->run_after ==
        at("2026-01-02T05:10")
    );
}

TEST_CASE("several crons fire at each of their ticks, once an instant", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_trigger, "0 6 * * *", "2026-01-01");
    dag.schedule.crons.emplace_back("0 */6 * * *");
    const Timetable both{dag};
    REQUIRE(both.next_tick(at("2026-01-01")) == at("2026-01-01T06:00"));
    REQUIRE(both.next_tick(at("2026-01-01T06:00")) == at("2026-01-01T12:00"));
    REQUIRE(both.ticks_between(at("2026-01-01"), at("2026-01-01T23:00"), 10).size() == 4);
}

TEST_CASE("events are the ticks of a trigger", "[timetable]") {
    auto dag = dag_with(ScheduleKind::events, "", "2026-01-01");
    dag.schedule.events = {at("2025-12-01"), at("2026-01-10"), at("2026-02-10T12:00")};
    const Timetable events{dag};
    const auto now = at("2026-02-01");
    SECTION("with catchup all from the start date on, each once") {
        const auto first = events.next_run({}, Missed::run, now);
        REQUIRE(first->run_after == at("2026-01-10"));
        REQUIRE(first->interval == Interval{at("2026-01-10"), at("2026-01-10")});
        const auto second = events.next_run(first->interval, Missed::run, now);
        REQUIRE(second->run_after == at("2026-02-10T12:00"));
        REQUIRE_FALSE(events.next_run(second->interval, Missed::run, now));
    }
    SECTION("without it the latest one, and after the last one no other") {
        const auto event = at("2026-02-10T12:00");
        REQUIRE_FALSE(events.next_run(Interval{event, event}, Missed::skip, at("2026-03-01")));
        REQUIRE(
            events.next_run({}, Missed::skip, at("2026-03-01"))->run_after == at("2026-02-10T12:00")
        );
    }
    SECTION("a manual run takes the latest one as interval if it is restricted to events") {
        REQUIRE(events.infer_interval(now) == Interval{now, now});
        dag.schedule.restrict_to_events = true;
        const Timetable restricted{dag};
        const auto event = at("2026-01-10");
        REQUIRE(restricted.infer_interval(now) == Interval{event, event});
        REQUIRE(restricted.infer_interval(at("2025-01-01")).start == at("2025-12-01"));
    }
    SECTION("they can be backfilled") {
        REQUIRE(events.is_periodic());
        REQUIRE(events.ticks_between(at("2025-12-01"), at("2026-01-31"), 10).size() == 2);
    }
}

TEST_CASE("jitter postpones a run and not its interval, the same at each look", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_interval, "*/10 * * * *", "2026-01-01");
    dag.dag_id = "jittered";
    dag.schedule.delay = 1min;
    dag.schedule.jitter = 1h;  // longer than the step: less than that is used
    const Timetable timetable{dag};
    const Timetable again{dag};
    std::set<Duration> seen;
    std::optional<Interval> last;
    std::optional<Instant> before;
    for (int i = 0; i < 200; ++i) {
        const auto run = timetable.next_run(last, Missed::run, at("2026-06-01"));
        REQUIRE(run->interval.end == run->interval.start + 10min);
        const Duration late = run->run_after - run->interval.end - 1min;
        REQUIRE(late >= 0s);
        REQUIRE(late < 10min);
        REQUIRE(again.run_after(run->interval.end) == run->run_after);
        if (before) REQUIRE(run->run_after > *before);
        before = run->run_after;
        seen.insert(late);
        last = run->interval;
    }
    REQUIRE(seen.size() > 100);
    dag.dag_id = "another";
    int differ = 0;
    for (auto end = at("2026-01-01"); end < at("2026-01-02"); end += 10min)
        differ += static_cast<int>(Timetable{dag}.run_after(end) != timetable.run_after(end));
    REQUIRE(differ > 100);
}

TEST_CASE("catch-up over a switch leaves out nothing and repeats nothing", "[timetable]") {
    for (const char* zone :
         {"Europe/Amsterdam",
          "America/New_York",
          "Australia/Lord_Howe",
          "Pacific/Apia",
          "America/Havana",
          "Africa/Casablanca"})
        for (const char* cron : {"0 0 * * *", "30 2 * * *", "*/20 * * * *", "0 */3 * * *"}) {
            INFO(zone << " " << cron);
            auto dag = dag_with(ScheduleKind::cron_interval, cron, "2011-12-20");
            dag.timezone = zone;
            const Timetable timetable{dag};
            std::optional<Interval> last;
            Instant now = at("2011-12-20");
            for (int i = 0; i < 1000; ++i) {
                const auto run = timetable.next_run(last, Missed::run, now);
                REQUIRE(run);
                if (last) REQUIRE(run->interval.start == last->end);
                REQUIRE(run->interval.end > run->interval.start);
                now = run->run_after;
                // Without catchup a scheduler that is never late does the same.
                if (last) REQUIRE(timetable.next_run(last, Missed::skip, now) == run);
                last = run->interval;
            }
        }
}

TEST_CASE("@once runs once, @continuous begins where the last one ended", "[timetable]") {
    const Timetable once{dag_with(ScheduleKind::once, "", "2026-01-01")};
    const auto only = once.next_run({}, Missed::skip, at("2026-05-01"));
    REQUIRE(only->run_after == at("2026-01-01"));
    REQUIRE_FALSE(once.next_run(only->interval, Missed::run, at("2026-05-01")));

    const Timetable continuous{dag_with(ScheduleKind::continuous, "", "2026-01-01")};
    const auto first = continuous.next_run({}, Missed::skip, at("2026-01-01T00:00:10"));
    REQUIRE(first->interval == Interval{at("2026-01-01"), at("2026-01-01T00:00:10")});
    const auto second = continuous.next_run(first->interval, Missed::skip, first->run_after);
    REQUIRE(second->interval.start == first->interval.end);
    REQUIRE(second->run_after == first->run_after + 1s);
}

TEST_CASE("without a start date the first run follows run_immediately", "[timetable]") {
    auto dag = dag_with(ScheduleKind::cron_trigger, "0 0 * * *");
    const auto first = [&](std::string_view now) {
        return Timetable{dag}.next_run({}, Missed::run, at(now))->run_after;
    };
    REQUIRE(first("2026-01-01T02:00") == at("2026-01-01"));  // within a tenth of the gap
    REQUIRE(first("2026-01-01T03:00") == at("2026-01-02"));
    dag.schedule.run_immediately_within = 1h;
    REQUIRE(first("2026-01-01T02:00") == at("2026-01-02"));
    dag.schedule.run_immediately = true;
    REQUIRE(first("2026-01-01T20:00") == at("2026-01-01"));
}

TEST_CASE("the interval of a manual run is inferred from the schedule", "[timetable]") {
    const auto run_after = at("2026-01-05T10:30");
    REQUIRE(
        Timetable{dag_with(ScheduleKind::cron_interval, "0 0 * * *")}.infer_interval(run_after) ==
        Interval{at("2026-01-04"), at("2026-01-05")}
    );
    REQUIRE(
        Timetable{dag_with(ScheduleKind::cron_trigger, "0 0 * * *")}.infer_interval(run_after) ==
        Interval{run_after, run_after}
    );
    REQUIRE(
        Timetable{dag_with(ScheduleKind::none, "")}.infer_interval(run_after) ==
        Interval{run_after, run_after}
    );
}

TEST_CASE("a backfill sees the runs whose logical dates lie in its range", "[timetable]") {
    const Timetable daily{dag_with(ScheduleKind::cron_interval, "0 0 * * *", "2026-01-01")};
    const auto runs = daily.ticks_between(at("2026-01-03"), at("2026-01-05"), 100);
    REQUIRE(runs.size() == 3);
    REQUIRE(runs.front().logical_date == at("2026-01-03"));
    REQUIRE(runs.back().interval == Interval{at("2026-01-05"), at("2026-01-06")});
    REQUIRE_THROWS_AS(daily.ticks_between(at("2026-01-03"), at("2026-01-05"), 2), Error);
}

TEST_CASE("a bad cron or zone is told in a sentence", "[timetable]") {
    Schedule schedule;
    schedule.kind = ScheduleKind::cron_trigger;
    schedule.crons = {"0 0 * *"};
    REQUIRE(schedule_problem(schedule, "UTC")->find("4 fields") != std::string::npos);
    schedule.crons = {"0 0 * * *"};
    REQUIRE_FALSE(schedule_problem(schedule, "Europe/Amsterdam"));
    REQUIRE(
        schedule_problem(schedule, "Europe/Atlantis") ==
        "\"Europe/Atlantis\" is not a time zone of the IANA database"
    );
    for (const char* name : {"", "../etc/passwd", "europe/amsterdam ", "posixrules/x"})
        REQUIRE(zone_problem(name));
}

TEST_CASE("a partition is named by the wall clock of the zone", "[timetable]") {
    const auto amsterdam = *Zone::find("Europe/Amsterdam");
    const auto instant = at("2025-12-31T23:30Z");
    REQUIRE(partition_key(instant, "day", amsterdam) == "2026-01-01");
    REQUIRE(partition_key(instant, "hour", amsterdam) == "2026-01-01T00");
    REQUIRE(partition_key(instant, "month", amsterdam) == "2026-01");
    REQUIRE(partition_key(instant, "quarter", amsterdam) == "2026Q1");
    REQUIRE(partition_key(instant, "year", amsterdam) == "2026");
    REQUIRE(partition_key(instant, "none", amsterdam).empty());
    REQUIRE(partition_key(instant, "quarter", Zone::utc()) == "2025Q4");
}

}  // namespace
}  // namespace sluice
