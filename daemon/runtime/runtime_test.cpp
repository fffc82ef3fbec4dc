#include "runtime/runtime.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "runtime/waiter.hpp"
#include "store/memory_journal.hpp"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

/// Ends every attempt at once, from a thread of its own as a real executor does.
class InstantExecutor final : public executor::Executor {
public:
    ~InstantExecutor() override { stop(); }

    void expand(ExpandOrder, std::function<void(executor::ExpandAnswer)>) override {}
    void start(std::vector<AttemptOrder> orders) override {
        const std::lock_guard lock(mutex_);
        for (auto& order : orders) {
            AttemptResult result{.key = order.key, .end_date = order.start_date};
            unacknowledged_.emplace(order.key, result);
            ++started;
            if (hold) continue;
            threads_.emplace_back([this, result] { report({result}); });
        }
    }
    void cancel(const CancelOrder&) override {}
    [[nodiscard]] std::vector<AttemptKey> alive() const override {
        const std::lock_guard lock(mutex_);
        std::vector<AttemptKey> keys;
        for (const auto& [key, result] : unacknowledged_) keys.push_back(key);
        return keys;
    }
    void acknowledge(const AttemptKey& key) override {
        const std::lock_guard lock(mutex_);
        unacknowledged_.erase(key);
    }
    void repost() override {
        const std::lock_guard lock(mutex_);
        for (const auto& [key, result] : unacknowledged_)
            threads_.emplace_back([this, result = result] { report({result}); });
    }
    void stop() override {
        for (;;) {
            std::vector<std::thread> threads;
            {
                const std::lock_guard lock(mutex_);
                threads.swap(threads_);
            }
            if (threads.empty()) return;
            for (auto& thread : threads) thread.join();
        }
    }

    Report report;
    int started{0};
    bool hold{false};  // set before the first start

private:
    mutable std::mutex mutex_;
    std::map<AttemptKey, AttemptResult> unacknowledged_;
    std::vector<std::thread> threads_;
};

Dag chain(int length) {
    Dag dag;
    dag.dag_id = "chain";
    dag.hash = "h1";
    dag.fileloc = "chain.json";
    dag.is_paused_upon_creation = false;
    for (int i = 0; i < length; ++i) {
        Task task;
        task.id = "t" + std::to_string(i);
        task.operator_name = "anything";
        task.with = "{}";
        if (i > 0) task.upstream = {i - 1};
        dag.tasks.push_back(std::move(task));
    }
    const auto cycle = link_tasks(dag);
    REQUIRE(cycle.empty());
    return dag;
}

struct World {
    SystemClock clock;
    store::MemoryJournal journal;
    InstantExecutor executor;
    Runtime runtime{{}, clock, journal, executor, [](const auto&) -> DagPtr { return nullptr; }};

    World() {
        executor.report = [this](std::vector<AttemptResult> results) {
            runtime.report(std::move(results));
        };
        runtime.start();
    }
    ~World() {
        runtime.stop();
        executor.stop();
    }

    Answer trigger(const std::string& run_id) {
        return runtime.call(core::TriggerRun{.dag_id = "chain", .run_id = run_id});
    }

    /// Waits until the run is finished and tells how.
    RunState wait(const std::shared_ptr<Feed::Subscription>& feed, const std::string& run_id) {
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (const auto change = feed->next(deadline))
            for (const auto& run : (*change)->runs)
                if (run.run_id == run_id && is_finished(run.state)) return run.state;
        FAIL("the run did not end");
        return RunState::failed;
    }
};

}  // namespace

TEST_CASE("a triggered chain ends in n + 1 commits", "[runtime]") {
    World world;
    world.runtime.define(chain(10), {});
    const auto feed = world.runtime.feed().subscribe();
    const auto before = world.journal.turn();
    const auto answer = world.trigger("r1");
    REQUIRE_FALSE(answer.error.has_value());
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    world.runtime.query([&](const core::Scheduler&) {
        REQUIRE(world.journal.turn() - before == 11);
    });
}

TEST_CASE("an answer is told when it is committed, while nobody waits for it", "[runtime]") {
    World world;
    world.runtime.define(chain(1), {});
    const auto feed = world.runtime.feed().subscribe();
    std::promise<Answer> told;
    const auto trigger = [&] {
        told = {};
        world.runtime.call_later(
            core::TriggerRun{.dag_id = "chain", .run_id = "r1"},
            [&](std::shared_future<Answer> answer) { told.set_value(answer.get()); }
        );
        return told.get_future().get();
    };
    REQUIRE_FALSE(trigger().error.has_value());
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    CHECK(trigger().error == ErrorCode::conflict);
    // The commit's connection breaks: the answer says so, and is told once.
    std::atomic<int> losses{1};
    world.journal.set_faults([&](std::int64_t) {
        return losses.fetch_sub(1) > 0 ? store::MemoryJournal::Fault::deposed
                                       : store::MemoryJournal::Fault::none;
    });
    told = {};
    world.runtime.call_later(
        core::TriggerRun{.dag_id = "chain", .run_id = "r2"},
        [&](std::shared_future<Answer> answer) { told.set_value(answer.get()); }
    );
    CHECK(told.get_future().get().error == ErrorCode::unavailable);
}

TEST_CASE("patience with an answer ends with its time, or with the database", "[runtime]") {
    LoopFigures figures;
    figures.database_available = true;
    Patience calm(figures);
    CHECK_NOTHROW(calm.check());
    Patience none(figures, Duration{-1});
    CHECK_THROWS_WITH(none.check(), Catch::Contains("not committed in time"));
}

TEST_CASE("a second run with the same run_id is a conflict and changes nothing", "[runtime]") {
    World world;
    world.runtime.define(chain(1), {});
    const auto feed = world.runtime.feed().subscribe();
    world.trigger("r1");
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    const auto again = world.trigger("r1");
    REQUIRE(again.error == ErrorCode::conflict);
}

TEST_CASE("a made-up run_id that is taken all the same is a conflict too", "[runtime]") {
    World world;
    world.runtime.define(chain(1), {});
    const auto feed = world.runtime.feed().subscribe();
    world.trigger("r1");
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    const auto made = [&](const std::string& run_id) {
        return world.runtime.call(
            core::TriggerRun{.dag_id = "chain", .run_id = run_id, .run_id_made = true}
        );
    };
    CHECK(made("r1").error == ErrorCode::conflict);
    REQUIRE_FALSE(made("r2").error.has_value());
    CHECK(world.wait(feed, "r2") == RunState::success);
}

TEST_CASE("an unknown DAG is answered, not thrown", "[runtime]") {
    World world;
    REQUIRE(world.trigger("r1").error == ErrorCode::not_found);
}

TEST_CASE("a refused commit is answered to its caller and the loop goes on", "[runtime]") {
    World world;
    world.runtime.define(chain(2), {});
    std::atomic<int> refusals{2};
    world.journal.set_faults([&](std::int64_t) {
        return refusals.fetch_sub(1) > 0 ? store::MemoryJournal::Fault::refused
                                         : store::MemoryJournal::Fault::none;
    });
    REQUIRE(world.trigger("r1").error == ErrorCode::conflict);
    const auto feed = world.runtime.feed().subscribe();
    REQUIRE_FALSE(world.trigger("r2").error.has_value());
    REQUIRE(world.wait(feed, "r2") == RunState::success);
    REQUIRE(world.executor.started == 2);
}

TEST_CASE("a connection lost before the commit loses nothing that was durable", "[runtime]") {
    World world;
    world.runtime.define(chain(3), {});
    const auto feed = world.runtime.feed().subscribe();
    REQUIRE_FALSE(world.trigger("r1").error.has_value());
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    std::atomic<int> losses{1};
    world.journal.set_faults([&](std::int64_t) {
        return losses.fetch_sub(1) > 0 ? store::MemoryJournal::Fault::lost
                                       : store::MemoryJournal::Fault::none;
    });
    REQUIRE(world.trigger("r2").error == ErrorCode::unavailable);
    REQUIRE_FALSE(world.trigger("r3").error.has_value());
    REQUIRE(world.wait(feed, "r3") == RunState::success);
}

TEST_CASE(
    "a connection lost after the commit is told by the turn number, and its effects follow",
    "[runtime]"
) {
    World world;
    world.runtime.define(chain(3), {});
    const auto feed = world.runtime.feed().subscribe();
    std::atomic<int> losses{1};
    world.journal.set_faults([&](std::int64_t) {
        return losses.fetch_sub(1) > 0 ? store::MemoryJournal::Fault::lost_after
                                       : store::MemoryJournal::Fault::none;
    });
    const auto answer = world.trigger("r1");
    REQUIRE_FALSE(answer.error.has_value());
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    // Nothing was taken for lost: every task had one attempt.
    REQUIRE(world.executor.started == 3);
    REQUIRE(world.journal.attempts().empty());
}

TEST_CASE("a deposed daemon stops deciding and refuses commands", "[runtime]") {
    World world;
    world.runtime.define(chain(1), {});
    world.journal.set_faults([](std::int64_t) { return store::MemoryJournal::Fault::deposed; });
    REQUIRE(world.trigger("r1").error == ErrorCode::unavailable);
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!world.runtime.deposed() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    REQUIRE(world.runtime.deposed());
    REQUIRE_THROWS_AS(world.trigger("r2"), Error);
    REQUIRE(world.executor.started == 0);
}

}  // namespace sluice::runtime
