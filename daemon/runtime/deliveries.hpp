// deliveries.hpp — sends what the outbox has: a few threads that are woken by commits and by the
// times of repeated tries. An idle one asks the database nothing. Only the owner of the run state
// delivers; each row at least once, in no promised order, and nothing here can change a state.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "executor/callback_runner.hpp"
#include "store/outbox.hpp"
#include "store/queries.hpp"

namespace sluice::runtime {

/// After so many tries a row is given up; `sluice outbox retry` begins anew. The waits between
/// them double from a second to an hour.
inline constexpr int callback_tries = 24;

class Deliveries {
public:
    struct World {
        store::Outbox& outbox;
        store::Queries& queries;
        executor::CallbackRunner& runner;
        const Clock& clock;
        std::function<DagPtr(const store::RunRow&)> version;  // the DAG version of a run
        std::function<bool()> is_owner;
    };
    explicit Deliveries(World world);
    ~Deliveries();
    Deliveries(const Deliveries&) = delete;
    Deliveries& operator=(const Deliveries&) = delete;

    void start();
    /// There are new rows.
    void wake();
    /// This row is due at once.
    void again(std::int64_t id);
    /// Ends calls that are under way; their rows wait for the next start.
    void stop();

private:
    void watch();
    void read_new();
    void work();
    /// When to try again; none = it is done with.
    std::optional<Instant> deliver(std::int64_t id);
    executor::CallbackCall call_of(
        const store::OutboxRow& row, const store::RunRow& run, const DagPtr& dag
    ) const;

    const World world_;
    std::thread watcher_;
    std::vector<std::thread> workers_;
    std::mutex mutex_;  // guards all below
    std::condition_variable woken_;
    bool stopping_{false};
    bool look_{true};  // the database has rows that we have not seen
    bool owned_{false};
    std::int64_t seen_{0};  // rows up to here are known
    std::multimap<Instant, std::int64_t> due_;
    std::set<std::int64_t> working_;
};

}  // namespace sluice::runtime
