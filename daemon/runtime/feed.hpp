// feed.hpp — what changed, told once a commit to everyone who watches (event streams, progress
// displays). Thread-safe. A subscriber that falls behind is told so and reads the state anew.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "model/turn.hpp"

namespace sluice::runtime {

/// The committed rows of one turn, shared by all subscribers.
struct Change {
    Seq seq;  // the last transition of the turn; unchanged if it had none
    Instant at;
    std::vector<Transition> transitions;
    std::vector<DagRun> runs;
    std::vector<TaskInstance> instances;
    std::vector<DagState> dags;
    std::vector<std::string> dags_deleted;  // ids
    std::vector<Backfill> backfills;
    /// DAG ids whose definition, import error or check result changed (no row of the turn says it).
    std::vector<std::string> definitions;
    /// An import error came, changed or went.
    bool import_errors{false};
};
using ChangePtr = std::shared_ptr<const Change>;

class Feed {
public:
    class Subscription {
    public:
        /// The next change; none when `deadline` passes first or the feed is closed.
        std::optional<ChangePtr> next(std::chrono::steady_clock::time_point deadline);
        /// True once after changes were dropped because the subscriber was too slow.
        bool take_overflow();
        /// Called (from the publishing thread) whenever `next` may have something.
        void on_ready(std::function<void()> callback);
        [[nodiscard]] bool closed() const;

    private:
        friend class Feed;
        mutable std::mutex mutex_;  // guards all below
        std::condition_variable ready_;
        std::deque<ChangePtr> queue_;
        std::function<void()> on_ready_;
        bool overflow_{false};
        bool closed_{false};
    };

    /// Ends when the last copy of the pointer is gone.
    std::shared_ptr<Subscription> subscribe();
    void publish(const ChangePtr& change);
    /// Changes were missed: every subscriber is told to read the state anew.
    void overflow();
    /// Wakes all subscribers for good.
    void close();
    [[nodiscard]] std::size_t subscribers() const;

    static constexpr std::size_t queue_limit = 4'096;

private:
    mutable std::mutex mutex_;  // guards subscriptions_ and closed_
    std::vector<std::weak_ptr<Subscription>> subscriptions_;
    bool closed_{false};
};

}  // namespace sluice::runtime
