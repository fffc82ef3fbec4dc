// dags_test_verb.cpp — `sluice dags test FILE DATE`: one whole DAG run without daemon or run-state
// database, which leaves nothing behind: the journal and the ledger are in memory, the lake and the
// logs are a temporary folder, warehouse tables go to a throw-away schema that is dropped.
#include <ctime>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "config.hpp"
#include "connections.hpp"
#include "dag_loading.hpp"
#include "executor/local_executor.hpp"
#include "executor/task_log.hpp"
#include "folder_loading.hpp"
#include "home.hpp"
#include "model/params.hpp"
#include "model/timetable.hpp"
#include "object_store.hpp"
#include "operators/operators.hpp"
#include "runtime/runtime.hpp"
#include "store/checkpoints.hpp"
#include "store/cluster.hpp"
#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "task_services.hpp"
#include "test_schemas.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct DagsTestOptions {
    std::string file;
    std::string date;
    std::string home{".sluice"};
    std::string conf{"{}"};
};

/// A folder that is gone when this object is; a killed test's is removed by the next one.
class TemporaryFolder {
public:
    TemporaryFolder() {
        sweep();
        std::string pattern = (fs::temp_directory_path() / (name + "XXXXXX")).string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw Error(ErrorCode::internal, "cannot make a temporary folder");
        path_ = pattern;
        lock_ = ::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ::flock(lock_, LOCK_EX | LOCK_NB);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
        ::close(lock_);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const fs::path& path() const { return path_; }

private:
    /// Removes those that no process holds and that are older than the moment between mkdtemp and
    /// flock.
    static void sweep() {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), ignored)) {
            if (!entry.path().filename().string().starts_with(name)) continue;
            const int folder =
                ::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (folder < 0) continue;
            struct stat info{};
            const bool ours = ::fstat(folder, &info) == 0 && info.st_uid == ::geteuid();
            const bool old = info.st_ctim.tv_sec + 60 < ::time(nullptr);
            if (ours && old && ::flock(folder, LOCK_EX | LOCK_NB) == 0)
                fs::remove_all(entry.path(), ignored);
            ::close(folder);
        }
    }

    inline static const std::string name = "sluice-dags-test-";
    fs::path path_;
    int lock_{-1};
};

/// Connections from the environment, else from the home's store when its PostgreSQL runs; the lake
/// is always the temporary one.
class TestConnections {
public:
    TestConnections(const std::string& home, fs::path lake) : lake_(std::move(lake)) {
        fs::create_directories(lake_);
        try {
            pool_ = std::make_unique<store::ConnectionPool>(store::Cluster::url_of(home, "sluice"));
            admin_ = std::make_unique<store::Admin>(*pool_);
            known_ = std::make_unique<Connections>(*admin_);
            (void)known_->find("lake");
        } catch (const Error&) {
            known_.reset();  // no home, or its daemon does not run: the environment is all there is
        }
    }

    [[nodiscard]] std::optional<task::Connection> find(
        const std::string& conn_id, const std::string& lake_id
    ) const {
        if (conn_id == lake_id)
            return task::Connection{
                .id = conn_id,
                .type = "fs",
                .extra = nlohmann::json{{"path", lake_.string()}}.dump(),
            };
        if (known_) return known_->find(conn_id);
        auto found = environment_connection(conn_id);
        if (found) found = with_environment(*std::move(found), {});
        return found;
    }

    /// A variable of the home; none without its daemon.
    [[nodiscard]] std::optional<std::string> variable(const std::string& key) const {
        if (!known_) return std::nullopt;
        const auto found = admin_->variable(key);
        if (!found) return std::nullopt;
        return found->value;
    }

private:
    fs::path lake_;
    std::unique_ptr<store::ConnectionPool> pool_;
    std::unique_ptr<store::Admin> admin_;
    std::unique_ptr<Connections> known_;
};

Dag load(const std::string& file) {
    const fs::path path = fs::absolute(file).lexically_normal();
    if (!fs::is_regular_file(path)) throw Error(ErrorCode::not_found, file + " cannot be read");
    executor::DagChecks checks(ops::all_operators(), program());
    auto parsed = FolderLoading(path.parent_path(), checks).load(path.filename().string());
    for (const auto& problem : parsed.problems) std::cerr << format(problem) << '\n';
    if (!parsed.value) throw Error(ErrorCode::invalid, file + " is not a DAG file that can run");
    Dag dag = std::move(*parsed.value);
    for (const auto& dataset : dag.datasets)
        if (!dataset.owner.empty())
            std::cerr << "note: " << dataset.name << " is written by the DAG " << dataset.owner
                      << ", which is not run here: nothing is read from it\n";
    // One run, by hand: no schedule, no limit of dates.
    dag.is_paused_upon_creation = false;
    return dag;
}

core::TriggerRun trigger_of(const Dag& dag, const DagsTestOptions& options) {
    const auto time = parse_time(options.date);
    if (!time) throw Error(ErrorCode::invalid, options.date + " is no ISO 8601 date");
    if (const auto wrong = conf_complaint(dag, options.conf); !wrong.empty())
        throw Error(ErrorCode::invalid, wrong);
    const Timetable timetable(dag);
    core::TriggerRun trigger{
        .actor = {.user = "", .by = TriggeredBy::test},
        .dag_id = dag.dag_id,
        .conf = options.conf,
    };
    trigger.logical_date = resolve(*time, timetable.zone());
    if (timetable.is_periodic()) {
        const auto runs = timetable.ticks_between(*trigger.logical_date, *trigger.logical_date, 1);
        if (!runs.empty()) trigger.data_interval = runs.front().interval;
    }
    if (!trigger.data_interval)
        trigger.data_interval = timetable.infer_interval(*trigger.logical_date);
    trigger.run_after = SystemClock{}.now();
    return trigger;
}

/// The run of the test is the only one: none is due.
Dag without_schedule(Dag dag) {
    dag.schedule = {};
    return dag;
}

void print_log(const std::string& path) {
    std::cerr << "--- " << path << '\n';
    if (const auto text = read_file(path)) std::cerr << *text;
}

class TestRun {
public:
    explicit TestRun(const DagsTestOptions& options)
        : dag_(load(options.file)),
          connections_(options.home, folder_.path() / "lake"),
          secrets_(secrets_of(options.home)),
          artefacts_(folder_.path() / "artefacts"),
          journal_(ledger_),
          executor_(
              {.threads = 16,
               .logs_root = (folder_.path() / "logs").string(),
               .scratch_root = (folder_.path() / "scratch").string(),
               .instance = "test-" + std::to_string(::getpid()),
               .program = program(),
               .test_mode = true},
              services(),
              ops::all_operators(),
              [this](AttemptResult result) { runtime_.report(std::move(result)); }
          ),
          runtime_(
              {.core = {.cpu = machine_cores(), .memory_mb = machine_memory_mb()}},
              clock_,
              journal_,
              executor_,
              DagLoading::load_stored
          ) {}

    ~TestRun() {
        runtime_.stop();
        executor_.stop();
    }
    TestRun(const TestRun&) = delete;
    TestRun& operator=(const TestRun&) = delete;

    /// Runs to the end; true if it succeeded.
    bool run(const DagsTestOptions& options) {
        take_schemas();
        runtime_.start();
        const auto feed = runtime_.feed().subscribe();
        listed_ = runtime_.define(without_schedule(dag_), {});
        const auto answer = runtime_.call(trigger_of(dag_, options));
        if (answer.error) throw Error(*answer.error, answer.message);
        for (;;) {
            const auto change =
                feed->next(std::chrono::steady_clock::now() + std::chrono::hours(1));
            if (!change) continue;
            for (const auto& instance : (*change)->instances) tell(instance, answer.run->run_id);
            for (const auto& run : (*change)->runs)
                if (is_finished(run.state)) return run.state == RunState::success;
        }
    }

private:
    static std::map<std::string, Secret> secrets_of(const std::string& home) {
        std::map<std::string, Secret> secrets;
        const auto text = read_file(fs::path(home) / "secrets");
        const auto json = nlohmann::json::parse(text.value_or("{}"), nullptr, false);
        if (json.is_object())
            for (const auto& [name, value] : json.items())
                if (value.is_string()) secrets.emplace(name, Secret(value.get<std::string>()));
        return secrets;
    }

    executor::Services services() {
        return task_services({
            .ledger = ledger_,
            .connection = [this](const std::string& id
                          ) { return connections_.find(id, dag_.lake); },
            .secrets = [this] { return secrets_; },
            .variable = [this](const std::string& key) { return connections_.variable(key); },
            .xcoms =
                [this](const TaskKey& key) {
                    std::map<std::string, std::string> values;
                    runtime_.query([&](const core::Scheduler&) { values = journal_.xcoms(key); });
                    return values;
                },
            .artefacts = artefacts_,
            .load_checkpoint =
                [this](const TaskKey& task) {
                    const std::lock_guard lock(checkpoints_mutex_);
                    const auto found = checkpoints_.find(task);
                    return found == checkpoints_.end() ? std::string("null") : found->second;
                },
            .save_checkpoint =
                [this](const AttemptKey& attempt, const std::string& state) {
                    store::check_checkpoint_size(state);
                    const std::lock_guard lock(checkpoints_mutex_);
                    checkpoints_[attempt.task] = state;
                },
            .xcom_lists =
                [this](RunKey run, TaskNo task) {
                    std::map<std::string, std::string> lists;
                    runtime_.query([&](const core::Scheduler&) {
                        lists = journal_.xcom_lists(run, task);
                    });
                    return lists;
                },
            .map_items = &map_items_,
            .schema_suffix = TestSchemas::suffix(),
        });
    }

    void tell(const TaskInstance& instance, const std::string& run_id) {
        if (!is_finished(instance.state)) return;
        const auto& task = listed_->tasks[static_cast<std::size_t>(instance.key.task)];
        std::cout << task.id << ' ' << name(instance.state);
        if (instance.start_date && instance.end_date)
            std::cout << ' ' << to_seconds(*instance.end_date - *instance.start_date) << " s";
        std::cout << std::endl;
        if (instance.state != TaskState::failed) return;
        print_log(executor::log_path(
            (folder_.path() / "logs").string(),
            listed_->dag_id,
            run_id,
            task.id,
            instance.key.map_index,
            instance.try_number
        ));
    }

    void take_schemas() {
        for (const auto& [schema, conn_id] : dag_.schemas)
            if (const auto place = connections_.find(conn_id, dag_.lake))
                schemas_.take(*place, schema);
    }

    Dag dag_;
    DagPtr listed_;
    TemporaryFolder folder_;
    TestConnections connections_;
    TestSchemas schemas_;
    std::map<std::string, Secret> secrets_;
    SystemClock clock_;
    store::MemoryLedger ledger_;
    Artefacts artefacts_;
    std::mutex checkpoints_mutex_;  // guards checkpoints_
    std::map<TaskKey, std::string> checkpoints_;
    store::MemoryJournal journal_;
    store::MemoryMapItems map_items_{[this](RunKey run, MapNo map) {
        std::optional<MapLength> length;
        runtime_.query([&](const core::Scheduler&) { length = journal_.map_length(run, map); });
        return length;
    }};
    executor::LocalExecutor executor_;
    runtime::Runtime runtime_;
};

void test(const DagsTestOptions& options) {
    spdlog::set_level(spdlog::level::warn);
    bool succeeded = false;
    {
        TestRun run(options);
        succeeded = run.run(options);
    }
    if (!succeeded) throw Error(ErrorCode::internal, "the run failed");
    std::cout << "the run succeeded; nothing was kept\n";
}

}  // namespace

void add_dags_test(CLI::App& app) {
    auto* dags = app.get_subcommand("dags");
    const auto options = std::make_shared<DagsTestOptions>();
    auto* verb =
        dags->add_subcommand("test", "run a DAG file once, here, and leave nothing behind");
    verb->add_option("file", options->file, "the DAG file")->required();
    verb->add_option("date", options->date, "logical date, ISO 8601")->required();
    verb->add_option("--conf,-c", options->conf, "JSON object for the run's params");
    verb->add_option("--home", options->home, "where connections and secrets are looked up")
        ->capture_default_str();
    verb->callback([options] { test(*options); });
}

}  // namespace sluice
