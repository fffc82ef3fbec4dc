// local_executor.hpp — the Executor on the local host: inline operators on the thread pool, process
// ones in worker processes supervised from it. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "executor/attempt_channel.hpp"
#include "executor/executor.hpp"
#include "executor/services.hpp"
#include "task/operator.hpp"

namespace sluice::executor {

class LocalExecutor final : public Executor {
public:
    /// Ends processes that an earlier daemon of this instance left behind. `operators` (sorted by
    /// name) must outlive the executor. `report` is called from pool threads.
    LocalExecutor(
        Settings settings,
        Services services,
        const std::vector<task::Operator>& operators,
        Report report
    );
    ~LocalExecutor() override;

    [[nodiscard]] std::optional<AttemptResult> ends_at_once(const AttemptOrder& order
    ) const override;
    void start(std::vector<AttemptOrder> orders) override;
    void expand(ExpandOrder order, std::function<void(ExpandAnswer)> done) override;
    void cancel(const CancelOrder& order) override;
    [[nodiscard]] std::vector<AttemptKey> alive() const override;
    void acknowledge(const AttemptKey& key) override;
    void repost() override;
    void abandon() override;
    void stop() override;

    /// Of the attempts that run now: those that have said how far they are.
    [[nodiscard]] std::vector<std::pair<TaskKey, Progress>> progress() const;
    /// Attempts that are on a thread, and those that wait for one.
    struct Load {
        std::size_t running{0};
        std::size_t waiting{0};
        std::size_t threads{0};
    };
    [[nodiscard]] Load load() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::executor
