#include "base/event_queue.hpp"

#include <thread>

#include <catch2/catch.hpp>

using namespace sluice;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

TEST_CASE("what several producers push comes once, each producer's in its order", "[queue]") {
    EventQueue<std::pair<int, int>> queue;
    constexpr int producers = 4;
    constexpr int each = 5'000;
    std::vector<std::thread> threads;
    for (int producer = 0; producer < producers; ++producer)
        threads.emplace_back([&queue, producer] {
            for (int i = 0; i < each; ++i) queue.push({producer, i});
        });
    std::vector<int> next(producers, 0);
    std::vector<std::pair<int, int>> items;
    for (int taken = 0; taken < producers * each; taken += static_cast<int>(items.size())) {
        REQUIRE(queue.pop_all(items, Clock::now() + 10s));
        REQUIRE_FALSE(items.empty());
        for (const auto& [producer, i] : items)
            REQUIRE(i == next[static_cast<std::size_t>(producer)]++);
    }
    for (std::thread& thread : threads) thread.join();
}

TEST_CASE("what is pushed at once comes at once", "[queue]") {
    EventQueue<int> queue;
    std::thread producer([&queue] { queue.push_all({1, 2, 3}); });
    std::vector<int> items;
    REQUIRE(queue.pop_all(items, Clock::now() + 10s));
    CHECK(items == std::vector<int>{1, 2, 3});
    producer.join();
    queue.close();
    queue.push_all({4});
    CHECK_FALSE(queue.pop_all(items, Clock::now() + 10s));
}

TEST_CASE("a consumer goes on at its deadline, whether it looked or slept", "[queue]") {
    EventQueue<int> queue;
    std::vector<int> items;
    queue.push(1);
    REQUIRE(queue.pop_all(items, Clock::now() + 10s));  // short: the next wait looks first
    for (const auto wait : {0us, 20us, 5'000us}) {
        const auto begin = Clock::now();
        REQUIRE(queue.pop_all(items, begin + wait));
        CHECK(items.empty());
        CHECK(Clock::now() - begin >= wait);
    }
}

TEST_CASE("a closed queue gives what it has, then no more, and takes nothing", "[queue]") {
    EventQueue<int> queue;
    std::vector<int> items;
    REQUIRE(queue.push(1));
    CHECK_FALSE(queue.push(2, 1));  // its limit
    queue.close();
    CHECK_FALSE(queue.push(3));
    REQUIRE(queue.pop_all(items, Clock::now() + 10s));
    CHECK(items == std::vector<int>{1});
    CHECK_FALSE(queue.pop_all(items, Clock::now() + 10s));
}

TEST_CASE("a close from another thread wakes the consumer", "[queue]") {
    EventQueue<int> queue;
    std::thread closes([&queue] { queue.close(); });
    std::vector<int> items;
    CHECK_FALSE(queue.pop_all(items, Clock::now() + 60s));
    closes.join();
}
