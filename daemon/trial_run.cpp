#include "trial_run.hpp"

#include <iostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "config.hpp"
#include "dag_loading.hpp"
#include "executor/task_log.hpp"
#include "folder_loading.hpp"
#include "home.hpp"
#include "model/params.hpp"
#include "model/timetable.hpp"
#include "object_store.hpp"
#include "operators/operators.hpp"
#include "store/checkpoints.hpp"
#include "store/cluster.hpp"
#include "task_services.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

core::TriggerRun trigger_of(const Dag& dag, const TrialOptions& options) {
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

std::map<std::string, Secret> trial_secrets(const std::string& home) {
    std::map<std::string, Secret> secrets;
    const auto text = read_file(fs::path(home) / "secrets");
    const auto json = nlohmann::json::parse(text.value_or("{}"), nullptr, false);
    if (json.is_object())
        for (const auto& [name, value] : json.items())
            if (value.is_string()) secrets.emplace(name, Secret(value.get<std::string>()));
    return secrets;
}

}  // namespace

TrialConnections::TrialConnections(const TrialOptions& options, fs::path lake)
    : lake_(std::move(lake)) {
    fs::create_directories(lake_);
    try {
        pool_ = std::make_unique<store::ConnectionPool>(
            options.database_url.empty() ? store::Cluster::url_of(options.home, "sluice")
                                         : options.database_url
        );
        admin_ = std::make_unique<store::Admin>(*pool_);
        known_ = std::make_unique<Connections>(*admin_);
        (void)known_->find("lake");
    } catch (const Error&) {
        known_.reset();  // no home, or its daemon does not run: the environment is all there is
    }
}

std::optional<task::Connection> TrialConnections::find(
    const std::string& conn_id, const std::string& lake_id
) const {
    if (conn_id == lake_id)
        return task::Connection{
            .id = conn_id,
            .type = "fs",
            .extra = nlohmann::json{{"path", lake_.string()}}.dump(),
        };
    return real(conn_id);
}

std::optional<task::Connection> TrialConnections::real(const std::string& conn_id) const {
    if (known_) return known_->find(conn_id);
    auto found = environment_connection(conn_id);
    if (found) found = with_environment(*std::move(found), {});
    return found;
}

std::optional<std::string> TrialConnections::variable(const std::string& key) const {
    if (!known_) return std::nullopt;
    const auto found = admin_->variable(key);
    if (!found) return std::nullopt;
    return found->value;
}

Dag read_trial_dag(const std::string& file) {
    const fs::path path = fs::absolute(file).lexically_normal();
    if (!fs::is_regular_file(path)) throw Error(ErrorCode::not_found, file + " cannot be read");
    executor::DagChecks checks(ops::all_operators(), program());
    auto parsed = FolderLoading(path.parent_path(), checks).load(path.filename().string());
    for (const auto& problem : parsed.problems) std::cerr << format(problem) << '\n';
    if (!parsed.value) throw Error(ErrorCode::invalid, file + " is not a DAG file that can run");
    Dag dag = std::move(*parsed.value);
    // One run, by hand: no schedule, no limit of dates.
    dag.is_paused_upon_creation = false;
    return dag;
}

TrialRun::TrialRun(Dag dag, const TrialOptions& options, const Around& around)
    : options_(options),
      dag_(std::move(dag)),
      connections_(options, folder_.path() / "lake"),
      secrets_(trial_secrets(options.home)),
      artefacts_(folder_.path() / "artefacts"),
      journal_(ledger_),
      executor_(
          {.threads = 16,
           .logs_root = (folder_.path() / "logs").string(),
           .scratch_root = (folder_.path() / "scratch").string(),
           .instance = "test-" + std::to_string(::getpid()),
           .program = program(),
           .test_mode = true},
          services(around ? around(*this) : ledger_),
          ops::all_operators(),
          [this](std::vector<AttemptResult> results) { runtime_.report(std::move(results)); }
      ),
      runtime_(
          {.core = {.cpu = machine_cores(), .memory_mb = machine_memory_mb()}},
          clock_,
          journal_,
          executor_,
          DagLoading::load_stored
      ) {}

TrialRun::~TrialRun() {
    runtime_.stop();
    executor_.stop();
}

bool TrialRun::run(const std::function<bool()>& stop) {
    take_schemas();
    runtime_.start();
    const auto feed = runtime_.feed().subscribe();
    listed_ = runtime_.define(without_schedule(dag_), {});
    const auto answer = runtime_.call(trigger_of(dag_, options_));
    if (answer.error) throw Error(*answer.error, answer.message);
    for (;;) {
        const auto change =
            feed->next(std::chrono::steady_clock::now() + std::chrono::milliseconds(200));
        if (stop && stop()) throw Error(ErrorCode::internal, "stopped before its end");
        if (!change) continue;
        for (const auto& instance : (*change)->instances) tell(instance, answer.run->run_id);
        for (const auto& run : (*change)->runs)
            if (is_finished(run.state)) return run.state == RunState::success;
    }
}

executor::Services TrialRun::services(store::Ledger& ledger) {
    return task_services({
        .ledger = ledger,
        .connection = [this](const std::string& id) { return connections_.find(id, dag_.lake); },
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
            [this](RunKey run, TaskNo task, const std::vector<MapIndex>* of) {
                std::map<std::string, std::string> lists;
                runtime_.query([&](const core::Scheduler&) {
                    lists = journal_.xcom_lists(run, task, of);
                });
                return lists;
            },
        .map_items = &map_items_,
        .schema_suffix = TestSchemas::suffix(),
    });
}

void TrialRun::tell(const TaskInstance& instance, const std::string& run_id) {
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

void TrialRun::take_schemas() {
    if (std::exchange(has_schemas_, true)) return;
    for (const auto& [schema, conn_id] : dag_.schemas)
        if (const auto place = connections_.find(conn_id, dag_.lake)) schemas_.take(*place, schema);
}

}  // namespace sluice
