#include "core/retry.hpp"

#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Dag one_task(int retries, Duration delay) {
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].retries = retries;
    dag.tasks[0].retry_delay = delay;
    return dag;
}

TEST_CASE("a failed task is retried after its delay", "[core][retry]") {
    World world;
    world.load(one_task(1, 30s));
    world.trigger("dag");
    world.fail("a");
    REQUIRE(world.state("a") == "up_for_retry");
    REQUIRE(world.scheduler.next_wakeup() == world.now + 30s);
    world.wait(29s);
    REQUIRE(world.live.empty());
    world.wait(1s);
    REQUIRE(world.state("a") == "running");
    REQUIRE(world.attempts.back().try_number == 1);
    REQUIRE(world.attempts.back().error == "no");
    world.fail("a");
    REQUIRE(world.state("a") == "failed");
    REQUIRE(world.run_state() == "failed");
}

TEST_CASE("only passing troubles are retried", "[core][retry]") {
    using E = ErrorClass;
    for (const auto error : {E::none, E::transient, E::rate_limited, E::resource})
        REQUIRE(is_retryable(error));
    for (const auto error : {E::auth, E::schema, E::data_quality, E::permanent})
        REQUIRE_FALSE(is_retryable(error));
    World world;
    world.load(one_task(3, 0s));
    world.trigger("dag");
    world.fail("a", E::schema);
    REQUIRE(world.state("a") == "failed");
}

TEST_CASE("a retry without delay starts in the next turn", "[core][retry]") {
    World world;
    world.load(one_task(1, 0s));
    world.trigger("dag");
    world.fail("a");
    REQUIRE(world.state("a") == "running");
    REQUIRE(world.instance("a").try_number == 2);
}

TEST_CASE("the server's wish is honoured, for a day at most", "[core][retry]") {
    Task task;
    Outcome outcome;
    outcome.retry_after = 42s;
    const RetrySeed seed{"dag", "a", at("2026-01-01"), 1};
    REQUIRE(retry_delay(task, 1, seed, outcome) == 42s);
    outcome.retry_after = 1000h;
    REQUIRE(retry_delay(task, 1, seed, outcome) == 24h);
}

TEST_CASE("back-off grows by its multiplier, with a jitter that repeats", "[core][retry]") {
    Task task;
    task.retry_delay = 10s;
    task.retry_multiplier = 2;
    const RetrySeed seed{"dag", "a", at("2026-01-01"), 1};
    for (int attempts = 1; attempts < 8; ++attempts) {
        const Duration base = 10s * (1 << (attempts - 1));
        const auto delay = retry_delay(task, attempts, seed, {});
        REQUIRE(delay >= base);
        REQUIRE(delay < 2 * base);
        REQUIRE(delay == retry_delay(task, attempts, seed, {}));
    }
    SECTION("up to a day, or to max_retry_delay") {
        REQUIRE(retry_delay(task, 60, seed, {}) == 24h);
        task.max_retry_delay = 15s;
        REQUIRE(retry_delay(task, 60, seed, {}) == 15s);
    }
    SECTION("and without a multiplier the delay is as written") {
        task.retry_multiplier = 0;
        REQUIRE(retry_delay(task, 5, seed, {}) == 10s);
    }
}

TEST_CASE("the jitter is SHA-1 of dag, task, date and try, modulo the base", "[core][retry]") {
    Task task;
    task.retry_delay = 100s;
    task.retry_multiplier = 2;
    // python: int(hashlib.sha1(b"dag#a#2026-01-01T00:00:00+00:00#1").hexdigest(), 16) % 100
    REQUIRE(retry_delay(task, 1, {"dag", "a", at("2026-01-01"), 1}, {}) == 100s + 87s);
}

TEST_CASE("a lost attempt is started again and costs no retry", "[core][lost]") {
    World world;
    world.load(one_task(0, 0s));
    world.trigger("dag");
    Outcome lost;
    lost.kind = OutcomeKind::lost;
    world.end("a", lost);
    REQUIRE(world.state("a") == "running");
    REQUIRE(world.instance("a").try_number == 2);
    REQUIRE(world.instance("a").max_tries == 1);
    REQUIRE(world.attempts.back().lost);
    world.fail("a");
    REQUIRE(world.state("a") == "failed");
}

TEST_CASE("a task that is lost again and again fails and says so", "[core][lost]") {
    Settings settings;
    settings.max_lost_attempts = 3;
    World world{settings};
    world.load(one_task(0, 0s));
    world.trigger("dag");
    Outcome lost;
    lost.kind = OutcomeKind::lost;
    for (int i = 0; i < 3; ++i) world.end("a", lost);
    REQUIRE(world.state("a") == "failed");
    REQUIRE(world.instance("a").error.find("lost 3 times in a row") != std::string::npos);
}

TEST_CASE("on_lost fail: the command does not run twice", "[core][lost]") {
    World world;
    auto dag = one_task(3, 0s);
    dag.tasks[0].on_lost = OnLost::fail;
    world.load(dag);
    world.trigger("dag");
    world.restart();
    REQUIRE(world.state("a") == "failed");
    REQUIRE(world.live.empty());
}

TEST_CASE(
    "an attempt over its execution_timeout is cancelled, and may be retried", "[core][timeout]"
) {
    World world;
    auto dag = one_task(1, 10s);
    dag.tasks[0].execution_timeout = 60s;
    world.load(dag);
    world.trigger("dag");
    REQUIRE(world.live.begin()->second.deadline == world.now + 60s);
    world.wait(60s);
    REQUIRE(world.cancels.size() == 1);
    REQUIRE(world.cancels[0].reason == CancelReason::timeout);
    world.fail("a", ErrorClass::permanent);  // however the executor puts it
    REQUIRE(world.state("a") == "up_for_retry");
    REQUIRE(world.instance("a").error_class == ErrorClass::transient);
}

TEST_CASE("a run over its dagrun_timeout fails and what is left is skipped", "[core][timeout]") {
    World world;
    auto dag = make_dag("dag", {"a", "b < a"});
    dag.dagrun_timeout = 60s;
    world.load(dag);
    world.trigger("dag");
    world.wait(60s);
    REQUIRE(world.run_state() == "failed");
    REQUIRE(world.run().reason == "dagrun_timeout");
    REQUIRE(world.state("a") == "skipped");
    REQUIRE(world.state("b") == "skipped");
    REQUIRE(world.cancels.back().reason == CancelReason::run_timeout);
}

TEST_CASE("the first rule of the error's class decides", "[core][retry]") {
    World world;
    auto dag = one_task(3, 300s);
    dag.tasks[0].retry_policy = {
        {"permanent", true, 7s}, {"transient", false, {}}, {"permanent", false, {}}
    };
    world.load(dag);
    world.trigger("dag");
    world.fail("a", ErrorClass::permanent);
    REQUIRE(world.state("a") == "up_for_retry");
    REQUIRE(world.scheduler.next_wakeup() == world.now + 7s);
    world.wait(7s);
    world.fail("a", ErrorClass::resource);  // no rule: as always
    REQUIRE(world.scheduler.next_wakeup() == world.now + 300s);
    world.wait(300s);
    world.fail("a", ErrorClass::transient);
    REQUIRE(world.state("a") == "failed");
}

TEST_CASE(
    "a policy grants no more than the retries, and a server's wish goes before its delay",
    "[core][retry]"
) {
    World world;
    auto dag = one_task(1, 300s);
    dag.tasks[0].retry_policy = {{"rate_limited", true, 7s}};
    world.load(dag);
    world.trigger("dag");
    Outcome limited;
    limited.kind = OutcomeKind::failed;
    limited.error_class = ErrorClass::rate_limited;
    limited.retry_after = 42s;
    world.end("a", limited);
    REQUIRE(world.scheduler.next_wakeup() == world.now + 42s);
    world.wait(42s);
    world.fail("a", ErrorClass::rate_limited);
    REQUIRE(world.state("a") == "failed");
}

}  // namespace
}  // namespace sluice::core
