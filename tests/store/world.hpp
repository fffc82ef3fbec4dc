// world.hpp — a private PostgreSQL for the whole program, a database for each test, and turns in a
// few words.
#pragma once

#include <filesystem>
#include <string>

#include "model/dag.hpp"
#include "model/turn.hpp"
#include "store/cluster.hpp"
#include "store/journal.hpp"

namespace sluice::store::test {

/// A folder that is removed at the end, with what a link in it points to.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// Removes a home, and the folders elsewhere that its links name.
void remove_home(const std::filesystem::path& home);

/// The program's cluster, started at the first call.
Cluster& cluster();
/// URL of an empty database that no other test uses.
std::string fresh_database();

Instant at(int seconds);

/// Makes turns with the numbers that follow each other.
class Writer {
public:
    Writer() = default;
    explicit Writer(const Snapshot& snapshot)
        : seq_(snapshot.last_seq.value), run_(snapshot.last_run.value) {}

    Turn turn(int second = 0);
    /// A new run, running. Returns its key.
    RunKey begin_run(
        Turn& turn, const std::string& dag_id, const std::string& run_id, VersionId version = {}
    );
    DagRun& change_run(
        Turn& turn, RunKey run, const std::string& dag_id, RunState from, RunState to
    );
    /// A fresh instance that is running.
    TaskInstance& start(Turn& turn, const TaskKey& key);
    TaskInstance& move(Turn& turn, const TaskKey& key, TaskState from, TaskState to);
    void log(Turn& turn, RunKey run, TaskNo task, int from, int to, const std::string& cause);
    [[nodiscard]] std::int64_t seq() const { return seq_; }

private:
    std::int64_t seq_{0};
    std::int64_t run_{0};
};

Dag small_dag(const std::string& dag_id, const std::string& hash);

}  // namespace sluice::store::test
