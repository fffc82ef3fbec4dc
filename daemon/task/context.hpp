// context.hpp — TaskContext: all that a running task may know and do. One class over the worker
// protocol: in an inline task the channel is a direct call into the daemon, in a worker process it
// is the inherited socket. Nothing here names a local path or pid that a remote worker could not
// serve. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "base/secret.hpp"
#include "model/attempt.hpp"
#include "model/dag.hpp"

namespace sluice::task {

enum class Level { debug, info, warning, error };

/// Where outside systems are and how to log in. `type` is Airflow's conn_type: "postgres", "fs" (a
/// folder, its path in `extra.path` or `schema`), "http", ...
struct Connection {
    std::string id;
    std::string type;
    std::string host;
    int port{0};
    std::string login;
    Secret password;
    std::string schema;       // the database of a postgres connection
    std::string extra{"{}"};  // JSON object
};

/// The ids and times of the attempt.
struct TaskInfo {
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    int map_index{-1};
    int try_number{1};
    int max_tries{0};
    std::string attempt_id;  // unique over all attempts of all runs; part of generation folders
    std::string run_type;
    std::optional<Instant> logical_date;
    std::optional<Interval> data_interval;
    std::string timezone{"UTC"};
    bool test_mode{false};  // `sluice dags test`
};

/// One live slice of a lake data set, as the ledger has it.
struct InputSlice {
    std::string dataset;
    std::string partition;
    std::string slice;
    std::int64_t generation{};
    std::vector<std::string> files;  // relative to the lake connection's root
    std::int64_t rows{};
    std::string read{};  // JSON: what of its source it has, if its writer said so and it is asked
};

/// A place to write one slice. For the lake `folder` is new and empty, relative to the connection's
/// root; for a table it is "".
struct OutputClaim {
    std::int64_t generation{};
    std::string folder;
};

/// Which partitions a reader wants.
struct InputQuery {
    std::string dataset;
    enum class Partitions { interval, latest, all } partitions{Partitions::interval};
    std::optional<Duration> lookback;
    bool with_read{false};  // InputSlice::read is wanted
};

/// The other end: requests get one reply, notices none. JSON objects {"type": ..., ...}.
class Channel {
public:
    Channel() = default;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    virtual ~Channel() = default;
    virtual nlohmann::json call(const nlohmann::json& request) = 0;  // throws Error
    virtual void send(const nlohmann::json& notice) = 0;
};

struct Job;
class Spawner;

/// What the machine gives an attempt.
struct Place {
    std::string scratch;        // "" = a folder is made when first asked for and removed at the end
    Spawner* spawner{nullptr};  // starts child processes
    std::string scratch_root{};  // where it is made; "" = the system's folder for temporary files
};

class TaskContext {
public:
    TaskContext(Job job, Channel& channel, Place place);
    /// `job` is the start frame (protocol in executor/README.md): info, datasets, schemas, files,
    /// connections, secrets.
    TaskContext(const nlohmann::json& job, Channel& channel, Place place);
    ~TaskContext();
    TaskContext(const TaskContext&) = delete;
    TaskContext& operator=(const TaskContext&) = delete;

    [[nodiscard]] const TaskInfo& info() const;
    [[nodiscard]] const Resources& resources() const;
    /// Everything else that the start frame says: on_empty, reuse, inlets, outlets, ...
    [[nodiscard]] const Job& job() const;
    /// A private scratch folder of this attempt; removed when it ends.
    [[nodiscard]] const std::string& scratch() const;
    [[nodiscard]] Spawner& spawner() const;

    /// One line of the task log (cut at 64 KiB, secrets redacted by the daemon).
    /// `source` says whose words they are: "task", "stdout", "stderr".
    void log(Level level, std::string_view message, std::string_view source = "task");
    void info(std::string_view message) { log(Level::info, message); }
    void warn(std::string_view message) { log(Level::warning, message); }
    /// fraction 0..1; shown live, not stored.
    void progress(double fraction, std::string_view what);
    /// The return value is key "return_value"; the task's summary goes there.
    void xcom(const std::string& key, const nlohmann::json& value);

    [[nodiscard]] bool cancelled() const;
    /// Called once, from another thread, when the attempt is cancelled (at once if it is already).
    /// It must return at once: set a flag, wake a poll, interrupt an engine. What it uses must live
    /// as long as the context.
    void on_cancel(std::function<void()> callback);
    /// Called by the channel's owner.
    void cancel();

    /// Throws Error(not_found) naming the connection and how to define it.
    [[nodiscard]] Connection connection(const std::string& conn_id) const;
    [[nodiscard]] Secret secret(const std::string& name) const;
    /// Content of a file of the DAG's bundle, by the path written in the DAG file.
    [[nodiscard]] const std::string& file(const std::string& path) const;

    // Data sets. Operators never build a path: the catalogue in the daemon resolves.
    /// Declared and derived columns, key, partitioning. Throws Error(not_found).
    [[nodiscard]] const DatasetSpec& dataset(const std::string& name) const;
    /// The connection id behind the first part of a table's name ("sales" in "sales.dim_date");
    /// none for the lake's tiers.
    [[nodiscard]] std::optional<std::string> schema_connection(const std::string& schema) const;
    /// The SQL schema to write in its place: itself, or a throw-away one in `dags test`.
    [[nodiscard]] std::string physical_schema(const std::string& schema) const;
    [[nodiscard]] const std::string& lake_connection() const;
    /// Label of the run's partition of this data set ("dt=2026-01-05"); "" when unpartitioned.
    [[nodiscard]] std::string partition(const std::string& dataset) const;
    [[nodiscard]] std::vector<InputSlice> inputs(const InputQuery& query);
    /// A new generation for this task's slice of the data set, larger than any before. Throws
    /// Error(conflict) if a newer attempt has claimed it.
    OutputClaim claim_output(
        const std::string& dataset,
        const std::string& partition,
        const std::string& slice,
        std::int64_t at_least = 0
    );
    /// Hands a written lake slice over; it becomes live in the commit of this attempt's success.
    void commit_output(const OutputCommit& output);

    /// Whether the run is the newest that its schedule has due; a manual run always is.
    [[nodiscard]] bool is_latest_run();
    /// What the pokes before this one left, those of earlier tries included; none at the first of
    /// all.
    [[nodiscard]] const std::optional<PokeInfo>& poke() const;
    /// Asks the daemon for something that is no part of every task's life: a JSON object {"type":
    /// ...}. Throws Error.
    [[nodiscard]] nlohmann::json ask(const nlohmann::json& request);

    /// Durable; given to the next attempt of the instance as `previous_checkpoint`.
    void checkpoint(const nlohmann::json& state);
    [[nodiscard]] const nlohmann::json& previous_checkpoint() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::task
