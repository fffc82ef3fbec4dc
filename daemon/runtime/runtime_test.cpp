#include "runtime/runtime.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>
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

    [[nodiscard]] std::optional<AttemptResult> ends_at_once(const AttemptOrder& order
    ) const override {
        const Task& task = order.dag->tasks.at(static_cast<std::size_t>(order.key.task.task));
        if (task.operator_name != "nothing") return std::nullopt;
        return AttemptResult{.key = order.key, .end_date = order.start_date};
    }
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

/// A chain of tasks that end at once, but each `every`-th (0 = none).
Dag empty_chain(int length, int every = 0) {
    Dag dag = chain(length);
    for (int i = 0; i < length; ++i)
        if (every == 0 || i % every != every - 1)
            dag.tasks.at(static_cast<std::size_t>(i)).operator_name = "nothing";
    return dag;
}

using Fault = store::MemoryJournal::Fault;

/// The n-th commit from now on fails so, all others do not.
std::function<Fault(std::int64_t)> only(int n, Fault fault) {
    return [left = n, fault](std::int64_t) mutable { return --left == 0 ? fault : Fault::none; };
}

struct World {
    SystemClock clock;
    store::MemoryJournal journal;
    InstantExecutor executor;
    Runtime runtime{
        {.ahead_after = Duration{0}},
        clock,
        journal,
        executor,
        [](const auto&) -> DagPtr { return nullptr; }
    };

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

TEST_CASE("tasks that end at once are ended ahead, in a commit each", "[runtime][ahead]") {
    World world;
    world.runtime.define(empty_chain(10), {});
    const auto feed = world.runtime.feed().subscribe();
    const auto before = world.journal.turn();
    REQUIRE_FALSE(world.trigger("r1").error.has_value());
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    std::vector<std::int64_t> told;
    for (bool ended = false; !ended;) {
        const auto change = feed->next(deadline);
        REQUIRE(change.has_value());
        for (const auto& transition : (*change)->transitions) told.push_back(transition.seq.value);
        for (const auto& run : (*change)->runs) ended = ended || is_finished(run.state);
    }
    world.runtime.query([&](const core::Scheduler&) {
        CHECK(world.journal.turn() - before == 11);
        CHECK(std::ranges::is_sorted(told));
        CHECK(told.size() == world.journal.transitions().size());
    });
    CHECK(world.executor.started == 0);
}

TEST_CASE("whatever becomes of a commit, an empty task has one attempt", "[runtime][ahead]") {
    const auto fault = GENERATE(Fault::refused, Fault::lost, Fault::lost_after);
    const auto commit = GENERATE(range(2, 12));
    World world;
    // Every third task is the executor's.
    world.runtime.define(empty_chain(10, 3), {});
    const auto feed = world.runtime.feed().subscribe();
    world.journal.set_faults(only(commit, fault));
    INFO("commit " << commit << " fails with " << static_cast<int>(fault));
    REQUIRE_FALSE(world.trigger("r1").error.has_value());
    REQUIRE(world.wait(feed, "r1") == RunState::success);
    world.runtime.query([&](const core::Scheduler&) {
        CHECK(world.journal.attempts().empty());  // no attempt but the last of each
        for (const auto& [key, instance] : world.journal.instances()) {
            CHECK(instance.state == TaskState::success);
            CHECK(instance.try_number == 1);
        }
    });
    CHECK(world.executor.alive().empty());
}

TEST_CASE(
    "turns under way at random faults: all runs end, nothing runs twice", "[runtime][ahead]"
) {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    World world;
    world.runtime.define(empty_chain(12, 5), {});
    const auto feed = world.runtime.feed().subscribe();
    std::atomic<bool> faults{true};
    world.journal.set_faults([&](std::int64_t) {
        if (!faults || random() % 8 != 0) return Fault::none;
        constexpr std::array kinds{Fault::refused, Fault::lost, Fault::lost_after};
        return kinds.at(random() % kinds.size());
    });
    std::set<std::string> asked;
    for (int i = 0; i < 30; ++i) {
        const std::string id = "r" + std::to_string(i);
        try {
            if (!world.trigger(id).error) asked.insert(id);
        } catch (const Error& away) {
            CHECK(away.code() == ErrorCode::unavailable);
        }
    }
    faults = false;
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    const auto open = [&] {
        bool any = true;
        world.runtime.query([&](const core::Scheduler&) {
            any = std::ranges::any_of(world.journal.runs(), [](const auto& run) {
                return !is_finished(run.second.state);
            });
        });
        return any;
    };
    while (open()) REQUIRE(feed->next(deadline).has_value());
    world.runtime.query([&](const core::Scheduler&) {
        for (const auto& [key, run] : world.journal.runs()) {
            CHECK(run.state == RunState::success);
            asked.erase(run.run_id);
        }
        CHECK(asked.empty());  // what was promised is there
        CHECK(world.journal.attempts().empty());
        std::int64_t seq = 0;
        for (const auto& transition : world.journal.transitions())
            CHECK(transition.seq.value == ++seq);
    });
    CHECK(world.executor.alive().empty());
}

TEST_CASE("a command is not kept waiting by a chain that runs ahead", "[runtime][ahead]") {
    World world;
    world.runtime.define(empty_chain(5'000), {});
    const auto feed = world.runtime.feed().subscribe();
    REQUIRE_FALSE(world.trigger("r1").error.has_value());
    std::size_t done = 0;
    world.runtime.query([&](const core::Scheduler&) {
        done = static_cast<std::size_t>(std::ranges::count_if(
            world.journal.instances(),
            [](const auto& entry) { return entry.second.state == TaskState::success; }
        ));
    });
    CHECK(done < 5'000);
    REQUIRE(world.wait(feed, "r1") == RunState::success);
}

TEST_CASE("a connection lost in a read before the commit: nothing is carried out", "[runtime]") {
    World world;
    world.runtime.define(chain(1), {});
    std::atomic<int> losses{1};
    world.journal.set_lost_reads([&] { return losses.fetch_sub(1) > 0; });
    // Both come to the loop at once, in one turn: by the read of the second it has rows.
    std::promise<void> asked;
    std::promise<void> pushed;
    std::thread busy([&] {
        world.runtime.query([&](const core::Scheduler&) {
            asked.set_value();
            pushed.get_future().wait();
        });
    });
    asked.get_future().wait();
    std::array<std::promise<Answer>, 2> told;
    const auto call = [&](std::size_t i, core::TriggerRun trigger) {
        world.runtime.call_later(std::move(trigger), [&, i](std::shared_future<Answer> answer) {
            told.at(i).set_value(answer.get());
        });
    };
    call(0, {.dag_id = "chain", .run_id = "r1"});
    call(1, {.dag_id = "chain", .run_id = "r2", .logical_date = from_micros(1)});
    pushed.set_value();
    busy.join();
    for (auto& answer : told) CHECK(answer.get_future().get().error == ErrorCode::unavailable);
    world.runtime.query([&](const core::Scheduler&) { CHECK(world.journal.runs().empty()); });
    CHECK(world.executor.started == 0);
}

}  // namespace sluice::runtime
