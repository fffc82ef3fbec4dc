// Runs made by updates of assets.
#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Dag writer(const std::string& dag_id, const std::string& asset) {
    Dag dag = make_dag(dag_id, {dag_id + "_task"});
    dag.tasks[0].outlets = {asset};
    return dag;
}

Dag reader(const AssetCondition& condition, bool batch = true) {
    Dag dag = make_dag("reader", {"read"});
    dag.schedule.assets = condition;
    dag.schedule.asset_batch = batch;
    return dag;
}

AssetCondition all(std::vector<std::string> names) { return {false, std::move(names), {}}; }
AssetCondition any(std::vector<std::string> names) { return {true, std::move(names), {}}; }

void push(World& world, const std::string& asset) {
    CreateAssetEvent event;
    event.asset = asset;
    const auto& answer = world.ask(event);
    REQUIRE(answer.asset_event);
    REQUIRE(answer.asset_event->id == world.asset_events.back().id);
}

/// The events of each run of the reader, in order of the runs.
std::vector<std::vector<std::int64_t>> taken(const World& world) {
    std::vector<std::vector<std::int64_t>> out;
    for (const auto& [run, events] : world.asset_uses) out.push_back(events);
    return out;
}

PauseDag pause(bool paused) {
    PauseDag event;
    event.dag_id = "reader";
    event.paused = paused;
    return event;
}

using Runs = std::vector<std::vector<std::int64_t>>;

TEST_CASE("a run is made when all assets were updated, of all their updates", "[core][assets]") {
    World world;
    world.load(writer("a", "raw.a"));
    world.load(reader(all({"raw.a", "raw.b"})));
    for (int i = 0; i < 2; ++i) {
        world.trigger("a", "r" + std::to_string(i));
        world.end("a_task");
    }
    REQUIRE(world.asset_events.size() == 2);
    CHECK(world.asset_events[0].run_id == "r0");
    CHECK(world.asset_events[0].task_id == "a_task");
    CHECK(taken(world).empty());
    CHECK(world.scheduler.queued_asset_events("reader", "").size() == 2);
    const auto why = world.scheduler.why("reader");
    REQUIRE(why);
    REQUIRE(why->size() == 1);
    CHECK(why->front().condition == "asset_not_updated");
    CHECK(why->front().text == "waits for an update of raw.b");
    push(world, "raw.b");
    REQUIRE(taken(world) == Runs{{1, 2, 3}});
    const DagRun run = world.run("asset_triggered__2026-01-10T00:00:00+00:00_3");
    CHECK(run.type == RunType::asset_triggered);
    CHECK(run.triggered_by == TriggeredBy::asset);
    CHECK_FALSE(run.logical_date);
    CHECK(world.scheduler.queued_asset_events("reader", "").empty());
    world.end("read");
    CHECK(taken(world).size() == 1);
}

TEST_CASE("only success updates an asset", "[core][assets]") {
    World world;
    world.load(writer("a", "raw.a"));
    world.trigger("a", "r1");
    world.fail("a_task", ErrorClass::permanent);
    world.trigger("a", "r2");
    Outcome skipped;
    skipped.kind = OutcomeKind::skipped;
    world.end("a_task", skipped);
    CHECK(world.asset_events.empty());
}

TEST_CASE("a run made by assets has the interval of the runs behind them", "[core][assets]") {
    World world;
    world.load(writer("a", "raw.a"));
    world.load(reader(all({"raw.a"})));
    TriggerRun trigger;
    trigger.dag_id = "a";
    trigger.data_interval = Interval{at("2026-01-05"), at("2026-01-06")};
    world.ask(trigger);
    world.end("a_task");
    REQUIRE(taken(world).size() == 1);
    CHECK(world.runs.rbegin()->second.data_interval->start == at("2026-01-05"));
    CHECK(world.runs.rbegin()->second.data_interval->end == at("2026-01-06"));
}

TEST_CASE("and, or and nesting", "[core][assets]") {
    const AssetCondition condition{false, {"raw.a"}, {any({"raw.b", "raw.c"})}};
    World world;
    world.load(reader(condition));
    push(world, "raw.b");
    push(world, "raw.d");
    CHECK(taken(world).empty());
    push(world, "raw.a");
    CHECK(taken(world) == Runs{{1, 3}});
    push(world, "raw.c");
    push(world, "raw.a");
    CHECK(taken(world).back() == std::vector<std::int64_t>{4, 5});
}

TEST_CASE("without batch each update makes a run of its own", "[core][assets]") {
    World world;
    world.load(reader(any({"raw.a", "raw.b"}), false));
    world.ask(pause(true));
    for (const char* asset : {"raw.a", "raw.b", "raw.a"}) push(world, asset);
    CHECK(taken(world).empty());
    world.ask(pause(false));
    CHECK(taken(world) == Runs{{1}, {3}, {2}});
}

TEST_CASE("events wait while the DAG is paused, and are one run afterwards", "[core][assets]") {
    World world;
    world.load(reader(all({"raw.a"})));
    world.ask(pause(true));
    push(world, "raw.a");
    push(world, "raw.a");
    CHECK(world.runs.empty());
    world.restart();
    CHECK(world.runs.empty());
    world.ask(pause(false));
    CHECK(taken(world) == Runs{{1, 2}});
}

TEST_CASE("beyond max_active_runs events wait, over a restart too", "[core][assets]") {
    World world;
    Dag dag = reader(all({"raw.a"}));
    dag.max_active_runs = 1;
    world.load(dag);
    push(world, "raw.a");
    push(world, "raw.a");
    push(world, "raw.a");
    CHECK(taken(world) == Runs{{1}});
    world.restart();
    CHECK(taken(world) == Runs{{1}});
    world.end("read");
    CHECK(taken(world) == Runs{{1}, {2, 3}});
    world.restart();
    CHECK(taken(world).size() == 2);
}

TEST_CASE(
    "a DAG sees what happens after it waits, and forgets what it is told to", "[core][assets]"
) {
    World world;
    push(world, "raw.a");
    world.load(reader(all({"raw.a", "raw.b"})));
    push(world, "raw.b");
    CHECK(taken(world).empty());
    ForgetAssetEvents forget;
    forget.dag_id = "reader";
    forget.asset = "raw.b";
    CHECK(world.ask(forget).affected == 1);
    CHECK(world.ask(forget).affected == 0);
    push(world, "raw.a");
    CHECK(taken(world).empty());
    push(world, "raw.b");
    CHECK(taken(world) == Runs{{3, 4}});
    // Another condition: what is no longer waited for leaves nothing behind.
    world.load(reader(all({"raw.c"})));
    CHECK(world.asset_marks.size() == 1);
    CHECK(world.scheduler.subscribers_of("raw.a").empty());
}

TEST_CASE("or_cron: both make runs, each for itself", "[core][assets]") {
    World world;
    Dag dag = reader(all({"raw.a"}));
    dag.schedule.kind = ScheduleKind::cron_trigger;
    dag.schedule.crons = {"0 * * * *"};
    dag.start_date = at("2026-01-10");
    world.now = at("2026-01-10T00:30");
    world.load(dag);
    push(world, "raw.a");
    CHECK(taken(world) == Runs{{1}});
    world.wait(40min);
    REQUIRE(world.runs.size() == 2);
    CHECK(world.runs.rbegin()->second.type == RunType::scheduled);
    push(world, "raw.a");
    CHECK(taken(world) == Runs{{1}, {2}});
}

}  // namespace
}  // namespace sluice::core
