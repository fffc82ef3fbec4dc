#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;

constexpr CallbackOn all_events[] = {
    CallbackOn::execute,
    CallbackOn::success,
    CallbackOn::failure,
    CallbackOn::retry,
    CallbackOn::skipped,
};

Callback callback(CallbackOn on, int deadline = -1) {
    return {on, "http", R"({"url":"http://localhost/"})", deadline};
}

/// Every callback on every task and on the DAG.
Dag loud_dag(const std::vector<std::string>& lines) {
    Dag dag = make_dag("dag", lines);
    for (Task& task : dag.tasks)
        for (const auto on : all_events) task.callbacks.push_back(callback(on));
    dag.callbacks = {callback(CallbackOn::success), callback(CallbackOn::failure)};
    return dag;
}

/// "a on_success", "run on_failure", in the order in which they came due; forgets them.
std::vector<std::string> told(World& world) {
    std::vector<std::string> out;
    for (const auto& due : world.callbacks) {
        const auto& row = world.runs.at(due.key.run);
        const std::string who =
            due.key.task == no_task
                ? "run"
                : world.version(row.version)->tasks[static_cast<std::size_t>(due.key.task)].id;
        out.push_back(who + ' ' + std::string(name(due.callback.on)));
    }
    world.callbacks.clear();
    return out;
}

using Told = std::vector<std::string>;

TEST_CASE("callbacks come due with the transitions they speak of", "[core][callbacks]") {
    World world;
    Dag dag = loud_dag({"a", "b < a"});
    dag.tasks[0].retries = 1;
    dag.tasks[0].retry_delay = 10s;
    world.load(dag);
    world.trigger("dag");
    REQUIRE(told(world) == Told{"a on_execute"});
    world.fail("a");
    REQUIRE(world.callbacks.back().reason == "no");
    REQUIRE(world.callbacks.back().try_number == 1);
    REQUIRE(told(world) == Told{"a on_retry"});
    world.wait(10s);
    REQUIRE(told(world) == Told{"a on_execute"});
    world.end("a");
    REQUIRE(told(world) == Told{"a on_success", "b on_execute"});
    world.fail("b", ErrorClass::permanent);
    REQUIRE(told(world) == Told{"b on_failure", "run on_failure"});
}

TEST_CASE("who is skipped by itself is told, who is never reached is not", "[core][callbacks]") {
    World world;
    world.load(loud_dag({"a", "b < a"}));
    world.trigger("dag");
    Outcome skipped;
    skipped.kind = OutcomeKind::skipped;
    world.end("a", skipped);
    REQUIRE(world.state("b") == "skipped");
    REQUIRE(told(world) == Told{"a on_execute", "a on_skipped", "run on_success"});
    world.trigger("dag", "second");
    told(world);
    AttemptEnded event;
    event.result.key = world.live_attempt("a");
    event.result.outcome.kind = OutcomeKind::failed;
    event.result.outcome.error_class = ErrorClass::permanent;
    world.turn({event});
    REQUIRE(told(world) == Told{"a on_failure", "run on_failure"});
}

TEST_CASE("a deadline that passes is told once, over restarts too", "[core][deadlines]") {
    World world;
    Dag dag = make_dag("dag", {"a"});
    dag.deadlines = {{DeadlineFrom::queued_at, 1h, {}}, {DeadlineFrom::queued_at, 3h, {}}};
    dag.callbacks = {callback(CallbackOn::deadline, 0), callback(CallbackOn::deadline, 1)};
    dag.tasks[0].deadlines = {{DeadlineFrom::queued_at, 30min, {}}};
    dag.tasks[0].callbacks = {callback(CallbackOn::deadline, 0)};
    world.load(dag);
    world.trigger("dag");
    world.wait(29min);
    REQUIRE(told(world).empty());
    world.wait(1min);
    REQUIRE(told(world) == Told{"a deadline"});
    const auto alive = world.live_attempt("a");
    world.restart({alive});
    REQUIRE(told(world).empty());
    world.wait(30min);
    REQUIRE(told(world) == Told{"run deadline"});
    world.restart({alive});
    world.wait(1h);
    REQUIRE(told(world).empty());
    world.end("a");
    REQUIRE(world.run_state() == "success");
    world.wait(5h);
    REQUIRE(told(world).empty());
}

TEST_CASE("deadlines by logical date and at a fixed time", "[core][deadlines]") {
    World world;
    Dag dag = make_dag("dag", {"a"});
    dag.deadlines = {
        {DeadlineFrom::logical_date, 2h, {}}, {DeadlineFrom::fixed, 0s, world.now + 3h}
    };
    dag.callbacks = {callback(CallbackOn::deadline, 0), callback(CallbackOn::deadline, 1)};
    world.load(dag);
    TriggerRun event;
    event.dag_id = "dag";
    event.run_id = "r";
    event.logical_date = world.now - 1h;
    world.ask(event);
    REQUIRE(told(world).empty());
    world.wait(1h);
    REQUIRE(told(world).size() == 1);
    world.wait(2h);
    REQUIRE(told(world).size() == 1);
}

TEST_CASE("a success and a clear drop the checkpoint", "[core][checkpoint]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    AttemptEnded event;
    event.result.key = world.live_attempt("a");
    event.result.end_date = world.now;
    event.result.checkpointed = true;
    world.turn({event});
    REQUIRE(world.checkpoints_dropped == std::vector{world.key("a")});
    ClearTasks clear;
    clear.run = world.run().key;
    clear.stored = world.stored(clear.run);
    world.ask(clear);
    REQUIRE(world.checkpoints_dropped.size() == 2);
}

}  // namespace
}  // namespace sluice::core
