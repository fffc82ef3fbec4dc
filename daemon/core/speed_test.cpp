// The cost of core alone, printed; hidden, run it with `sluice_core_test "[speed]"`.
#include <chrono>
#include <cstdio>
#include <deque>

#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using Clock = std::chrono::steady_clock;

/// Runs everything to its end, up to `slots` results a turn. Returns microseconds a task.
double drain(Scheduler& scheduler, Turn& turn, Instant now) {
    std::vector<AttemptKey> live;
    std::int64_t tasks = 0;
    const auto begin = Clock::now();
    for (;;) {
        for (const auto& order : turn.starts) live.push_back(order.key);
        if (live.empty()) break;
        tasks += static_cast<std::int64_t>(live.size());
        turn.clear();
        for (const auto& key : live) {
            AttemptEnded event;
            event.result.key = key;
            event.result.end_date = now;
            REQUIRE(scheduler.step(event, now, turn) == Taken::yes);
        }
        live.clear();
        scheduler.dispatch(now, turn);
    }
    const auto micros = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    return micros / static_cast<double>(tasks);
}

TEST_CASE("speed of a fan-out of 20,000 tasks", "[.][speed]") {
    for (const int slots : {8, 64}) {
        std::vector<std::string> lines{"start"};
        auto dag = make_dag("fan", lines);
        for (int i = 0; i < 20'000; ++i) {
            Task task;
            task.id = "t" + std::to_string(i);
            task.upstream = {0};
            dag.tasks.push_back(task);
        }
        Task end;
        end.id = "end";
        for (int i = 1; i <= 20'000; ++i) end.upstream.push_back(i);
        dag.tasks.push_back(end);
        REQUIRE(link_tasks(dag).empty());
        dag.max_active_tasks_per_run = slots;
        dag.version = {1};
        Scheduler scheduler{Settings{}, Snapshot{}};
        Turn turn;
        const Instant now = test::at("2026-01-01");
        REQUIRE(
            scheduler.step(DagLoaded{std::make_shared<const Dag>(dag), false}, now, turn) ==
            Taken::yes
        );
        TriggerRun trigger;
        trigger.dag_id = "fan";
        REQUIRE(scheduler.step(trigger, now, turn) == Taken::yes);
        scheduler.dispatch(now, turn);
        std::printf("%d slots: %.2f us a task\n", slots, drain(scheduler, turn, now));
        REQUIRE(scheduler.counts().open_runs == 0);
    }
}

TEST_CASE("speed of 10,000 open runs of three tasks", "[.][speed]") {
    auto dag = make_dag("many", {"a", "b < a", "c < b"});
    dag.max_active_runs = 10'000;
    dag.version = {1};
    Scheduler scheduler{Settings{}, Snapshot{}};
    Turn turn;
    const Instant now = test::at("2026-01-01");
    REQUIRE(
        scheduler.step(DagLoaded{std::make_shared<const Dag>(dag), false}, now, turn) == Taken::yes
    );
    const auto begin = Clock::now();
    for (int i = 0; i < 10'000; ++i) {
        TriggerRun trigger;
        trigger.dag_id = "many";
        REQUIRE(scheduler.step(trigger, now, turn) == Taken::yes);
    }
    scheduler.dispatch(now, turn);
    const auto micros = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    std::printf("created: %.2f us a run\n", micros / 10'000);
    std::printf("10,000 runs: %.2f us a task\n", drain(scheduler, turn, now));
    REQUIRE(scheduler.counts().open_runs == 0);
}

}  // namespace
}  // namespace sluice::core
