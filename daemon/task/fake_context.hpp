// fake_context.hpp — a TaskContext without a daemon, for tests of operators: an in-memory ledger
// over a folder as the lake, and a record of what the task said. Not for product code.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "task/context.hpp"
#include "task/job.hpp"
#include "task/operator.hpp"
#include "task/process.hpp"

namespace sluice::task {

/// The lake of a test: generations, and which slices are live. Shared by the contexts of several
/// tasks, so that one reads what another wrote.
class FakeLedger {
public:
    struct Live {
        OutputCommit output;
        std::vector<std::string> files;
    };
    std::int64_t claim(const std::string& slice_key, std::int64_t at_least);
    /// Makes a slice live in place of its older generation. Throws Error(conflict) for a stale one.
    void publish(const OutputCommit& output);
    [[nodiscard]] std::vector<InputSlice> live(const std::string& dataset) const;
    /// What tasks measured of a data set, JSON by the start of the interval (microseconds).
    void put_metrics(const std::string& dataset, std::int64_t start, const std::string& values);
    [[nodiscard]] std::map<std::int64_t, std::string> metrics(const std::string& dataset) const;

private:
    mutable std::mutex mutex_;  // guards all below
    std::map<std::string, std::int64_t> generations_;
    std::map<std::string, Live> live_;  // by data set, partition and slice
    std::map<std::string, std::map<std::int64_t, std::string>> metrics_;
};

/// One attempt. Fill `job` (the constructor sets one day's interval, 2026-01-05, and ids), then
/// call `run` or use `context()`. Partition labels are those of UTC.
class FakeContext {
public:
    explicit FakeContext(FakeLedger& ledger);
    ~FakeContext();
    FakeContext(const FakeContext&) = delete;
    FakeContext& operator=(const FakeContext&) = delete;

    Job job;
    /// What the daemon says to questions of no other kind; the last one counts.
    std::function<nlohmann::json(const nlohmann::json& request)> answers;
    bool latest{true};  // the run is the newest of its schedule

    void interval(Instant start, Instant end);
    void connect(Connection connection);
    /// A folder as the connection `lake` (or another id).
    void folder(const std::string& conn_id, const std::string& path);
    void datasets(std::vector<DatasetSpec> all);
    void files(std::map<std::string, std::string> bundle);

    /// Made at the first call from `job`; later changes of `job` are not seen.
    TaskContext& context();
    /// Runs the operator; its outputs are published when it succeeds. Error becomes a failed
    /// outcome of class permanent, as in the executor.
    Outcome run(const Operator& op, const nlohmann::json& params);

    [[nodiscard]] std::vector<std::pair<Level, std::string>> logs() const;
    [[nodiscard]] std::vector<OutputCommit> outputs() const;
    /// JSON of a pushed value; null if there is none.
    [[nodiscard]] nlohmann::json xcom(const std::string& key = "return_value") const;
    [[nodiscard]] nlohmann::json last_checkpoint() const;

private:
    class Recorder;
    std::unique_ptr<Recorder> recorder_;
    std::unique_ptr<Spawner> spawner_;
    std::unique_ptr<TaskContext> context_;
};

/// "dt=2026-01-05" of a UTC instant; "" for partition "none".
std::string partition_label_utc(const std::string& partition, Instant at);

}  // namespace sluice::task
