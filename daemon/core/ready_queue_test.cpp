// Who is next: shares of backfills, DAGs in turn, weights.
#include "core/ready_queue.hpp"

#include <random>

#include <catch2/catch.hpp>

namespace sluice::core {
namespace {

constexpr auto started = FairHeap::Popped::started;

ReadyTask task(LaneNo lane, std::int32_t dag, std::int64_t run, std::int64_t weight = 1) {
    ReadyTask made;
    made.lane = lane;
    made.dag = dag;
    made.run = {run};
    made.task = 0;
    made.weight = weight;
    return made;
}

TEST_CASE("while both wait, one start of five is a backfill's", "[core][queue]") {
    ReadyQueue queue;
    const auto lane = queue.lane_for({}, Share::regular);
    const auto backfill = queue.lane_for({}, Share::backfill);
    REQUIRE(lane != backfill);
    // Backfills of any weight and number, before or after the others.
    for (int i = 0; i < 1'000; ++i) queue.push(task(backfill, 1, i, 1'000));
    for (int i = 0; i < 1'000; ++i) queue.push(task(lane, 2, i));
    int backfills = 0;
    for (int i = 0; i < 500; ++i) {
        backfills += queue.pop_best(started).lane == backfill ? 1 : 0;
        REQUIRE(std::abs(backfills - (i + 1) / 5) <= 1);
    }
}

TEST_CASE("who was not there saves nothing up", "[core][queue]") {
    ReadyQueue queue;
    const auto lane = queue.lane_for({}, Share::regular);
    const auto backfill = queue.lane_for({}, Share::backfill);
    for (int i = 0; i < 100; ++i) queue.push(task(lane, 2, i));
    for (int i = 0; i < 50; ++i) (void)queue.pop_best(started);
    for (int i = 0; i < 50; ++i) queue.push(task(backfill, 1, i));
    int backfills = 0;
    for (int i = 0; i < 25; ++i) backfills += queue.pop_best(started).lane == backfill ? 1 : 0;
    REQUIRE(backfills >= 4);
    REQUIRE(backfills <= 6);
}

TEST_CASE("DAGs of one weight take turns, however many tasks each has", "[core][queue]") {
    ReadyQueue queue;
    const auto lane = queue.lane_for({}, Share::regular);
    for (int i = 0; i < 1'000; ++i) queue.push(task(lane, 1, i));
    for (int i = 0; i < 10; ++i) (void)queue.pop_best(started);
    for (int i = 2'000; i < 2'010; ++i) queue.push(task(lane, 2, i));
    for (int i = 3'000; i < 3'010; ++i) queue.push(task(lane, 3, i));
    std::map<std::int32_t, int> starts;
    for (int i = 0; i < 30; ++i) ++starts[queue.pop_best(started).dag];
    for (const std::int32_t dag : {1, 2, 3}) {
        REQUIRE(starts[dag] >= 9);
        REQUIRE(starts[dag] <= 11);
    }
    SECTION("what is put aside is no start") {
        queue.push(task(lane, 4, 4'000));
        queue.push(task(lane, 4, 4'001));
        const auto aside = queue.pop_best();
        queue.push(aside);
        REQUIRE(queue.best()->run == aside.run);
    }
}

TEST_CASE("a bigger weight goes first whatever DAG it is of", "[core][queue]") {
    std::mt19937 random{7};
    ReadyQueue queue;
    const auto lane = queue.lane_for({}, Share::regular);
    std::multimap<std::int64_t, int> waiting;
    for (int i = 0; i < 2'000; ++i) {
        const auto weight = static_cast<std::int64_t>(random() % 5);
        queue.push(task(lane, static_cast<std::int32_t>(random() % 7), i, weight));
        waiting.emplace(weight, i);
        if (random() % 3 != 0) continue;
        const auto next = queue.pop_best(random() % 2 == 0 ? started : FairHeap::Popped::put_aside);
        REQUIRE(next.weight == waiting.rbegin()->first);
        const auto range = waiting.equal_range(next.weight);
        for (auto at = range.first; at != range.second; ++at)
            if (at->second == next.run.value) {
                waiting.erase(at);
                break;
            }
    }
    REQUIRE(queue.size() == waiting.size());
}

}  // namespace
}  // namespace sluice::core
