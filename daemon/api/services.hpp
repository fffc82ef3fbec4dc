// services.hpp — what endpoints work with, and the shape of an endpoint. References only; the App
// owns or is given everything.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/auth.hpp"
#include "api/views.hpp"
#include "base/artefacts.hpp"
#include "base/clock.hpp"
#include "http/router.hpp"
#include "runtime/runtime.hpp"
#include "store/admin.hpp"
#include "store/lake_store.hpp"
#include "store/outbox.hpp"
#include "store/queries.hpp"
#include "store/task_metrics.hpp"

namespace sluice::api {

class Live;

/// Definitions of any version, current or old, and what the store says of it. Thread-safe.
class Versions {
public:
    using ReadVersion = std::function<DagPtr(const store::Journal::StoredVersion&)>;

    Versions(runtime::DagRegistry& registry, store::Queries& queries, ReadVersion read)
        : registry_(registry), queries_(queries), read_(std::move(read)) {}

    /// Null when neither memory nor store has it.
    DagPtr dag(VersionId id, const std::string& dag_id, int number);
    std::optional<store::VersionRow> row(const std::string& dag_id, VersionId id);

private:
    runtime::DagRegistry& registry_;
    store::Queries& queries_;
    const ReadVersion read_;
    std::mutex mutex_;  // guards dags_ and rows_
    std::map<VersionId, DagPtr> dags_;
    std::map<VersionId, store::VersionRow> rows_;
};

/// How far a running task is.
struct TaskProgress {
    TaskKey task;
    double fraction{0};  // 0 = unknown
    std::string what;
    std::int64_t rows{-1};  // -1 = it does not say
    std::int64_t bytes{-1};
    double rows_per_second{0};
    Instant at{};
};

/// Fixed facts of this daemon.
struct Instance {
    std::string name{"standalone"};
    std::string node_id;  // as the lease's holder
    std::string version;
    std::string git_version;
    std::string logs;     // folder of the task logs
    std::string dags;     // the DAG folder
    std::string web_dir;  // "" = the embedded dashboard
    int executor_slots{0};
    Instant started_at;
    /// When the DAG folder was last looked at; none = not yet.
    std::function<std::optional<Instant>()> folder_looked_at;
    /// Where values too large for a row are; null = there are none (tests).
    Artefacts* artefacts{nullptr};
    store::Outbox* outbox{nullptr};
    std::function<void(std::int64_t id)> deliver_again{};
    store::LakeStore* lake{nullptr};
    store::TaskMetrics* metrics{nullptr};
    /// Of the tasks that run on this node and have said how far they are; empty = nobody knows.
    std::function<std::vector<TaskProgress>()> progress{};
    /// Asks the token vault, JSON to JSON; empty = there is none (tests).
    std::function<std::string(const std::string& question)> vault{};
};
/// A stored value with its artefact in place; of a rendered field, those of its parts.
std::string resolved(const Instance& instance, std::string value);
std::string resolved_fields(const Instance& instance, const std::string& fields);
/// A run whose conf is there whole.
DagRun with_conf(const Instance& instance, DagRun run);
/// The DAG folder is being looked at: its watch looks every 30 s, also when nothing changes.
bool folder_is_watched(const Instance& instance, Instant now);

struct Services {
    runtime::Runtime& runtime;
    store::Queries& queries;
    store::Admin& admin;
    Auth& auth;
    Versions& versions;
    Live& live;
    const Clock& clock;
    const Instance& instance;
    Node node;
};

using Endpoint = http::Reply (*)(Services&, const http::Request&, const Caller&);

struct Row {
    const char* method;
    const char* pattern;
    const char* operation;
    http::Access access;
    Endpoint endpoint;
};
using Rows = std::vector<Row>;

http::Reply reply(int status, const Json& json);
http::Reply no_content();

// Look-ups that answer 404 in Airflow's words.
runtime::ListedDag find_dag(Services& services, const std::string& dag_id);
store::RunRow find_run(Services& services, const std::string& dag_id, const std::string& run_id);
/// The DAG version of a run. Throws 404 when its text cannot be read any more.
DagPtr dag_of(Services& services, const store::RunRow& run);

/// A task instance with its surroundings; unborn ones are made up from the definition.
struct Found {
    store::RunRow run;
    DagPtr dag;
    TaskNo no{no_task};
    TaskInstance instance;
    std::optional<store::VersionRow> version;
    [[nodiscard]] const Task& task() const { return dag->tasks[static_cast<std::size_t>(no)]; }
};
Found find_instance(
    Services& services,
    const std::string& dag_id,
    const std::string& run_id,
    const std::string& task_id,
    MapIndex map_index
);
InstanceContext context_of(const Found& found, const Services& services);
/// An instance that has no row yet.
TaskInstance unborn(RunKey run, TaskNo task, const Task& definition);
/// All instances of a run, born and unborn, by task and map index.
std::vector<TaskInstance> all_instances(
    Services& services, const store::RunRow& run, const Dag& dag
);

core::Actor actor_of(const http::Request& request, const Caller& caller);
AuditEntry audit_of(
    Services& services, const http::Request& request, const Caller& caller, std::string event
);
/// Runs a command; an answer with an error becomes a Failure.
Answer command(Services& services, core::Event event);
/// Runs a command whose reply `make` makes once it is committed; no thread waits meanwhile.
http::Reply command_later(
    Services& services, core::Event event, std::function<http::Reply(const Answer&)> make
);
/// Many, a few in one turn, so that the loop is never held up. The first refusal throws; what was
/// done before it stays done.
std::vector<Answer> command_all(Services& services, std::vector<core::Event> events);

}  // namespace sluice::api
