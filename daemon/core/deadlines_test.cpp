#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Dag dag_by(DeadlineFrom from, Duration interval, int limit, int min_runs) {
    Dag dag = make_dag("dag", {"a", "b < a"});
    dag.deadlines = {{from, interval, {}, limit, min_runs, 75}};
    dag.callbacks = {
        {CallbackOn::deadline, "http", "{}", 0}, {CallbackOn::predicted, "http", "{}", 0}
    };
    return dag;
}

/// A run in which each of the two tasks takes half of the time.
void make_run(World& world, const std::string& id, Duration took) {
    world.trigger("dag", id);
    for (const auto* task : {"a", "b"}) {
        world.wait(took / 2);
        world.end(task, {}, id);
    }
    REQUIRE(world.run_state(id) == "success");
}

DeadlineRow row_of(const World& world, const std::string& run, TaskNo task = no_task) {
    return world.deadlines.at({{world.run(run).key, task, unmapped}, 0});
}

std::vector<CallbackOn> told(World& world) {
    std::vector<CallbackOn> out;
    for (const auto& due : world.callbacks) out.push_back(due.callback.on);
    world.callbacks.clear();
    return out;
}
using Told = std::vector<CallbackOn>;

TEST_CASE("a deadline by the mean of past runs", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::average, 10min, 2, 2));
    make_run(world, "r1", 80min);
    REQUIRE_FALSE(row_of(world, "r1").at);  // nothing to go by
    make_run(world, "r2", 20min);
    REQUIRE_FALSE(row_of(world, "r2").at);  // one run is too few
    make_run(world, "r3", 40min);
    REQUIRE(row_of(world, "r3").at == world.run("r3").queued_at + 60min);
    make_run(world, "r4", 40min);  // the last two runs count
    REQUIRE(row_of(world, "r4").at == world.run("r4").queued_at + 40min);
}

TEST_CASE("a deadline by a percentile of past runs", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::percentile, 0s, 10, 1));
    make_run(world, "r1", 10min);
    make_run(world, "r2", 30min);
    REQUIRE(row_of(world, "r2").at == world.run("r2").queued_at + 10min);
    make_run(world, "r3", 20min);
    make_run(world, "r4", 60min);
    world.trigger("dag", "r5");  // 75 of a hundred: the third of four
    REQUIRE(row_of(world, "r5").at == world.run("r5").queued_at + 30min);
}

TEST_CASE("a task's deadline by past runs counts from the run", "[core][deadlines]") {
    World world;
    Dag dag = make_dag("dag", {"a", "b < a"});
    dag.tasks[0].deadlines = {{DeadlineFrom::average, 5min, {}, 1, 1}};
    dag.tasks[0].callbacks = {{CallbackOn::deadline, "http", "{}", 0}};
    world.load(dag);
    make_run(world, "r1", 20min);
    world.trigger("dag", "r2");
    REQUIRE(row_of(world, "r2", 0).at == world.run("r2").queued_at + 15min);
    world.wait(15min);
    REQUIRE(told(world) == Told{CallbackOn::deadline});
    REQUIRE(row_of(world, "r2", 0).missed_at == world.now);
}

TEST_CASE("the answer is asked for again after a restart", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::average, 0s, 1, 1));
    make_run(world, "r1", 20min);
    world.trigger("dag", "r2");
    const auto known = row_of(world, "r2");
    REQUIRE(known.at);
    world.deadlines.clear();  // killed before the answer was there
    world.restart({world.live_attempt("a")});
    REQUIRE(row_of(world, "r2").at == known.at);
    world.restart({world.live_attempt("a")});
    world.wait(20min);
    REQUIRE(row_of(world, "r2").missed_at == world.now);
}

TEST_CASE("that a deadline is going to be missed is told once, and before", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::queued_at, 50min, 1, 1));
    make_run(world, "r1", 40min);
    REQUIRE(told(world).empty());
    world.trigger("dag", "r2");
    world.wait(30min);  // b takes 20 minutes and might begin now
    REQUIRE(told(world).empty());
    const auto next = world.scheduler.next_wakeup();
    REQUIRE(next == world.now + Duration{1});
    world.wait(1s);
    REQUIRE(told(world) == Told{CallbackOn::predicted});
    REQUIRE(row_of(world, "r2").predicted_at == world.now);
    world.restart({world.live_attempt("a")});
    world.turn({PacesKnown{"dag", {{"a", {1200, 1}}, {"b", {1200, 1}}}}});
    REQUIRE(told(world).empty());
    world.end("a");
    world.wait(20min);
    REQUIRE(told(world) == Told{CallbackOn::deadline});
    world.end("b", {}, "r2");
    world.wait(5h);
    REQUIRE(told(world).empty());
}

TEST_CASE("a queued run and a retry are foreseen too", "[core][deadlines]") {
    World world;
    Dag dag = dag_by(DeadlineFrom::queued_at, 50min, 1, 1);
    dag.tasks[1].retries = 1;
    dag.tasks[1].retry_delay = 1s;
    dag.max_active_runs = 1;
    world.load(dag);
    make_run(world, "r1", 40min);
    world.trigger("dag", "r2");
    world.trigger("dag", "r3");
    world.wait(10min + 1s);
    REQUIRE(told(world) == Told{CallbackOn::predicted});  // r3 has not begun
    REQUIRE(row_of(world, "r3").predicted_at == world.now);
    world.end("a", {}, "r2");
    world.wait(25min);
    REQUIRE(told(world).empty());
    world.fail("b");  // 15 minutes are left for what takes 20
    REQUIRE(row_of(world, "r2").predicted_at == world.now);
}

TEST_CASE("nothing is foreseen of tasks that never ran", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::queued_at, 1min, 1, 1));
    world.trigger("dag", "r1");
    world.wait(1min);
    REQUIRE(told(world) == Told{CallbackOn::deadline});
}

TEST_CASE("a clear begins the deadlines anew", "[core][deadlines]") {
    World world;
    world.load(dag_by(DeadlineFrom::queued_at, 30min, 1, 1));
    make_run(world, "r1", 40min);
    REQUIRE(row_of(world, "r1").missed_at);
    told(world);
    ClearTasks clear;
    clear.run = world.run().key;
    clear.stored = world.stored(clear.run);
    world.ask(clear);
    REQUIRE(row_of(world, "r1").at == world.now + 30min);
    REQUIRE_FALSE(row_of(world, "r1").missed_at);
}

}  // namespace
}  // namespace sluice::core
