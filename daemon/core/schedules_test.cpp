#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Dag daily(ScheduleKind kind, const char* start) {
    auto dag = make_dag("dag", {"a"});
    dag.schedule.kind = kind;
    dag.schedule.crons = {"0 0 * * *"};
    dag.start_date = at(start);
    return dag;
}

PauseDag pause(bool paused) {
    PauseDag event;
    event.dag_id = "dag";
    event.paused = paused;
    return event;
}

std::vector<std::string> run_ids(const World& world) {
    std::vector<std::string> ids;
    for (const auto& [key, run] : world.runs) ids.push_back(run.run_id);
    return ids;
}

using Ids = std::vector<std::string>;

TEST_CASE(
    "an interval DAG runs once for the latest interval, then at each tick", "[core][schedule]"
) {
    World world;
    world.now = at("2026-01-10T15:00");
    world.load(daily(ScheduleKind::cron_interval, "2026-01-01"));
    REQUIRE(run_ids(world) == Ids{"scheduled__2026-01-10T00:00:00+00:00"});
    REQUIRE(world.run().logical_date == at("2026-01-09"));
    REQUIRE(world.run().type == RunType::scheduled);
    REQUIRE(world.dags.at("dag").next_run_after == at("2026-01-11"));
    REQUIRE(world.scheduler.next_wakeup() == at("2026-01-11"));
    world.end("a");
    world.wait(9h);
    REQUIRE(run_ids(world).back() == "scheduled__2026-01-11T00:00:00+00:00");
}

TEST_CASE("a trigger DAG waits for its next tick when it is enabled", "[core][schedule]") {
    World world;
    world.now = at("2026-01-10T15:00");
    world.load(daily(ScheduleKind::cron_trigger, "2026-01-01"));
    REQUIRE(world.runs.empty());
    world.wait(9h);
    REQUIRE(run_ids(world) == Ids{"scheduled__2026-01-11T00:00:00+00:00"});
    REQUIRE(world.run().logical_date == at("2026-01-11"));
}

TEST_CASE("catchup creates what is due, as many runs as may be open", "[core][schedule]") {
    World world;
    auto dag = daily(ScheduleKind::cron_interval, "2026-01-01");
    dag.catchup = true;
    dag.max_active_runs = 3;
    world.now = at("2026-01-10T15:00");
    world.load(dag);
    REQUIRE(world.runs.size() == 3);
    REQUIRE(world.run().logical_date == at("2026-01-01"));
    for (int i = 0; i < 9; ++i) world.end("a");
    REQUIRE(world.runs.size() == 9);
    REQUIRE(world.runs.rbegin()->second.logical_date == at("2026-01-09"));
}

TEST_CASE("a pause leaves a gap that on_unpause decides about", "[core][schedule]") {
    World world;
    world.now = at("2026-01-10T15:00");
    auto dag = daily(ScheduleKind::cron_interval, "2026-01-09");
    std::size_t expected = 0;
    SECTION("latest, as interval kinds do by themselves") { expected = 1; }
    SECTION("none") { dag.on_unpause = OnUnpause::none; }
    SECTION("all") {
        dag.on_unpause = OnUnpause::all;
        expected = 3;
    }
    world.load(dag);
    if (!world.live.empty()) world.end("a");
    const auto before = world.runs.size();
    world.ask(pause(true));
    world.wait(72h);
    REQUIRE(world.runs.size() == before);
    world.ask(pause(false));
    REQUIRE(world.runs.size() == before + expected);
    REQUIRE(world.scheduler.next_wakeup() == at("2026-01-14"));
}

TEST_CASE("catchup with on_unpause latest skips the pause", "[core][schedule]") {
    World world;
    world.now = at("2026-01-02T15:00");
    auto dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
    dag.catchup = true;
    dag.is_paused_upon_creation = true;
    dag.on_unpause = OnUnpause::latest;
    world.load(dag);
    world.wait(72h);
    world.ask(pause(false));
    REQUIRE(run_ids(world) == Ids{"scheduled__2026-01-05T00:00:00+00:00"});
}

TEST_CASE(
    "a stopped daemon without catchup makes up for the latest interval only", "[core][schedule]"
) {
    World world;
    world.now = at("2026-01-10T15:00");
    world.load(daily(ScheduleKind::cron_interval, "2026-01-01"));
    world.end("a");
    world.now = at("2026-01-20T15:00");
    world.restart();
    REQUIRE(
        run_ids(world) ==
        Ids{"scheduled__2026-01-10T00:00:00+00:00", "scheduled__2026-01-20T00:00:00+00:00"}
    );
}

TEST_CASE(
    "a continuous DAG has one run at a time, begun where the last one ended", "[core][schedule]"
) {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.schedule.kind = ScheduleKind::continuous;
    dag.start_date = world.now;
    world.load(dag);
    REQUIRE(world.runs.size() == 1);
    world.wait(10s);
    REQUIRE(world.runs.size() == 1);
    world.end("a");
    REQUIRE(world.runs.size() == 2);
    REQUIRE(world.runs.rbegin()->second.data_interval == Interval{world.now - 10s, world.now});
}

TEST_CASE("@once runs once, also over a restart", "[core][schedule]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.schedule.kind = ScheduleKind::once;
    dag.start_date = world.now - 24h;
    world.load(dag);
    world.end("a");
    world.restart();
    world.wait(1000h);
    REQUIRE(world.runs.size() == 1);
}

TEST_CASE("a new schedule never makes the id of an old run again", "[core][schedule]") {
    World world;
    world.now = at("2026-01-10T02:30");
    auto dag = daily(ScheduleKind::cron_interval, "2026-01-01");
    dag.schedule.delay = 2h;
    world.load(dag);
    REQUIRE(run_ids(world) == Ids{"scheduled__2026-01-10T02:00:00+00:00"});
    world.end("a");
    dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
    dag.schedule.crons = {"0 2 * * *"};
    world.load(dag);
    world.wait(24h);
    REQUIRE(run_ids(world).size() == 2);
    REQUIRE(run_ids(world).back() == "scheduled__2026-01-11T02:00:00+00:00");
}

TEST_CASE("a run waits for its jitter, also over a restart", "[core][schedule]") {
    World world;
    world.now = at("2026-01-10T15:00");
    auto dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
    dag.schedule.jitter = 2h;
    world.load(dag);
    const auto due = world.dags.at("dag").next_run_after;
    REQUIRE(due > at("2026-01-11"));
    REQUIRE(due < at("2026-01-11T02:00"));
    world.wait(9h);
    world.restart();
    REQUIRE(world.runs.empty());
    world.wait(*due - world.now - 1s);
    REQUIRE(world.runs.empty());
    world.wait(1s);
    REQUIRE(world.runs.size() == 1);
    REQUIRE(world.run().logical_date == at("2026-01-11"));
    REQUIRE(world.run().run_after == due);
}

TEST_CASE("a schedule that loses its jitter makes no id again", "[core][schedule]") {
    World world;
    world.now = at("2026-01-10T00:00");
    auto dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
    dag.schedule.jitter = 20h;
    dag.on_unpause = OnUnpause::latest;
    world.load(dag);
    world.wait(20h);
    REQUIRE(world.runs.size() == 1);
    dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
    dag.schedule.crons = {"* * * * * *"};
    dag.catchup = true;
    dag.max_active_runs = 100'000;
    world.load(dag);
    std::set<std::string> ids;
    for (const auto& id : run_ids(world)) REQUIRE(ids.insert(id).second);
}

TEST_CASE("events run at their times, closed days not at all", "[core][schedule]") {
    World world;
    world.now = at("2026-01-01");
    auto dag = make_dag("dag", {"a"});
    dag.start_date = at("2026-01-01");
    dag.schedule.kind = ScheduleKind::events;
    dag.schedule.events = {at("2026-01-02"), at("2026-01-03"), at("2026-01-04")};
    dag.schedule.calendar.closed = {*parse_closed_days("2026-01-03")};
    world.load(dag);
    world.wait(24h);
    REQUIRE(run_ids(world) == Ids{"scheduled__2026-01-02T00:00:00+00:00"});
    world.end("a");
    world.wait(24h);
    REQUIRE(world.runs.size() == 1);
    world.wait(24h);
    REQUIRE(run_ids(world).back() == "scheduled__2026-01-04T00:00:00+00:00");
    world.end("a");
    REQUIRE_FALSE(world.dags.at("dag").next_run_after);
}

TEST_CASE("a version whose zone is no longer known does not stop the start", "[core][schedule]") {
    World world;
    auto dag = daily(ScheduleKind::cron_interval, "2026-01-01");
    dag.timezone = "Europe/Atlantis";
    world.load(dag);
    REQUIRE(world.runs.empty());
    world.trigger("dag");
    REQUIRE(world.run_state() == "running");
    world.restart();
    REQUIRE(world.run_state() == "running");
}

TEST_CASE("an idle scheduler has nothing to write", "[core][schedule]") {
    World world;
    world.load(daily(ScheduleKind::cron_interval, "2026-03-01"));
    Turn turn;
    REQUIRE(world.scheduler.step(Tick{}, world.now + 1h, turn) == Taken::yes);
    world.scheduler.dispatch(world.now + 1h, turn);
    REQUIRE_FALSE(turn.has_rows());
    REQUIRE(world.scheduler.next_wakeup() == at("2026-03-02"));
}

TEST_CASE(
    "many DAGs due at once have their runs in several turns, all at once", "[core][schedule]"
) {
    World world;
    constexpr std::size_t count = 600;
    world.now = at("2026-01-10T15:00");
    for (std::size_t i = 0; i < count; ++i) {
        auto dag = daily(ScheduleKind::cron_trigger, "2026-01-01");
        dag.dag_id = "dag" + std::to_string(i);
        world.load(dag);
    }
    REQUIRE(world.runs.empty());
    world.now += 9h;
    std::size_t created = 0;
    int turns = 0;
    std::size_t most = 0;
    for (; world.scheduler.next_wakeup() <= world.now; ++turns) {
        Turn turn;
        REQUIRE(world.scheduler.step(Tick{}, world.now, turn) == Taken::yes);
        world.scheduler.dispatch(world.now, turn);
        most = std::max(most, turn.runs.size());
        created += turn.runs.size();
        REQUIRE(turns < 10);
    }
    CHECK(created == count);
    CHECK(most < count / 2);
    CHECK(turns > 1);
}

}  // namespace
}  // namespace sluice::core
