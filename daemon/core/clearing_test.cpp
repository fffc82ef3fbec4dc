#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;
using Ids = std::set<std::string>;

/// A chain a, b, c whose run has ended: b failed.
void fail_in_the_middle(World& world) {
    world.load(make_dag("dag", {"a", "b < a", "c < b"}));
    world.trigger("dag");
    world.end("a");
    world.fail("b");
    REQUIRE(world.run_state() == "failed");
}

ClearTasks clear_of(const World& world, const std::vector<std::string>& tasks) {
    ClearTasks clear;
    clear.run = world.run().key;
    for (const auto& task : tasks) clear.tasks.push_back(world.key(task));
    clear.stored = world.stored(clear.run);
    return clear;
}

TEST_CASE("clearing a failed task runs it and what was stopped by it again", "[core][clear]") {
    World world;
    fail_in_the_middle(world);
    auto clear = clear_of(world, {"b"});
    clear.downstream = true;
    const auto answer = world.ask(clear);
    REQUIRE(answer.instances.size() == 2);
    REQUIRE(world.run_state() == "running");
    REQUIRE(world.run().clear_number == 1);
    REQUIRE(world.running() == Ids{"b"});
    REQUIRE(world.instance("b").try_number == 2);
    REQUIRE(world.attempts.back().try_number == 1);
    world.end("b");
    world.end("c");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("a dry run lists and changes nothing", "[core][clear]") {
    World world;
    fail_in_the_middle(world);
    auto clear = clear_of(world, {});
    clear.only_failed = true;
    clear.dry_run = true;
    REQUIRE(world.ask(clear).instances.size() == 2);
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.scheduler.counts().open_runs == 0);
}

TEST_CASE("upstream and downstream widen a clear in one direction each", "[core][clear]") {
    World world;
    fail_in_the_middle(world);
    auto clear = clear_of(world, {"b"});
    clear.dry_run = true;
    REQUIRE(world.ask(clear).instances.size() == 1);
    clear.upstream = true;
    REQUIRE(world.ask(clear).instances.size() == 2);
    clear.downstream = true;
    REQUIRE(world.ask(clear).instances.size() == 3);
}

TEST_CASE("a running task that is cleared is stopped first, then runs again", "[core][clear]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    world.load(dag);
    world.trigger("dag");
    world.ask(clear_of(world, {"a"}));
    REQUIRE(world.state("a") == "restarting");
    REQUIRE(world.cancels.size() == 1);
    world.fail("a");
    REQUIRE(world.state("a") == "running");
    REQUIRE(world.instance("a").try_number == 2);
    world.end("a");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("a cleared task has all its retries again", "[core][clear]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].retries = 1;
    dag.tasks[0].retry_delay = 0s;
    world.load(dag);
    world.trigger("dag");
    world.fail("a");
    world.fail("a");
    REQUIRE(world.state("a") == "failed");
    world.ask(clear_of(world, {"a"}));
    REQUIRE(world.instance("a").max_tries == 3);
    world.fail("a");
    REQUIRE(world.state("a") == "running");
}

TEST_CASE("what waits for a cleared upstream waits again", "[core][clear]") {
    Settings settings;
    settings.parallelism = 1;
    World world{settings};
    auto dag = make_dag("dag", {"a", "b < a", "x"});
    dag.tasks[0].priority_weight = 9;
    dag.tasks[2].priority_weight = 5;
    REQUIRE(link_tasks(dag).empty());
    world.load(dag);
    world.trigger("dag");
    world.end("a");
    REQUIRE(world.running() == Ids{"x"});
    world.ask(clear_of(world, {"a"}));
    while (!world.live.empty()) {
        const auto id = *world.running().begin();
        if (id == "b") REQUIRE(world.instance("a").try_number == 2);
        world.end(id);
    }
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("setting a run to failed stops its tasks at once", "[core][mark]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a"}));
    world.trigger("dag");
    SetRunState cancel;
    cancel.run = world.run().key;
    REQUIRE_FALSE(world.ask(cancel).error);
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.run().reason == "cancelled by ada");
    REQUIRE(world.state("a") == "failed");
    REQUIRE(world.state("b") == "skipped");
    REQUIRE(world.cancels.back().reason == CancelReason::user);
    world.end("a");  // the attempt's own end is no longer news
    REQUIRE(world.state("a") == "failed");
}

TEST_CASE("a run that has not begun is cancelled without touching its tasks", "[core][mark]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.is_paused_upon_creation = true;
    world.load(dag);
    world.trigger("dag");
    SetRunState cancel;
    cancel.run = world.run().key;
    world.ask(cancel);
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.instances.empty());
}

TEST_CASE("a failed task that is marked a success lets what is below it run", "[core][mark]") {
    World world;
    fail_in_the_middle(world);
    SetTaskState mark;
    mark.tasks = {world.key("b")};
    mark.stored = world.stored(world.run().key);
    REQUIRE_FALSE(world.ask(mark).error);
    REQUIRE(world.state("b") == "success");
    REQUIRE(world.running() == Ids{"c"});
    world.end("c");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("marking the last task of a finished run changes the run's state", "[core][mark]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    world.end("a");
    SetTaskState mark;
    mark.tasks = {world.key("a")};
    mark.state = TaskState::failed;
    mark.stored = world.stored(world.run().key);
    world.ask(mark);
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.scheduler.counts().open_runs == 0);
}

TEST_CASE("a task that is not in the run, a state that cannot be set: refused", "[core][mark]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    SetTaskState mark;
    mark.tasks = {{world.run().key, 7, unmapped}};
    REQUIRE(world.ask(mark).error == ErrorCode::not_found);
    mark.tasks = {world.key("a")};
    mark.state = TaskState::running;
    REQUIRE(world.ask(mark).error == ErrorCode::invalid);
}

TEST_CASE("a result and a clear in one turn: the clear is put off to the next", "[core][turn]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a"}));
    world.trigger("dag");
    AttemptEnded ended;
    ended.result.key = world.live_attempt("a");
    ended.result.end_date = world.now;
    world.live.clear();
    const auto clear = clear_of(world, {"a"});
    Turn turn;
    REQUIRE(world.scheduler.step(ended, world.now, turn) == Taken::yes);
    REQUIRE(world.scheduler.step(clear, world.now, turn) == Taken::next_turn);
    world.scheduler.dispatch(world.now, turn);
    world.take(turn);
    REQUIRE(turn.answers.empty());
}

}  // namespace
}  // namespace sluice::core
