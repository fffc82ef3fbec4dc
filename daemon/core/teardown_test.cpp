// Setups and teardowns (semantics 16), runs that end before their last task (semantics 5).
#include "core/test_world.hpp"

namespace sluice::core::test {
namespace {

/// setup -> work -> more -> teardown, and setup -> teardown.
Dag scoped() {
    Dag dag = make_dag("d", {"setup", "work < setup", "more < work", "teardown < setup more"});
    dag.tasks[0].is_setup = true;
    dag.tasks[3].is_teardown = true;
    dag.tasks[3].trigger_rule = TriggerRule::all_done_setup_success;
    return dag;
}

SetRunState set(World& world, RunState state) {
    SetRunState event;
    event.run = world.run().key;
    event.state = state;
    event.stored = world.stored(event.run);
    return event;
}

}  // namespace

TEST_CASE("teardown: it runs whatever became of the work, and the run ends as the work did") {
    World world;
    world.load(scoped());
    world.trigger("d");
    world.end("setup");
    world.fail("work", ErrorClass::permanent);
    REQUIRE(world.state("more") == "upstream_failed");
    REQUIRE(world.running() == std::set<std::string>{"teardown"});
    world.end("teardown");
    REQUIRE(world.run_state() == "failed");
}

TEST_CASE("teardown: its own failure counts only if it says so") {
    for (const bool counts : {false, true}) {
        World world;
        Dag dag = scoped();
        dag.tasks[3].on_failure_fail_dagrun = counts;
        world.load(dag);
        world.trigger("d");
        for (const char* task : {"setup", "work", "more"}) world.end(task);
        world.fail("teardown", ErrorClass::permanent);
        REQUIRE(world.run_state() == (counts ? "failed" : "success"));
        if (!counts) REQUIRE(world.run().reason == "with failures: teardown");
    }
}

TEST_CASE("teardown: without a setup that succeeded it does not run") {
    World world;
    world.load(scoped());
    world.trigger("d", "r1");
    world.fail("setup", ErrorClass::permanent);
    REQUIRE(world.state("teardown") == "upstream_failed");
    REQUIRE(world.run_state() == "failed");
    World other;
    other.load(scoped());
    other.trigger("d");
    Outcome skipped;
    skipped.kind = OutcomeKind::skipped;
    other.end("setup", skipped);
    REQUIRE(other.state("teardown") == "skipped");
    REQUIRE(other.run_state() == "success");
}

TEST_CASE("setup: work below one that failed does not start, however far below") {
    World world;
    Dag dag = make_dag("d", {"setup", "one < setup", "two < one", "down < setup two"});
    dag.tasks[0].is_setup = true;
    dag.tasks[2].trigger_rule = TriggerRule::all_done;  // would run, but for its setup
    dag.tasks[3].is_teardown = true;
    dag.tasks[3].trigger_rule = TriggerRule::all_done_setup_success;
    world.load(dag);
    world.trigger("d");
    world.fail("setup", ErrorClass::permanent);
    REQUIRE(world.state("two") == "upstream_failed");
    REQUIRE(world.run_state() == "failed");
}

TEST_CASE("clear: work is done again between its setup and its teardown") {
    World world;
    world.load(scoped());
    world.trigger("d");
    for (const char* task : {"setup", "work", "more", "teardown"}) world.end(task);
    ClearTasks clear;
    clear.run = world.run().key;
    clear.tasks = {world.key("more")};
    clear.stored = world.stored(clear.run);
    REQUIRE(world.ask(clear).instances.size() == 3);
    REQUIRE(world.running() == std::set<std::string>{"setup"});
    REQUIRE(world.state("work") == "success");
}

TEST_CASE("cancel: teardowns still run, the end waits for them and survives a restart") {
    World world;
    world.load(scoped());
    world.trigger("d");
    world.end("setup");
    world.ask(set(world, RunState::failed));
    REQUIRE(world.state("work") == "failed");
    REQUIRE(world.state("more") == "skipped");
    REQUIRE(world.running().contains("teardown"));
    REQUIRE(world.run_state() == "running");
    world.restart();
    REQUIRE(world.run_state() == "running");
    world.end("teardown");
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.run().reason == "cancelled by ada");
    REQUIRE(world.endings.empty());
}

TEST_CASE("cancel: asked for twice, teardowns are stopped too") {
    World world;
    world.load(scoped());
    world.trigger("d");
    world.end("setup");
    world.ask(set(world, RunState::success));
    REQUIRE(world.run_state() == "running");
    world.ask(set(world, RunState::success));
    REQUIRE(world.run_state() == "success");
    REQUIRE(world.state("teardown") == "success");
}

TEST_CASE("fail_fast: the first final failure ends all but teardowns") {
    World world;
    Dag dag = make_dag("d", {"setup", "a < setup", "b < setup", "c < a", "down < setup c b"});
    dag.tasks[0].is_setup = true;
    dag.tasks[4].is_teardown = true;
    dag.tasks[4].trigger_rule = TriggerRule::all_done_setup_success;
    dag.tasks[1].retries = 1;
    dag.fail_fast = true;
    world.load(dag);
    world.trigger("d");
    world.end("setup");
    world.fail("a", ErrorClass::transient);
    REQUIRE(world.state("b") == "running");
    world.wait(300s);
    world.fail("a", ErrorClass::transient);
    REQUIRE(world.state("b") == "failed");
    REQUIRE(world.cancels.size() == 1);
    REQUIRE(world.state("c") == "skipped");
    REQUIRE(world.running().contains("down"));
    world.end("down");
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.run().reason == "fail_fast: a failed");
}

TEST_CASE("a DAG pauses itself after failures in a row, counted across restarts") {
    World world;
    Dag dag = make_dag("d", {"a"});
    dag.max_consecutive_failed_dag_runs = 2;
    world.load(dag);
    world.trigger("d", "r1");
    world.fail("a", ErrorClass::permanent);
    world.trigger("d", "r2");
    world.end("a");
    REQUIRE(world.failures.at("d").count == 0);
    world.trigger("d", "r3");
    world.fail("a", ErrorClass::permanent);
    REQUIRE_FALSE(world.dags.at("d").is_paused);
    world.restart();
    world.trigger("d", "r4");
    world.fail("a", ErrorClass::permanent);
    REQUIRE(world.dags.at("d").is_paused);
    REQUIRE(world.failures.at("d").count == 2);
}

}  // namespace sluice::core::test
