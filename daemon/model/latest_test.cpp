#include "model/latest.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

Instant at(const char* text) { return parse_time(text)->at; }

Dag daily(ScheduleKind kind) {
    Dag dag;
    dag.schedule.kind = kind;
    dag.schedule.crons = {"0 0 * * *"};
    dag.start_date = at("2026-01-01T00:00:00Z");
    return dag;
}

DagRun run_of(const char* start, const char* end, RunType type = RunType::scheduled) {
    DagRun run;
    run.type = type;
    run.logical_date = at(start);
    run.data_interval = Interval{at(start), at(end)};
    run.run_after = at(end);
    return run;
}

}  // namespace

TEST_CASE("a run is the latest until the end of the next interval", "[latest]") {
    const Dag dag = daily(ScheduleKind::cron_interval);
    const auto run = run_of("2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z");
    REQUIRE(is_latest_run(dag, run, at("2026-01-05T00:00:00Z")));
    REQUIRE(is_latest_run(dag, run, at("2026-01-05T15:00:00Z")));
    REQUIRE_FALSE(is_latest_run(dag, run, at("2026-01-06T00:00:01Z")));
    REQUIRE_FALSE(is_latest_run(dag, run, at("2026-01-04T23:00:00Z")));
}

TEST_CASE("the trigger kind has its next tick, a delay moves the window", "[latest]") {
    const auto tick = run_of("2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z");
    REQUIRE(is_latest_run(daily(ScheduleKind::cron_trigger), tick, at("2026-01-05T09:00:00Z")));
    REQUIRE_FALSE(is_latest_run(daily(ScheduleKind::cron_trigger), tick, at("2026-01-06T09:00:00Z"))
    );
    Dag late = daily(ScheduleKind::cron_interval);
    late.schedule.delay = 2h;
    const auto run = run_of("2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z");
    REQUIRE(is_latest_run(late, run, at("2026-01-06T01:59:00Z")));
    REQUIRE_FALSE(is_latest_run(late, run, at("2026-01-06T02:01:00Z")));
}

TEST_CASE("a manual run, and the last of a schedule, is always the latest", "[latest]") {
    Dag dag = daily(ScheduleKind::cron_interval);
    const auto manual = run_of("2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z", RunType::manual);
    REQUIRE(is_latest_run(dag, manual, at("2026-03-01T00:00:00Z")));
    const auto last = run_of("2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z");
    REQUIRE_FALSE(is_latest_run(dag, last, at("2026-03-01T00:00:00Z")));
    dag.end_date = at("2026-01-04T00:00:00Z");
    REQUIRE(is_latest_run(dag, last, at("2026-03-01T00:00:00Z")));
    REQUIRE(is_latest_run(daily(ScheduleKind::none), last, at("2026-03-01T00:00:00Z")));
}
