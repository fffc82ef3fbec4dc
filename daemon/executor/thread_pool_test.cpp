#include "executor/thread_pool.hpp"

#include <atomic>
#include <latch>

#include <catch2/catch.hpp>

using namespace sluice::executor;

TEST_CASE("quick work is done by one thread, waiting work by as many as it needs", "[pool]") {
    ThreadPool pool(1, 8);
    std::latch quick(1'000);
    std::vector<ThreadPool::Work> work;
    for (int i = 0; i < 1'000; ++i) work.emplace_back([&] { quick.count_down(); });
    pool.push(std::move(work));
    quick.wait();
    REQUIRE(pool.threads() == 1);

    // All eight must be in at once for any of them to leave.
    std::latch together(8);
    work.clear();
    for (int i = 0; i < 8; ++i)
        work.emplace_back([&] {
            const ThreadPool::Blocking blocking(pool);
            together.arrive_and_wait();
        });
    pool.push(std::move(work));
    together.wait();
    REQUIRE(pool.threads() == 8);
    pool.stop();
}

TEST_CASE("a thread pauses when all that was pushed together is done", "[pool]") {
    std::atomic<int> done{0};
    std::atomic<int> pauses{0};
    std::atomic<int> done_at_pause{0};
    ThreadPool pool(1, 1, [&] {
        ++pauses;
        done_at_pause = done.load();
    });
    pool.push(std::vector<ThreadPool::Work>(100, [&] { ++done; }));
    pool.stop();
    REQUIRE(pauses == 1);
    REQUIRE(done_at_pause == 100);
}

TEST_CASE("more waiting work than threads is done in turn", "[pool]") {
    ThreadPool pool(2, 4);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> done{0};
    std::vector<ThreadPool::Work> work;
    for (int i = 0; i < 200; ++i)
        work.emplace_back([&] {
            const ThreadPool::Blocking blocking(pool);
            const int now = ++inside;
            int seen = most;
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
            std::this_thread::yield();
            --inside;
            ++done;
        });
    pool.push(std::move(work));
    pool.stop();
    REQUIRE(done == 200);
    REQUIRE(most <= 4);
}

TEST_CASE("stop finishes what was pushed and drops what comes later", "[pool]") {
    std::atomic<int> done{0};
    ThreadPool pool(1, 2);
    std::vector<ThreadPool::Work> work(100, [&] { ++done; });
    pool.push(work);
    pool.stop();
    REQUIRE(done == 100);
    pool.push(work);
    pool.stop();
    REQUIRE(done == 100);
}
