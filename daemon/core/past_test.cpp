// What a run waits for in the run before it (semantics 8).
#include "core/backfill.hpp"
#include "core/test_world.hpp"

namespace sluice::core::test {
namespace {

void trigger(World& world, const std::string& run_id, int day) {
    TriggerRun event;
    event.dag_id = "d";
    event.run_id = run_id;
    event.logical_date = at("2026-01-01T00:00:00Z") + std::chrono::days{day};
    REQUIRE_FALSE(world.ask(event).error);
}

Dag with_past() {
    Dag dag = make_dag("d", {"a", "b < a"});
    dag.tasks[1].depends_on_past = true;
    return dag;
}

void finish(World& world, const std::string& run) {
    world.end("a", {}, run);
    world.end("b", {}, run);
}

void clear(World& world, const std::string& run, const std::string& task) {
    ClearTasks event;
    event.run = world.run(run).key;
    event.tasks = {{event.run, find_task(*world.version(world.run(run).version), task), unmapped}};
    event.stored = world.stored(event.run);
    REQUIRE_FALSE(world.ask(event).error);
}

}  // namespace

TEST_CASE("depends_on_past: a task waits for itself in the open run before") {
    World world;
    world.load(with_past());
    trigger(world, "r1", 1);
    trigger(world, "r2", 2);
    world.end("a", {}, "r2");
    REQUIRE(world.state("b", "r2") == "none");
    REQUIRE(world.run_state("r2") == "running");  // it waits, it is not stuck
    world.end("a", {}, "r1");
    REQUIRE(world.state("b", "r2") == "none");
    world.end("b", {}, "r1");
    REQUIRE(world.state("b", "r2") == "running");
    REQUIRE(world.run_state("r1") == "success");
}

TEST_CASE("depends_on_past: a failure holds the next run until it is cleared and done") {
    World world;
    world.load(with_past());
    trigger(world, "r1", 1);
    world.end("a");
    world.fail("b", ErrorClass::permanent);
    REQUIRE(world.run_state("r1") == "failed");
    trigger(world, "r2", 2);
    world.end("a", {}, "r2");
    REQUIRE(world.state("b", "r2") == "none");
    const auto block = world.scheduler.past_block({world.run("r2").key, 1, unmapped});
    REQUIRE(block);
    REQUIRE(block->run_id == "r1");
    REQUIRE(block->task_id == "b");
    REQUIRE(block->state == TaskState::failed);
    world.restart();
    REQUIRE(world.state("b", "r2") == "none");
    clear(world, "r1", "b");
    REQUIRE(world.state("b", "r1") == "running");
    REQUIRE(world.state("b", "r2") == "none");
    world.end("b", {}, "r1");
    REQUIRE(world.state("b", "r2") == "running");
}

TEST_CASE("depends_on_past: a finished run before counts after a restart, a skip is good") {
    World world;
    world.load(with_past());
    trigger(world, "r1", 1);
    world.end("a");
    Outcome skipped;
    skipped.kind = OutcomeKind::skipped;
    world.end("b", skipped);
    world.restart();
    trigger(world, "r2", 2);
    world.end("a", {}, "r2");
    REQUIRE(world.state("b", "r2") == "running");
}

TEST_CASE("depends_on_past: a run that is made between two takes the place of the older one") {
    World world;
    world.load(with_past());
    trigger(world, "r1", 1);
    finish(world, "r1");
    trigger(world, "r3", 3);
    trigger(world, "r2", 2);
    world.end("a", {}, "r3");
    REQUIRE(world.state("b", "r3") == "none");
    finish(world, "r2");
    REQUIRE(world.state("b", "r3") == "running");
}

TEST_CASE("wait_for_downstream: the downstreams of the run before count too") {
    World world;
    Dag dag = make_dag("d", {"a", "b < a"});
    dag.tasks[0].depends_on_past = dag.tasks[0].wait_for_downstream = true;
    world.load(dag);
    trigger(world, "r1", 1);
    world.end("a", {}, "r1");
    trigger(world, "r2", 2);
    REQUIRE(world.state("a", "r2") == "none");
    world.end("b", {}, "r1");
    REQUIRE(world.state("a", "r2") == "running");
}

TEST_CASE("depends_on_previous_tasks: the tasks it names, the first run waits for nothing") {
    World world;
    Dag dag = make_dag("d", {"a", "b < a"});
    dag.tasks[0].depends_on_previous_tasks = {1};
    world.load(dag);
    trigger(world, "r1", 1);
    REQUIRE(world.state("a", "r1") == "running");
    trigger(world, "r2", 2);
    REQUIRE(world.state("a", "r2") == "none");
    finish(world, "r1");
    REQUIRE(world.state("a", "r2") == "running");
}

TEST_CASE("depends_on_past: a task that no earlier run had waits for nothing, unless it says so") {
    for (const bool ignore : {true, false}) {
        World world;
        world.load(make_dag("d", {"a"}));
        trigger(world, "r1", 1);
        world.end("a");
        Dag dag = make_dag("d", {"a", "new"});
        dag.tasks[1].depends_on_past = true;
        dag.tasks[1].ignore_first_depends_on_past = ignore;
        world.load(dag);
        trigger(world, "r2", 2);
        REQUIRE(world.state("new", "r2") == (ignore ? "running" : "none"));
    }
}

TEST_CASE("depends_on_past: a task is not the first once an older run that has it is made") {
    for (const bool ends : {false, true}) {
        World world;
        world.load(make_dag("d", {"a"}));
        trigger(world, "r2", 2);
        world.end("a");
        Dag dag = make_dag("d", {"a", "new"});
        dag.tasks[1].depends_on_past = true;
        dag.tasks[1].pool = "later";
        world.load(dag);
        trigger(world, "r3", 3);  // r2, the run before, has no such task: it waits for a slot alone
        dag.tasks[1].pool = "default_pool";
        world.load(dag);
        trigger(world, "r1", 1);
        if (ends) {
            world.end("a", {}, "r1");
            world.end("new", {}, "r1");
            REQUIRE(world.run_state("r1") == "success");
        }
        PutPool put;
        put.pool.name = "later";
        put.pool.slots = 1;
        world.ask(put);
        CHECK(world.state("new", "r3") == "none");
        CHECK(world.scheduler.past_block({world.run("r3").key, 1, unmapped})->is_absent);
        world.restart();
        CHECK(world.state("new", "r3") == "none");
    }
}

TEST_CASE("wait_for_past_depends_before_skipping: a skip waits for the past") {
    for (const bool waits : {false, true}) {
        World world;
        Dag dag = with_past();
        dag.tasks[1].wait_for_past_depends_before_skipping = waits;
        world.load(dag);
        trigger(world, "r1", 1);
        trigger(world, "r2", 2);
        Outcome skipped;
        skipped.kind = OutcomeKind::skipped;
        world.end("a", skipped, "r2");
        REQUIRE(world.state("b", "r2") == (waits ? "none" : "skipped"));
        finish(world, "r1");
        REQUIRE(world.state("b", "r2") == "skipped");
        REQUIRE(world.run_state("r2") == "success");
    }
}

TEST_CASE("catchup: manual runs are no past, and neither is what lies before the start") {
    World world;
    Dag dag = with_past();
    dag.catchup = true;
    world.load(dag);
    trigger(world, "r1", 1);
    trigger(world, "r2", 2);
    world.end("a", {}, "r2");
    REQUIRE(world.state("b", "r2") == "running");
}

TEST_CASE("backfill: its first run waits for nothing, and backwards is refused") {
    World world;
    Dag dag = with_past();
    dag.schedule.kind = ScheduleKind::cron_interval;
    dag.schedule.crons = {"0 0 * * *"};
    dag.start_date = at("2026-01-01T00:00:00Z");
    dag.is_paused_upon_creation = false;
    dag.on_unpause = OnUnpause::none;
    world.load(dag);
    trigger(world, "r1", 1);
    world.end("a");
    world.fail("b", ErrorClass::permanent);
    CreateBackfill event;
    event.backfill.dag_id = "d";
    event.backfill.from_date = at("2026-01-05T00:00:00Z");
    event.backfill.to_date = at("2026-01-06T00:00:00Z");
    event.backfill.run_backwards = true;
    REQUIRE(world.ask(event).error == ErrorCode::invalid);
    event.backfill.run_backwards = false;
    REQUIRE_FALSE(world.ask(event).error);
    const std::string first = "backfill__2026-01-06T00:00:00+00:00";
    const std::string second = "backfill__2026-01-07T00:00:00+00:00";
    world.end("a", {}, first);
    REQUIRE(world.state("b", first) == "running");
    world.end("a", {}, second);
    REQUIRE(world.state("b", second) == "none");
    world.end("b", {}, first);
    REQUIRE(world.state("b", second) == "running");
}

}  // namespace sluice::core::test
