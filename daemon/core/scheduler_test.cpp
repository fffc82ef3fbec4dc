#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;
using Ids = std::set<std::string>;

TEST_CASE("a chain of n tasks costs n + 1 turns", "[core]") {
    World world;
    world.load(make_dag("chain", {"a", "b < a", "c < b"}));
    const int before = world.turns;
    world.trigger("chain");
    REQUIRE(world.running() == Ids{"a"});
    world.end("a");
    REQUIRE(world.running() == Ids{"b"});
    REQUIRE(world.run_state() == "running");
    world.end("b");
    world.end("c");
    REQUIRE(world.run_state() == "success");
    REQUIRE(world.turns - before == 4);
    REQUIRE(world.scheduler.counts().open_runs == 0);
    REQUIRE_FALSE(world.scheduler.next_wakeup());
}

TEST_CASE("a start is one transition from none to running", "[core]") {
    World world;
    world.load(make_dag("one", {"a"}));
    world.trigger("one");
    const auto& start = world.transitions.back();
    REQUIRE(start.from == static_cast<int>(TaskState::none));
    REQUIRE(start.to == static_cast<int>(TaskState::running));
    REQUIRE(start.cause == "dispatch");
    REQUIRE(world.instance("a").try_number == 1);
    REQUIRE(world.instance("a").start_date == world.now);
}

TEST_CASE("a failure reaches everything below, and the run fails", "[core]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a", "c < b", "d"}));
    world.trigger("dag");
    world.fail("a");
    REQUIRE(world.state("b") == "upstream_failed");
    REQUIRE(world.state("c") == "upstream_failed");
    REQUIRE(world.run_state() == "running");
    world.end("d");
    REQUIRE(world.run_state() == "failed");
}

TEST_CASE("a result that comes twice, or for an older attempt, changes nothing", "[core]") {
    World world;
    auto dag = make_dag("dag", {"a", "b"});
    dag.tasks[0].retries = 1;
    dag.tasks[0].retry_delay = 0s;
    world.load(dag);
    world.trigger("dag");
    const auto first = world.live_attempt("a");
    world.fail("a");
    REQUIRE(world.running() == Ids{"a", "b"});
    AttemptEnded late;
    late.result.key = first;
    late.result.end_date = world.now;
    const auto seq = world.last_seq;
    world.turn({late, late});
    REQUIRE(world.last_seq == seq);
    REQUIRE(world.state("a") == "running");
}

TEST_CASE("a run that is not known, a DAG that is not known: the caller is told", "[core]") {
    World world;
    REQUIRE(world.trigger("nothing").error == ErrorCode::not_found);
    world.load(make_dag("dag", {"a"}));
    REQUIRE_FALSE(world.trigger("dag", "one").error);
    REQUIRE(world.trigger("dag", "one").error == ErrorCode::conflict);
    REQUIRE(world.trigger("dag", "a b").error == ErrorCode::invalid);
    REQUIRE(world.trigger("dag", "scheduled__2026-01-01").error == ErrorCode::invalid);
    REQUIRE(world.ask(SetRunState{}).error == ErrorCode::not_found);
}

TEST_CASE("the id of a manual run names its time and does not repeat", "[core]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    TriggerRun trigger;
    trigger.dag_id = "dag";
    const auto first = world.ask(trigger).run->run_id;
    const auto second = world.ask(trigger).run->run_id;
    REQUIRE(first.starts_with("manual__2026-01-10T00:00:00+00:00_"));
    REQUIRE(first != second);
    trigger.logical_date = at("2026-01-05");
    const auto answer = world.ask(trigger);
    REQUIRE(answer.run->run_id == "manual__2026-01-10T00:00:00+00:00");
    REQUIRE(answer.run->data_interval == Interval{at("2026-01-05"), at("2026-01-05")});
    REQUIRE(world.ask(trigger).error == ErrorCode::conflict);
}

TEST_CASE("a run does not start before its run_after", "[core]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    TriggerRun trigger;
    trigger.dag_id = "dag";
    trigger.run_after = world.now + 1h;
    world.ask(trigger);
    REQUIRE(world.run_state() == "queued");
    REQUIRE(world.scheduler.next_wakeup() == world.now + 1h);
    world.wait(1h);
    REQUIRE(world.run_state() == "running");
}

TEST_CASE("a run of a paused DAG is accepted and waits", "[core]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.is_paused_upon_creation = true;
    world.load(dag);
    REQUIRE_FALSE(world.trigger("dag").error);
    REQUIRE(world.run_state() == "queued");
    PauseDag unpause;
    unpause.dag_id = "dag";
    unpause.paused = false;
    world.ask(unpause);
    REQUIRE(world.run_state() == "running");
}

TEST_CASE("at most max_active_runs run; the next starts with the end of one", "[core]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.max_active_runs = 2;
    world.load(dag);
    for (const char* run : {"r1", "r2", "r3"}) world.trigger("dag", run);
    REQUIRE(world.run_state("r3") == "queued");
    world.end("a", {}, "r1");
    REQUIRE(world.run_state("r3") == "running");
}

TEST_CASE("an open run stays on the version it began with", "[core]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a"}));
    world.trigger("dag", "old");
    world.load(make_dag("dag", {"a", "c < a"}));
    world.end("a");
    REQUIRE(world.running() == Ids{"b"});
    world.end("b");
    world.trigger("dag", "new");
    world.end("a");
    REQUIRE(world.running() == Ids{"c"});
}

TEST_CASE("a DAG whose file is gone finishes its runs and starts none", "[core]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a"}));
    world.trigger("dag", "r1");
    world.turn({DagGone{"dag"}});
    REQUIRE(world.dags.at("dag").is_stale);
    REQUIRE(world.trigger("dag", "r2").error == ErrorCode::conflict);
    world.end("a");
    world.end("b");
    REQUIRE(world.run_state("r1") == "success");
}

TEST_CASE("every command leaves a line in the audit log", "[core]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    REQUIRE(world.audits.back().event == "trigger_dag_run");
    REQUIRE(world.audits.back().actor == "ada");
    REQUIRE(world.audits.back().run_id == "r");
}

TEST_CASE("after a kill the run goes on; lost attempts are started again", "[core][recovery]") {
    World world;
    world.load(make_dag("dag", {"a", "b < a", "c < a"}));
    world.trigger("dag");
    world.end("a");
    const auto kept = world.live_attempt("b");
    world.restart({kept});
    REQUIRE(world.running() == Ids{"b", "c"});
    REQUIRE(world.instance("b").try_number == 1);
    REQUIRE(world.instance("c").try_number == 2);
    REQUIRE(world.instance("c").max_tries == 1);
    REQUIRE(world.attempts.back().lost);
    world.end("b");
    world.end("c");
    REQUIRE(world.run_state() == "success");
}

}  // namespace
}  // namespace sluice::core
