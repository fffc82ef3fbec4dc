#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;
using Ids = std::set<std::string>;

PutPool put_pool(const std::string& name, std::int64_t slots) {
    PutPool event;
    event.pool.name = name;
    event.pool.slots = slots;
    return event;
}

TEST_CASE("a pool gives out its slots and no more", "[core][pools]") {
    World world;
    world.ask(put_pool("db", 2));
    auto dag = make_dag("dag", {"a", "b", "c"});
    for (auto& task : dag.tasks) task.pool = "db";
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"a", "b"});
    world.end("a");
    REQUIRE(world.running() == Ids{"b", "c"});
}

TEST_CASE("a task that does not fit lets the ones behind it pass", "[core][pools]") {
    World world;
    world.ask(put_pool("db", 2));
    auto dag = make_dag("dag", {"small", "big", "other"});
    for (auto& task : dag.tasks) task.pool = "db";
    dag.tasks[0].priority_weight = 9;
    dag.tasks[1].priority_weight = 5;
    dag.tasks[1].pool_slots = 2;
    REQUIRE(link_tasks(dag).empty());
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"small", "other"});
}

TEST_CASE("but a task that waits too long gets the slots that come free", "[core][pools]") {
    World world;
    world.ask(put_pool("db", 2));
    auto dag = make_dag("dag", {"s1", "s2", "big", "s3", "s4"});
    for (auto& task : dag.tasks) {
        task.pool = "db";
        task.priority_weight = 1;
    }
    dag.tasks[2].pool_slots = 2;
    dag.tasks[2].priority_weight = 3;
    dag.tasks[0].priority_weight = dag.tasks[1].priority_weight = 9;
    REQUIRE(link_tasks(dag).empty());
    world.load(dag);
    world.trigger("dag");
    world.wait(31s);
    world.end("s1");
    REQUIRE(world.running() == Ids{"s2"});
    world.end("s2");
    REQUIRE(world.running() == Ids{"big"});
}

TEST_CASE("a pool that does not exist has no slots until it is made", "[core][pools]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].pool = "later";
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.live.empty());
    world.ask(put_pool("later", 1));
    REQUIRE(world.running() == Ids{"a"});
}

TEST_CASE("built-in pools cannot be changed, the default pool not removed", "[core][pools]") {
    World world;
    REQUIRE(world.ask(put_pool("cpu", 99)).error == ErrorCode::invalid);
    RemovePool remove;
    remove.name = "default_pool";
    REQUIRE(world.ask(remove).error == ErrorCode::invalid);
    remove.name = "nothing";
    REQUIRE(world.ask(remove).error == ErrorCode::not_found);
}

TEST_CASE("process tasks take threads and memory, inline ones do not", "[core][pools]") {
    Settings settings;
    settings.cpu = 2;
    settings.memory_mb = 1024;
    World world{settings};
    auto dag = make_dag("dag", {"p1", "p2", "i1", "huge"});
    for (const std::size_t i : {0U, 1U, 3U}) {
        dag.tasks[i].isolation = Isolation::process;
        dag.tasks[i].resources.memory_bytes = std::int64_t{600} << 20;
    }
    dag.tasks[3].resources.memory_bytes = std::int64_t{9000} << 20;
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"p1", "i1"});
    world.end("p1");
    REQUIRE(world.running() == Ids{"p2", "i1"});
    world.end("p2");
    REQUIRE(world.running() == Ids{"huge", "i1"});  // more than there is: runs alone
}

TEST_CASE(
    "the heavier task is first, then the older run, then the order of the file", "[core][order]"
) {
    Settings settings;
    settings.parallelism = 1;
    World world{settings};
    auto dag = make_dag("dag", {"light", "heavy", "light2"});
    dag.tasks[1].priority_weight = 7;
    REQUIRE(link_tasks(dag).empty());
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"heavy"});
    world.end("heavy");
    REQUIRE(world.running() == Ids{"light"});
    world.end("light");
    REQUIRE(world.running() == Ids{"light2"});
}

TEST_CASE("what has more below it starts first", "[core][order]") {
    Settings settings;
    settings.parallelism = 1;
    World world{settings};
    world.load(make_dag("dag", {"leaf", "root", "x < root", "y < x"}));
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"root"});
}

TEST_CASE("limits of a run, a DAG and a task hold attempts back", "[core][limits]") {
    World world;
    auto dag = make_dag("dag", {"a", "b", "c"});
    SECTION("max_active_tasks_per_run") {
        dag.max_active_tasks_per_run = 2;
        world.load(dag);
        world.trigger("dag", "r1");
        world.trigger("dag", "r2");
        REQUIRE(world.live.size() == 4);
    }
    SECTION("max_active_tasks_per_dag") {
        dag.max_active_tasks_per_dag = 3;
        world.load(dag);
        world.trigger("dag", "r1");
        world.trigger("dag", "r2");
        REQUIRE(world.live.size() == 3);
        world.end("a", {}, "r1");
        REQUIRE(world.live.size() == 3);
    }
    SECTION("max_active_tis_per_dag") {
        dag.tasks[0].max_active_tis_per_dag = 1;
        world.load(dag);
        world.trigger("dag", "r1");
        world.trigger("dag", "r2");
        REQUIRE(world.live.size() == 5);
        world.end("a", {}, "r1");
        REQUIRE(world.state("a", "r2") == "running");
    }
}

TEST_CASE(
    "a limit that one pool's tasks fill does not stop at the other pool's", "[core][limits]"
) {
    World world;
    world.ask(put_pool("full", 0));
    auto dag = make_dag("dag", {"a", "b", "c"});
    dag.max_active_tasks_per_run = 1;
    dag.tasks[0].pool = "full";
    dag.tasks[1].pool = "full";
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.running() == Ids{"c"});
    world.end("c");
    world.ask(put_pool("full", 5));
    REQUIRE(world.running() == Ids{"a"});
}

TEST_CASE("what pools are used for can be asked", "[core][pools]") {
    World world;
    world.ask(put_pool("db", 1));
    auto dag = make_dag("dag", {"a", "b"});
    for (auto& task : dag.tasks) task.pool = "db";
    world.load(dag);
    world.trigger("dag");
    for (const auto& use : world.scheduler.pool_use()) {
        if (use.pool.name != "db") continue;
        REQUIRE(use.running == 1);
        REQUIRE(use.scheduled == 1);
    }
    REQUIRE(world.scheduler.counts().ready_tasks == 1);
}

TEST_CASE("a limit over all runs is the current version's, after a restart too", "[core]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].max_active_tis_per_dag = 1;
    world.load(dag);
    world.trigger("dag", "first");
    dag.hash = "another";
    dag.tasks[0].max_active_tis_per_dag = 2;
    world.load(dag);
    world.trigger("dag", "second");
    REQUIRE(world.state("a", "second") == "running");
    world.trigger("dag", "third");
    REQUIRE(world.state("a", "third") == "none");
    world.restart({world.live_attempt("a", "first"), world.live_attempt("a", "second")});
    world.end("a", {}, "second");
    REQUIRE(world.state("a", "third") == "running");
}

}  // namespace
}  // namespace sluice::core
