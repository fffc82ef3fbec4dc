// Branches and their memory (semantics 15).
#include "core/test_world.hpp"

namespace sluice::core::test {
namespace {

Outcome choose(std::vector<std::string> chosen) {
    Outcome outcome;
    outcome.branch.emplace().chosen = std::move(chosen);
    return outcome;
}

Outcome skip_all() {
    Outcome outcome;
    outcome.branch.emplace().skip_all_below = true;
    return outcome;
}

/// branch -> a -> a2 -> join, branch -> b -> join, branch -> join.
Dag fork() {
    Dag dag = make_dag("d", {"branch", "a < branch", "a2 < a", "b < branch", "join < a2 b branch"});
    dag.tasks[4].trigger_rule = TriggerRule::none_failed_min_one_success;
    return dag;
}

ClearTasks clear(World& world, const std::string& task) {
    ClearTasks event;
    event.run = world.run().key;
    event.tasks = {world.key(task)};
    event.stored = world.stored(event.run);
    return event;
}

}  // namespace

TEST_CASE("branch: what is not chosen is skipped, what the choice leads to is not") {
    World world;
    world.load(fork());
    world.trigger("d");
    world.end("branch", choose({"a"}));
    REQUIRE(world.state("b") == "skipped");
    REQUIRE(world.running() == std::set<std::string>{"a"});
    REQUIRE(world.state("join") == "none");  // reachable from the choice, though a direct child
    world.end("a");
    world.end("a2");
    world.end("join");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("branch: nothing chosen skips all direct downstreams") {
    World world;
    world.load(fork());
    world.trigger("d");
    world.end("branch", choose({}));
    for (const char* task : {"a", "a2", "b", "join"}) REQUIRE(world.state(task) == "skipped");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("branch: a group stands for its tasks below the branch; other names fail the attempt") {
    World world;
    Dag dag = make_dag("d", {"branch", "g.x < branch", "g.y < branch", "z < branch"});
    dag.groups.push_back({"g", "", ""});
    dag.tasks[1].group = dag.tasks[2].group = "g";
    world.load(dag);
    world.trigger("d", "r1");
    world.end("branch", choose({"g"}));
    REQUIRE(world.running() == std::set<std::string>{"g.x", "g.y"});
    REQUIRE(world.state("z") == "skipped");
    World other;
    other.load(dag);
    other.trigger("d");
    other.end("branch", choose({"nowhere"}));
    REQUIRE(other.state("branch") == "failed");
    REQUIRE_THAT(other.instance("branch").error, Catch::Contains("\"nowhere\""));
    REQUIRE(other.run_state() == "failed");
}

TEST_CASE("branch: a cleared child is skipped again until the branch itself is cleared") {
    World world;
    world.load(fork());
    world.trigger("d");
    world.end("branch", choose({"a"}));
    world.end("a");
    world.end("a2");
    world.end("join");
    world.ask(clear(world, "b"));
    REQUIRE(world.state("b") == "skipped");
    REQUIRE(world.run_state() == "success");
    world.restart();
    world.ask(clear(world, "branch"));
    REQUIRE(world.branches.empty());
    REQUIRE(world.running() == std::set<std::string>{"branch"});
    world.ask(clear(world, "b"));
    world.end("branch", choose({"b"}));
    REQUIRE(world.running() == std::set<std::string>{"b"});
}

TEST_CASE("branch: the choice outlives the daemon") {
    World world;
    Dag dag = fork();
    dag.max_active_tasks_per_run = 1;
    world.load(dag);
    world.trigger("d");
    world.end("branch", choose({"b"}));
    world.ask(clear(world, "a"));
    world.restart();
    REQUIRE(world.state("a") == "skipped");
    REQUIRE(world.running() == std::set<std::string>{"b"});
}

TEST_CASE("short-circuit: everything below is skipped whatever its rule, but teardowns") {
    World world;
    Dag dag = make_dag("d", {"stop", "x < stop", "always < x", "setup", "down < setup always"});
    dag.tasks[2].trigger_rule = TriggerRule::all_done;
    dag.tasks[3].is_setup = true;
    dag.tasks[4].is_teardown = true;
    dag.tasks[4].trigger_rule = TriggerRule::all_done_setup_success;
    world.load(dag);
    world.trigger("d");
    world.end("stop", skip_all());
    REQUIRE(world.state("x") == "skipped");
    REQUIRE(world.state("always") == "skipped");
    world.end("setup");
    REQUIRE(world.running() == std::set<std::string>{"down"});
}

}  // namespace sluice::core::test
