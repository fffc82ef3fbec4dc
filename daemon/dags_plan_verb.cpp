// dags_plan_verb.cpp — `sluice dags plan DAG --date D`: a dry run of one interval against copies of
// what is there: rows that each target would get, change and lose. The copies are dropped again,
// whatever happens.
#include <algorithm>
#include <array>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "dag_loading.hpp"
#include "operators/plan/lake_files.hpp"
#include "operators/plan/plan.hpp"
#include "shadow_ledger.hpp"
#include "stop_signals.hpp"
#include "store/admin.hpp"
#include "store/cluster.hpp"
#include "store/queries.hpp"
#include "trial_run.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* live_folder = "live";  // of the run's lake: the real one

struct PlanOptions {
    TrialOptions trial;
    std::string dag;
    bool samples{true};
};

/// Operators that only read their sources and write data sets, or nothing at all.
bool runs_in_a_plan(const std::string& name) {
    static constexpr std::array<std::string_view, 9> known{
        "extract",
        "validate",
        "transform",
        "mask",
        "load",
        "branch",
        "short_circuit",
        "latest_only",
        "empty"
    };
    return std::ranges::find(known, name) != known.end();
}

/// That of the home's daemon, which has to answer.
std::unique_ptr<store::ConnectionPool> database_of(const TrialOptions& options) {
    try {
        auto pool = std::make_unique<store::ConnectionPool>(
            options.database_url.empty() ? store::Cluster::url_of(options.home, "sluice")
                                         : options.database_url
        );
        (void)store::Admin(*pool).connection("lake");
        return pool;
    } catch (const Error& error) {
        throw Error(
            ErrorCode::unavailable,
            "a plan compares with what is there, and the daemon of " + options.home +
                " does not answer: " + error.what()
        );
    }
}

/// The DAG of the file, or the latest version of a DAG that the daemon has.
Dag planned_dag(const PlanOptions& options, store::ConnectionPool& pool) {
    if (fs::is_regular_file(options.dag)) return read_trial_dag(options.dag);
    store::Queries queries(pool);
    const auto count = queries.versions(options.dag, {.limit = 1, .offset = 0}).total;
    std::optional<store::Journal::StoredVersion> stored;
    if (count > 0) {
        const auto last = queries.versions(options.dag, {.limit = 1, .offset = count - 1});
        if (!last.rows.empty()) stored = queries.version(last.rows.front().id);
    }
    if (!stored)
        throw Error(
            ErrorCode::not_found, options.dag + " is neither a file nor a DAG of this home"
        );
    return *DagLoading::load_stored(*stored);
}

/// What would be done outside of data sets is not done. Retries come at once.
Dag without_effects(Dag dag, std::vector<std::string>& left_out) {
    for (Task& task : dag.tasks) {
        task.retry_delay = Duration{};
        task.max_retry_delay = Duration{};
        task.callbacks.clear();
        task.depends_on_past = false;
        task.wait_for_downstream = false;
        task.depends_on_previous_tasks.clear();
        if (runs_in_a_plan(task.operator_name)) continue;
        left_out.push_back(task.id + " (" + task.operator_name + ")");
        task.operator_name = "empty";
        task.with = "{}";
        task.isolation = Isolation::inline_;
    }
    dag.is_paused_upon_creation = false;
    return dag;
}

/// The real lake: a folder or a bucket.
task::Connection real_lake(const TrialConnections& connections, const std::string& conn_id) {
    auto place = connections.real(conn_id);
    if (!place || (place->type != "fs" && !plan::LakeFiles::lie_in_a_bucket(*place)))
        throw Error(
            ErrorCode::invalid,
            "a plan reads a lake in a folder or in a bucket; the connection \"" + conn_id +
                "\" is " + (place ? "of type " + place->type : "not defined")
        );
    return *std::move(place);
}

fs::path folder_of(const task::Connection& place) {
    const auto extra = nlohmann::json::parse(place.extra, nullptr, false);
    const std::string path = extra.is_object() ? extra.value("path", place.schema) : place.schema;
    return fs::absolute(path);
}

class Planned {
public:
    Planned(Dag dag, const PlanOptions& options)
        : options_(options),
          run_(std::move(dag), options.trial, [this](TrialRun& run) -> store::Ledger& {
              return around(run);
          }) {}

    bool run(const std::function<bool()>& stop) {
        run_.take_schemas();
        for (const plan::Shadow& shadow : shadows()) {
            plan::copy_schema(shadow, views_of(shadow.schema));
            if (stop()) throw Error(ErrorCode::internal, "stopped before its end");
        }
        try {
            return run_.run(stop);
        } catch (...) {
            if (files_) files_->stop();
            throw;
        }
    }

    void print() {
        std::vector<std::vector<std::string>> rows{
            {"target", "rows before", "rows after", "added", "changed", "removed"}
        };
        std::string details;
        for (const DatasetSpec& dataset : run_.dag().datasets) {
            if (dataset.writer == no_task) continue;
            const auto found = difference(dataset);
            if (!found) continue;
            rows.push_back(
                {dataset.name,
                 std::to_string(found->before),
                 std::to_string(found->after),
                 std::to_string(found->added),
                 std::to_string(found->changed),
                 std::to_string(found->removed)}
            );
            std::string more;
            for (const std::string& note : found->notes) more += "  (" + note + ")\n";
            if (options_.samples)
                for (const std::string& line : found->samples) more += "  " + line + '\n';
            if (!more.empty()) details += '\n' + dataset.name + '\n' + more;
        }
        std::cout << '\n' << cli::table(rows) << details;
    }

private:
    store::Ledger& around(TrialRun& run) {
        store::ConnectionPool* pool = run.connections().pool();
        if (pool == nullptr)
            throw Error(ErrorCode::unavailable, "the daemon's database has gone away");
        const auto place = real_lake(run.connections(), run.dag().lake);
        const fs::path live = run.folder() / "lake" / live_folder;
        real_.emplace(*pool);
        if (place.type == "fs") {
            lake_ = folder_of(place);
            fs::create_directory_symlink(lake_, live);
            shadow_.emplace(run.ledger(), *real_, live_folder);
        } else {
            // What the run reads is brought here; what it writes never goes there.
            lake_ = live;
            files_.emplace(place, live);
            shadow_.emplace(run.ledger(), *real_, live_folder, [this](const std::string& file) {
                files_->fetch(file);
            });
        }
        return *shadow_;
    }

    std::vector<plan::Shadow> shadows() {
        std::vector<plan::Shadow> all;
        for (const auto& [schema, conn_id] : run_.dag().schemas) {
            const auto place = run_.connections().real(conn_id);
            if (place && place->type == "postgres")
                all.push_back({*place, schema, schema + TestSchemas::suffix()});
        }
        return all;
    }

    /// Views that a task of the DAG makes: it makes them in the shadow too.
    std::vector<std::string> views_of(const std::string& schema) const {
        std::vector<std::string> names;
        for (const Task& task : run_.dag().tasks) {
            const auto with = nlohmann::json::parse(task.with, nullptr, false);
            if (task.operator_name != "transform" || !with.is_object()) continue;
            const std::string to = with.value("to", "");
            if (to.starts_with(schema + '.') && with.value("materialized", "table") != "table")
                names.push_back(to.substr(schema.size() + 1));
        }
        return names;
    }

    std::optional<plan::Difference> difference(const DatasetSpec& dataset) {
        const std::string schema = dataset.name.substr(0, dataset.name.find('.'));
        if (schema != "raw" && schema != "processed" && schema != "curated") {
            for (const plan::Shadow& shadow : shadows()) {
                if (shadow.schema != schema) continue;
                try {
                    return plan::compare_table(shadow, dataset);
                } catch (const Error& error) {
                    if (error.code() != ErrorCode::not_found) throw;
                }
            }
            return std::nullopt;
        }
        return lake_difference(dataset);
    }

    /// Of the slices that the run wrote: what they were and what they are.
    std::optional<plan::Difference> lake_difference(const DatasetSpec& dataset) {
        plan::Files files;
        bool same = true;
        std::int64_t rows = 0;
        const auto written = run_.ledger().live({.dataset = dataset.name});
        if (written.empty()) return std::nullopt;
        for (const store::Slice& slice : written) {
            add_files(files.after, run_.folder() / "lake", slice);
            rows += slice.rows;
            bool found = false;
            for (const store::Slice& before : real_->history(slice.key)) {
                if (before.state != "committed") continue;
                add_files(files.before, lake_, before, true);
                found = before.content_hash == slice.content_hash;
            }
            same = same && found;
        }
        if (same) return plan::Difference{.before = rows, .after = rows};
        return plan::compare_files(files, dataset, (run_.folder() / "scratch").string());
    }

    void add_files(
        std::vector<std::string>& paths,
        const fs::path& root,
        const store::Slice& slice,
        bool real = false
    ) {
        for (const auto& file : nlohmann::json::parse(slice.files.empty() ? "[]" : slice.files)) {
            const auto path = file.at("path").get<std::string>();
            if (real && files_) files_->fetch(path);
            paths.push_back((root / path).string());
        }
    }

    const PlanOptions& options_;
    fs::path lake_;
    std::optional<plan::LakeFiles> files_;  // of a lake in a bucket
    std::optional<store::PgLedger> real_;
    std::optional<ShadowLedger> shadow_;
    TrialRun run_;
};

void plan_dag(const PlanOptions& options) {
    spdlog::set_level(spdlog::level::warn);
    const StopSignals signals;
    const auto stop = [&signals] { return signals.came(); };
    std::vector<std::string> left_out;
    {
        const auto pool = database_of(options.trial);
        Planned planned(without_effects(planned_dag(options, *pool), left_out), options);
        for (const std::string& task : left_out) std::cout << "not run: " << task << '\n';
        if (!planned.run(stop))
            throw Error(ErrorCode::internal, "the run failed; nothing was kept");
        planned.print();
    }
    std::cout << "\nnothing was kept\n";
}

}  // namespace

void add_dags_plan(CLI::App& app) {
    auto* dags = app.get_subcommand("dags");
    const auto options = std::make_shared<PlanOptions>();
    auto* verb = dags->add_subcommand(
        "plan", "what a run of one interval would change: a dry run against copies of what is there"
    );
    verb->add_option("dag", options->dag, "a DAG file, or the id of a DAG")->required();
    verb->add_option("--date", options->trial.date, "logical date, ISO 8601")->required();
    verb->add_option("--conf,-c", options->trial.conf, "JSON object for the run's params");
    verb->add_option("--home", options->trial.home, "the home whose daemon runs")
        ->capture_default_str();
    verb->add_option(
        "--database-url", options->trial.database_url, "of a daemon with a PostgreSQL of its own"
    );
    verb->add_flag("!--no-samples", options->samples, "numbers only");
    verb->callback([options] { plan_dag(*options); });
}

}  // namespace sluice
