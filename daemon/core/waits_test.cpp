// Tasks that wait: pokes by timer and event, what is written and what is not, and how waits end.
#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Outcome not_yet(std::optional<Instant> until, WaitKind kind = WaitKind::reschedule) {
    Outcome outcome;
    outcome.kind = OutcomeKind::waiting;
    outcome.wait = WaitOrder{};
    outcome.wait->kind = kind;
    outcome.wait->until = until;
    return outcome;
}

Outcome until_event(std::string event, Seq seen) {
    auto outcome = not_yet(std::nullopt, WaitKind::deferred);
    outcome.wait->event = std::move(event);
    outcome.wait->seen = seen;
    return outcome;
}

TEST_CASE("a wait is written once; later pokes write nothing", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"sensor", "work < sensor"}));
    world.trigger("dag");
    auto first = not_yet(world.now + 60s);
    first.wait->resume = R"({"n":1})";
    world.end("sensor", first);
    REQUIRE(world.state("sensor") == "up_for_reschedule");
    REQUIRE(world.waits.at(world.key("sensor")).resume == R"({"n":1})");
    REQUIRE(world.scheduler.counts().running_tasks == 0);
    REQUIRE(world.scheduler.next_wakeup() == world.now + 60s);

    const int written = world.written;
    for (int poke = 1; poke <= 3; ++poke) {
        world.wait(60s);
        const auto key = world.live_attempt("sensor");
        const auto& order = world.live.at(key);
        REQUIRE(key.start == 1);
        REQUIRE(order.try_number == 1);
        REQUIRE(order.poke->pokes == poke);
        REQUIRE(world.scheduler.counts().running_tasks == 1);
        auto again = not_yet(world.now + 60s);
        again.wait->resume = R"({"n":)" + std::to_string(poke + 1) + "}";
        REQUIRE(order.poke->resume == R"({"n":)" + std::to_string(poke) + "}");
        world.end("sensor", again);
        REQUIRE(world.scheduler.counts().running_tasks == 0);
    }
    REQUIRE(world.written == written);

    world.wait(60s);
    world.end("sensor");
    REQUIRE(world.state("sensor") == "success");
    REQUIRE(world.state("work") == "running");
    REQUIRE(world.instance("sensor").try_number == 1);
    REQUIRE(world.waits.at(world.key("sensor")).over);
}

TEST_CASE("a report of an older poke is no news", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag");
    world.end("sensor", not_yet(world.now));
    world.wait(1ms);
    const auto old = world.live_attempt("sensor");
    world.end("sensor", not_yet(world.now));
    world.wait(1ms);
    AttemptEnded late;
    late.result.key = old;
    world.turn({late});
    REQUIRE(world.state("sensor") == "up_for_reschedule");
    REQUIRE(world.scheduler.counts().running_tasks == 1);
    world.end("sensor");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("after a restart a task waits on, with its first poke and resume", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag");
    const Instant began = world.now;
    auto first = not_yet(world.now + 60s);
    first.wait->resume = "7";
    world.end("sensor", first);
    world.wait(60s);
    world.restart();  // in the middle of a poke: it is no attempt, and costs none
    REQUIRE(world.state("sensor") == "up_for_reschedule");
    REQUIRE(world.scheduler.counts().running_tasks == 0);
    world.wait(1s);
    const auto& order = world.live.at(world.live_attempt("sensor"));
    REQUIRE(order.poke->first_at == began);
    REQUIRE(order.poke->resume == "7");
    REQUIRE(order.try_number == 1);
    world.end("sensor");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("a poke outlives a reload", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag");
    world.end("sensor", not_yet(world.now + 60s));
    world.wait(60s);
    const auto key = world.live_attempt("sensor");
    world.restart({key});
    REQUIRE(world.cancels.empty());
    REQUIRE(world.scheduler.counts().running_tasks == 1);
    world.end("sensor");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("retries keep the time of the first poke", "[core][waits]") {
    World world;
    auto dag = make_dag("dag", {"sensor"});
    dag.tasks[0].retries = 1;
    dag.tasks[0].retry_delay = 10s;
    world.load(dag);
    world.trigger("dag");
    const Instant began = world.now;
    auto first = not_yet(world.now + 60s);
    first.wait->resume = "7";
    world.end("sensor", first);
    world.wait(60s);
    world.fail("sensor");
    REQUIRE(world.state("sensor") == "up_for_retry");
    world.restart();
    world.wait(10s);
    const auto& order = world.live.at(world.live_attempt("sensor"));
    REQUIRE(order.key.poke == 0);
    REQUIRE(order.try_number == 2);
    REQUIRE(order.poke->first_at == began);
    REQUIRE(order.poke->resume == "null");
    world.end("sensor", not_yet(world.now + 60s));
    REQUIRE(world.waits.at(world.key("sensor")).first_at == began);
    world.wait(60s);
    world.fail("sensor");
    REQUIRE(world.run_state() == "failed");
}

TEST_CASE("clear, mark and cancel end a wait, also in the middle of a poke", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag");
    world.end("sensor", not_yet(world.now + 60s));
    const bool poking = GENERATE(false, true);
    if (poking) world.wait(60s);
    const auto key = world.key("sensor");
    SECTION("mark") {
        SetTaskState mark;
        mark.tasks = {key};
        mark.state = TaskState::success;
        REQUIRE_FALSE(world.ask(mark).error);
        REQUIRE(world.run_state() == "success");
    }
    SECTION("clear") {
        ClearTasks clear;
        clear.run = key.run;
        world.ask(clear);
        REQUIRE(world.waits.at(key).over);
        REQUIRE(world.instance("sensor").try_number == 2);
        world.end("sensor", {}, "");
    }
    SECTION("cancel of the run") {
        SetRunState cancel;
        cancel.run = key.run;
        world.ask(cancel);
        REQUIRE(world.state("sensor") == "skipped");
        REQUIRE(world.run_state() == "failed");
    }
    REQUIRE(world.cancels.size() == (poking ? 1U : 0U));
    REQUIRE(world.waits.at(key).over);
}

TEST_CASE("a task waits for the run of another DAG, without looking again", "[core][waits]") {
    World world;
    world.load(make_dag("other", {"a"}));
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag", "mine");
    world.trigger("other", "theirs");
    world.end("sensor", until_event(run_event("other", "theirs"), world.last_seq));
    REQUIRE(world.state("sensor", "mine") == "deferred");
    REQUIRE_FALSE(world.scheduler.next_wakeup());
    world.end("a");
    REQUIRE(world.live.size() == 1);
    REQUIRE(world.live_attempt("sensor").poke != 0);
    world.end("sensor");
    REQUIRE(world.run_state("mine") == "success");
}

TEST_CASE("what ended between the look and the wait is not missed", "[core][waits]") {
    World world;
    world.load(make_dag("other", {"a"}));
    world.load(make_dag("dag", {"sensor"}));
    world.trigger("dag", "mine");
    world.trigger("other", "theirs");
    const Seq seen = world.last_seq;
    world.end("a");
    world.end("sensor", until_event(run_event("other", "theirs"), seen));
    world.wait(1ms);
    REQUIRE(world.live_attempt("sensor").poke != 0);
}

TEST_CASE("a deferred task holds its slots where the pool says so", "[core][waits]") {
    World world;
    const bool counted = GENERATE(false, true);
    PutPool put;
    put.pool.name = "small";
    put.pool.slots = 1;
    put.pool.include_deferred = counted;
    world.ask(put);
    auto dag = make_dag("dag", {"sensor", "work"});
    for (auto& task : dag.tasks) task.pool = "small";
    dag.tasks[0].effective_weight = 9;
    world.load(dag);
    world.trigger("dag");
    world.end("sensor", not_yet(world.now + 60s, WaitKind::deferred));
    REQUIRE(world.running().contains("work") == !counted);
    world.restart(counted ? std::vector<AttemptKey>{} : std::vector{world.live_attempt("work")});
    REQUIRE(world.running().contains("work") == !counted);
    if (!counted) world.end("work");
    world.wait(60s);
    world.end("sensor");
    if (counted) world.end("work");
    REQUIRE(world.run_state() == "success");
}

TEST_CASE("an answer is durable, given to the task, and counts once", "[core][waits]") {
    World world;
    world.load(make_dag("dag", {"ask"}));
    world.trigger("dag");
    auto question = not_yet(std::nullopt, WaitKind::input);
    question.wait->resume = R"({"subject":"go?"})";
    world.end("ask", question);
    REQUIRE(world.state("ask") == "awaiting_input");
    REQUIRE_FALSE(world.scheduler.next_wakeup());
    AnswerInput say;
    say.task = world.key("ask");
    say.answer = R"({"chosen":["Approve"]})";
    REQUIRE_FALSE(world.ask(say).error);
    const std::string resume = R"({"asked":{"subject":"go?"},"answer":{"chosen":["Approve"]}})";
    REQUIRE(world.waits.at(say.task).resume == resume);
    REQUIRE(world.ask(say).error == ErrorCode::conflict);
    world.restart();
    world.wait(1ms);
    REQUIRE(world.live.at(world.live_attempt("ask")).poke->resume == resume);
    REQUIRE(world.ask(say).error == ErrorCode::conflict);
    world.end("ask");
    REQUIRE(world.run_state() == "success");
    REQUIRE(world.waits.at(say.task).resume == resume);
}

TEST_CASE("every poke has the task's execution_timeout", "[core][waits]") {
    World world;
    auto dag = make_dag("dag", {"sensor"});
    dag.tasks[0].execution_timeout = 5s;
    world.load(dag);
    world.trigger("dag");
    world.end("sensor", not_yet(world.now + 60s));
    world.wait(60s);
    REQUIRE(world.cancels.empty());
    REQUIRE(world.live.at(world.live_attempt("sensor")).deadline == world.now + 5s);
}

}  // namespace
}  // namespace sluice::core
