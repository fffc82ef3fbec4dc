#include "tests/store/world.hpp"

#include <cstdlib>

#include "store/pq.hpp"

namespace sluice::store::test {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "sluice-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
}

TemporaryFolder::~TemporaryFolder() { remove_home(path_); }

void remove_home(const fs::path& home) {
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(home, error)) {
        if (!entry.is_symlink(error)) continue;
        const fs::path target = fs::read_symlink(entry.path(), error);
        if (target.filename() == "pg") {
            fs::remove_all(target.parent_path(), error);
        } else if (entry.path().filename() == "pg.socket") {
            fs::remove_all(target, error);
        }
    }
    fs::remove_all(home, error);
}

namespace {

// Destroyed in the other order: the server ends before its folder goes.
struct Shared {
    TemporaryFolder folder;
    Cluster cluster{folder.path()};
    Shared() {
        cluster.start();
        // Dozens of databases are made here; what they hold need not outlive the machine.
        Connection admin{cluster.url("postgres"), "test"};
        admin.script("alter system set fsync = off");
        admin.script("select pg_reload_conf()");
    }
};

}  // namespace

Cluster& cluster() {
    static Shared shared;
    return shared.cluster;
}

std::string fresh_database() {
    static int count = 0;
    const std::string name = "test_" + std::to_string(++count);
    Connection{cluster().url("postgres"), "test"}.script("create database " + name);
    return cluster().url(name);
}

Instant at(int seconds) { return Instant{std::chrono::seconds{1'790'000'000 + seconds}}; }

Turn Writer::turn(int second) {
    Turn made;
    made.now = at(second);
    return made;
}

void Writer::log(Turn& turn, RunKey run, TaskNo task, int from, int to, const std::string& cause) {
    turn.transitions.push_back(
        {.seq = Seq{++seq_},
         .run = run,
         .task = task,
         .from = from,
         .to = to,
         .try_number = 1,
         .at = turn.now,
         .cause = cause,
         .actor = ""}
    );
}

RunKey Writer::begin_run(
    Turn& turn, const std::string& dag_id, const std::string& run_id, VersionId version
) {
    RunChange change{.row = RowIs::fresh, .from = {}, .run = {}};
    change.run.key = RunKey{++run_};
    change.run.dag_id = dag_id;
    change.run.run_id = run_id;
    change.run.version = version;
    change.run.state = RunState::running;
    change.run.run_after = change.run.queued_at = turn.now;
    change.run.start_date = turn.now;
    turn.runs.push_back(change);
    log(turn, change.run.key, no_task, -1, 1, "trigger");
    return change.run.key;
}

DagRun& Writer::change_run(
    Turn& turn, RunKey run, const std::string& dag_id, RunState from, RunState to
) {
    RunChange change{.row = RowIs::existing, .from = from, .run = {}};
    change.run.key = run;
    change.run.dag_id = dag_id;
    change.run.state = to;
    change.run.run_after = change.run.queued_at = turn.now;
    turn.runs.push_back(change);
    log(turn, run, no_task, static_cast<int>(from), static_cast<int>(to), "tasks_done");
    return turn.runs.back().run;
}

TaskInstance& Writer::start(Turn& turn, const TaskKey& key) {
    TaskChange change{.row = RowIs::fresh, .from = TaskState::none, .instance = {}};
    change.instance.key = key;
    change.instance.state = TaskState::running;
    change.instance.try_number = change.instance.starts = 1;
    change.instance.start_date = turn.now;
    turn.tasks.push_back(change);
    log(turn, key.run, key.task, 0, 3, "dispatch");
    return turn.tasks.back().instance;
}

TaskInstance& Writer::move(Turn& turn, const TaskKey& key, TaskState from, TaskState to) {
    TaskChange change{.row = RowIs::existing, .from = from, .instance = {}};
    change.instance.key = key;
    change.instance.state = to;
    change.instance.try_number = change.instance.starts = 1;
    turn.tasks.push_back(change);
    log(turn, key.run, key.task, static_cast<int>(from), static_cast<int>(to), "result");
    return turn.tasks.back().instance;
}

Dag small_dag(const std::string& dag_id, const std::string& hash) {
    Dag dag;
    dag.dag_id = dag_id;
    dag.hash = hash;
    dag.fileloc = dag_id + ".json";
    dag.source = "{\"dag_id\": \"" + dag_id + "\"}";
    dag.files["policies/pii.yaml"] = "classes: {}\n";
    for (const char* id : {"extract", "load"}) {
        Task task;
        task.id = id;
        dag.tasks.push_back(task);
    }
    return dag;
}

}  // namespace sluice::store::test
