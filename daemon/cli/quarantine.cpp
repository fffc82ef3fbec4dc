// sluice quarantine: what validate tasks set aside, by interval, and the way back in: an interval
// through the corrected rules once more.
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::quarantine {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string task_id;
    std::string run_id;
    std::string date;
    int limit{100};
    bool all{false};
    bool same_version{false};
    bool alone{false};
    bool dry_run{false};
    bool no_wait{false};
};

std::string number_of(const Json& summary, const char* key) {
    const auto found = summary.find(key);
    return found == summary.end() || !found->is_number()
               ? ""
               : std::to_string(static_cast<std::int64_t>(found->get<double>()));
}

/// "range: qty 12, fk: product_id 2"
std::string reasons_of(const Json& datasets) {
    const std::string mark = "broken: ";
    std::string text;
    for (const auto& [dataset, metrics] : datasets.items())
        for (const auto& [name, value] : metrics.items())
            if (name.starts_with(mark) && value.get<double>() > 0)
                text += (text.empty() ? "" : ", ") + name.substr(mark.size()) + ' ' +
                        std::to_string(static_cast<std::int64_t>(value.get<double>()));
    return text;
}

Json metrics_of(Client& client, const Options& options) {
    std::string path =
        "/ui/v1/dags/" + encode(options.dag_id) + "/metrics?limit=" + std::to_string(options.limit);
    if (!options.task_id.empty()) path += "&task=" + encode(options.task_id);
    return client.get(path).at("metrics");
}

void list(const Options& options) {
    Client client(options.target);
    std::vector<std::vector<std::string>> rows{
        {"task_id", "interval", "rows in", "held", "released", "held for", "run_id"}
    };
    for (const auto& row : metrics_of(client, options)) {
        const Json& summary = row.at("summary");
        const std::string held = number_of(summary, "rows_quarantined");
        const std::string released = number_of(summary, "rows_released");
        if (held.empty() || (!options.all && held == "0" && released.empty())) continue;
        const Json& interval = row.at("interval");
        const auto begin = [&] {
            return format_z(Instant{std::chrono::milliseconds{interval.at(0).get<std::int64_t>()}});
        };
        rows.push_back(
            {text_of(row, "task"),
             interval.is_null() ? "" : begin(),
             number_of(summary, "rows_in"),
             held,
             released,
             reasons_of(row.at("datasets")),
             text_of(row, "run")}
        );
    }
    std::cout << table(rows);
}

/// The run that is meant: by its id, or the newest one of a logical date.
std::string run_of(Client& client, const Options& options) {
    if (options.run_id.empty() == options.date.empty())
        throw Error(ErrorCode::invalid, "name the interval: --run RUN_ID or --date DATE");
    if (!options.run_id.empty()) return options.run_id;
    const auto date = parse_time(options.date);
    if (!date) throw Error(ErrorCode::invalid, options.date + " is no ISO 8601 date");
    // A date alone is a day.
    const Instant last =
        date->date_only ? date->at + std::chrono::hours{24} - Duration{1} : date->at;
    const Json runs = client.get(
        "/api/v2/dags/" + encode(options.dag_id) +
        "/dagRuns?order_by=-run_after&limit=2&logical_date_gte=" + encode(format_z(date->at)) +
        "&logical_date_lte=" + encode(format_z(last))
    );
    if (runs.at("dag_runs").empty())
        throw Error(ErrorCode::not_found, options.dag_id + " has no run of " + options.date);
    if (runs.at("dag_runs").size() > 1)
        throw Error(
            ErrorCode::invalid,
            options.dag_id + " has several runs of " + options.date + ": name one with --run"
        );
    return text_of(runs.at("dag_runs").at(0), "dag_run_id");
}

/// What the task counted in the run; null if it set nothing aside.
Json summary_of(Client& client, const Options& options, const std::string& run_id) {
    for (const auto& row : metrics_of(client, options))
        if (row.at("run") == run_id && row.at("summary").contains("rows_quarantined"))
            return row.at("summary");
    return nullptr;
}

void wait_for(Client& client, const Options& options, const std::string& run_id) {
    const std::string path =
        "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns/" + encode(run_id);
    for (;;) {
        const std::string state = text_of(client.get(path), "state");
        if (state == "success") return;
        if (state == "failed") throw Error(ErrorCode::internal, run_id + " failed; see its logs");
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

void redrive(Options options) {
    Client client(options.target);
    options.limit = 100;
    const std::string run_id = run_of(client, options);
    const Json before = summary_of(client, options, run_id);
    if (before.is_null())
        throw Error(
            ErrorCode::invalid,
            options.task_id + " of " + run_id + " has set no rows aside: there is no quarantine"
        );
    const Json cleared = client.post(
        "/api/v2/dags/" + encode(options.dag_id) + "/clearTaskInstances",
        {{"dry_run", options.dry_run},
         {"only_failed", false},
         {"dag_run_id", run_id},
         {"task_ids", Json::array({options.task_id})},
         {"include_downstream", !options.alone},
         {"reset_dag_runs", true},
         {"run_on_latest_version", !options.same_version}}
    );
    std::cout << run_id << ": " << number_of(before, "rows_quarantined") << " rows are held; "
              << cleared.at("task_instances").size()
              << (options.dry_run ? " task instances would run again\n"
                                  : " task instances run again\n");
    if (options.dry_run || options.no_wait) return;
    wait_for(client, options, run_id);
    const Json after = summary_of(client, options, run_id);
    if (after.is_null()) throw Error(ErrorCode::internal, options.task_id + " has left no summary");
    const std::string released = number_of(after, "rows_released");
    std::cout << (released.empty() ? "0" : released) << " rows are let in, "
              << number_of(after, "rows_quarantined") << " are still held; "
              << number_of(after, "rows_out") << " of " << number_of(after, "rows_in")
              << " rows passed\n";
}

}  // namespace

void add(CLI::App& app) {
    auto* group = app.add_subcommand("quarantine", "rows that validate tasks have set aside");
    group->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb =
        group->add_subcommand("list", "intervals of a DAG with rows in quarantine, newest first");
    add_target(*list_verb, options->target);
    list_verb->add_option("dag_id", options->dag_id)->required();
    list_verb->add_option("task_id", options->task_id, "default: all tasks");
    list_verb->add_option("--limit", options->limit, "look at so many task runs")
        ->capture_default_str();
    list_verb->add_flag("--all", options->all, "intervals without such rows too");
    list_verb->callback([options] { list(*options); });

    auto* redrive_verb = group->add_subcommand(
        "redrive", "check the rows of an interval once more, with the DAG's rules of now"
    );
    add_target(*redrive_verb, options->target);
    redrive_verb->add_option("dag_id", options->dag_id)->required();
    redrive_verb->add_option("task_id", options->task_id, "the validate task")->required();
    redrive_verb->add_option("--date", options->date, "logical date of the run");
    redrive_verb->add_option("--run", options->run_id, "or the run itself");
    redrive_verb->add_flag(
        "--same-version", options->same_version, "with the version that the run has, not the latest"
    );
    redrive_verb->add_flag("--alone", options->alone, "without the tasks that follow");
    redrive_verb->add_flag("--dry-run", options->dry_run, "only say what would run");
    redrive_verb->add_flag("--no-wait", options->no_wait, "do not wait for the run's end");
    redrive_verb->callback([options] { redrive(*options); });
}

}  // namespace sluice::cli::quarantine
