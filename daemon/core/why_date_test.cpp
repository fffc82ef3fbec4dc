#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

Dag daily(const char* start) {
    auto dag = make_dag("dag", {"a"});
    dag.schedule.kind = ScheduleKind::cron_interval;
    dag.schedule.crons = {"0 0 * * *"};
    dag.start_date = at(start);
    return dag;
}

Names conditions(const World& world, const char* from, const char* to) {
    std::vector<Instant> made;
    for (const auto& [key, run] : world.runs)
        if (run.logical_date) made.push_back(*run.logical_date);
    std::ranges::sort(made);
    const auto reasons = world.scheduler.why("dag", Interval{at(from), at(to)}, made);
    REQUIRE(reasons);
    Names names;
    for (const auto& reason : *reasons) names.push_back(reason.condition);
    return names;
}

Names conditions(const World& world, const char* date) { return conditions(world, date, date); }

TEST_CASE("why a date has no run: bounds, time, no such date", "[core][why]") {
    World world;
    world.now = at("2026-01-10T15:00");
    auto dag = daily("2026-01-05");
    dag.end_date = at("2026-01-20");
    dag.catchup = true;
    dag.max_active_runs = 16;
    world.load(dag);
    CHECK(conditions(world, "2026-01-06").empty());
    CHECK(conditions(world, "2026-01-03") == Names{"start_date"});
    CHECK(conditions(world, "2026-01-21") == Names{"end_date"});
    CHECK(conditions(world, "2026-01-10") == Names{"run_after"});
    CHECK(conditions(world, "2026-01-06T12:00") == Names{"no_date"});
    CHECK(conditions(world, "2026-01-01", "2026-01-31").size() == 6);  // five, and how many more
    CHECK(conditions(world, "2026-01-01", "2026-01-31").back() == "more_dates");
}

TEST_CASE("why a date has no run: it was passed over, a backfill makes it", "[core][why]") {
    World world;
    world.now = at("2026-01-10T15:00");
    auto dag = daily("2026-01-01");
    dag.catchup = false;
    world.load(dag);
    CHECK(conditions(world, "2026-01-09").empty());
    CHECK(conditions(world, "2026-01-08") == Names{"passed_over"});
}

TEST_CASE("why a date has no run: what it waits for makes it when it is gone", "[core][why]") {
    World world;
    world.now = at("2026-01-04T15:00");
    auto dag = daily("2026-01-01");
    dag.catchup = true;
    dag.max_active_runs = 1;
    world.load(dag);
    CHECK(conditions(world, "2026-01-02") == Names{"max_active_runs"});
    CHECK(conditions(world, "2026-01-03") == Names{"order", "max_active_runs"});
    world.end("a");
    CHECK(conditions(world, "2026-01-02").empty());
    PauseDag pause;
    pause.dag_id = "dag";
    pause.paused = true;
    world.ask(pause);
    CHECK(conditions(world, "2026-01-03") == Names{"dag_paused", "max_active_runs"});
}

TEST_CASE("why a date has no run: the calendar closes it", "[core][why]") {
    World world;
    world.now = at("2026-01-12T15:00");
    auto dag = daily("2026-01-01");
    dag.schedule.calendar.weekends = true;
    dag.catchup = true;
    dag.max_active_runs = 16;
    world.load(dag);
    CHECK(conditions(world, "2026-01-10") == Names{"calendar"});  // a Saturday
    CHECK(conditions(world, "2026-01-09").empty());
}

TEST_CASE("why a date has no run: a DAG without dates says what it has", "[core][why]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    CHECK(conditions(world, "2026-01-10") == Names{"no_schedule"});
}

}  // namespace
}  // namespace sluice::core
