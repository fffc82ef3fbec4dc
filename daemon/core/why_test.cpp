#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

Names conditions(const std::optional<Reasons>& reasons) {
    REQUIRE(reasons);
    Names names;
    for (const auto& reason : *reasons) {
        names.push_back(reason.condition);
        REQUIRE(!reason.text.empty());
    }
    return names;
}

PutPool pool(const std::string& name, std::int64_t slots) {
    PutPool event;
    event.pool.name = name;
    event.pool.slots = slots;
    return event;
}

TEST_CASE("why: a run of a paused DAG, and after what it names is gone it starts", "[core][why]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.is_paused_upon_creation = true;
    world.load(dag);
    world.trigger("dag");
    const RunKey key = world.run().key;
    REQUIRE(conditions(world.scheduler.why(key)) == Names{"dag_paused"});
    REQUIRE(conditions(world.scheduler.why(world.key("a"))) == Names{"run_queued", "dag_paused"});
    REQUIRE(conditions(world.scheduler.why("dag")) == Names{"dag_paused", "no_schedule"});
    PauseDag unpause;
    unpause.dag_id = "dag";
    unpause.paused = false;
    world.ask(unpause);
    REQUIRE(world.state("a") == "running");
    REQUIRE(conditions(world.scheduler.why(key)).empty());
    REQUIRE(conditions(world.scheduler.why(world.key("a"))).empty());
}

TEST_CASE("why: max_active_runs names the limit, the end of a run lifts it", "[core][why]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.max_active_runs = 1;
    world.load(dag);
    world.trigger("dag", "first");
    world.trigger("dag", "second");
    REQUIRE(conditions(world.scheduler.why(world.run("second").key)) == Names{"max_active_runs"});
    world.end("a", {}, "first");
    REQUIRE(world.run_state("second") == "running");
}

TEST_CASE("why: a task names the upstreams that its rule waits for", "[core][why]") {
    World world;
    world.load(make_dag("dag", {"a", "b", "c < a b"}));
    world.trigger("dag");
    REQUIRE(
        conditions(world.scheduler.why(world.key("c"))) == Names{"trigger_rule", "trigger_rule"}
    );
    world.end("a");
    const auto reasons = world.scheduler.why(world.key("c"));
    REQUIRE(conditions(reasons) == Names{"trigger_rule"});
    REQUIRE(reasons->front().object == "dag.r.b");
    REQUIRE(reasons->front().text == "its rule all_success waits for the end of b (running)");
    world.end("b");
    REQUIRE(world.state("c") == "running");
}

TEST_CASE("why: a full pool is told with who holds it, a missing one by its name", "[core][why]") {
    World world;
    world.ask(pool("db", 1));
    auto dag = make_dag("dag", {"a", "b"});
    for (auto& task : dag.tasks) task.pool = "db";
    world.load(dag);
    world.trigger("dag");
    const auto reasons = world.scheduler.why(world.key("b"));
    REQUIRE(conditions(reasons) == Names{"pool"});
    REQUIRE(reasons->front().object == "db");
    REQUIRE(reasons->front().text == "pool \"db\" has 0 of 1 slots free, 1 are needed: dag.r.a");
    world.ask(pool("db", 2));
    REQUIRE(world.state("b") == "running");
}

TEST_CASE("why: all limits that are full are told, not the first alone", "[core][why]") {
    Settings settings;
    settings.parallelism = 1;
    World world{settings};
    world.ask(pool("db", 1));
    auto dag = make_dag("dag", {"a", "b"});
    for (auto& task : dag.tasks) task.pool = "db";
    dag.max_active_tasks_per_run = 1;
    dag.max_active_tasks_per_dag = 1;
    world.load(dag);
    world.trigger("dag");
    REQUIRE(
        conditions(world.scheduler.why(world.key("b"))) ==
        Names{"parallelism", "max_active_tasks_per_run", "max_active_tasks_per_dag", "pool"}
    );
}

TEST_CASE("why: what waits for an upstream names the full pool too", "[core][why]") {
    World world;
    world.ask(pool("db", 1));
    auto dag = make_dag("dag", {"a", "b", "c < a"});
    dag.tasks[1].pool = dag.tasks[2].pool = "db";
    world.load(dag);
    world.trigger("dag");
    REQUIRE(conditions(world.scheduler.why(world.key("c"))) == Names{"trigger_rule", "pool"});
    world.end("a");
    REQUIRE(conditions(world.scheduler.why(world.key("c"))) == Names{"pool"});
}

TEST_CASE("why: a cleared attempt that ends gives back what it holds", "[core][why]") {
    World world;
    world.ask(pool("db", 1));
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].pool = "db";
    dag.max_active_tasks_per_run = 1;
    world.load(dag);
    world.trigger("dag");
    ClearTasks clear;
    clear.run = world.run().key;
    world.ask(clear);
    REQUIRE(world.state("a") == "restarting");
    REQUIRE(conditions(world.scheduler.why(world.key("a"))) == Names{"restarting"});
    world.ask(pool("db", 0));
    REQUIRE(conditions(world.scheduler.why(world.key("a"))) == Names{"restarting", "pool"});
}

TEST_CASE("why: a failed try names when the next one is due", "[core][why]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].retries = 1;
    dag.tasks[0].retry_delay = 60s;
    world.load(dag);
    world.trigger("dag");
    world.fail("a");
    const auto reasons = world.scheduler.why(world.key("a"));
    REQUIRE(conditions(reasons) == Names{"retry_delay"});
    REQUIRE(reasons->front().until == world.now + 60s);
    world.wait(60s);
    REQUIRE(world.state("a") == "running");
}

TEST_CASE("why: a run that has ended, or a task that is not there, is not known", "[core][why]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    const TaskKey key = world.key("a");
    REQUIRE(!world.scheduler.why(TaskKey{key.run, 7, unmapped}));
    world.end("a");
    REQUIRE(!world.scheduler.why(key.run));
    REQUIRE(!world.scheduler.why("other"));
}

}  // namespace
}  // namespace sluice::core
