#include <chrono>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::dags {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string logical_date;
    bool no_logical_date{false};
    std::string conf;
    std::string note;
    bool yes{false};
};

void list(const Options& options) {
    Client client(options.target);
    std::vector<std::vector<std::string>> rows{
        {"dag_id", "state", "schedule", "owner", "next run after", "file"}
    };
    constexpr int page = 100;
    for (int offset = 0;; offset += page) {
        const Json answer = client.get(
            "/api/v2/dags?limit=" + std::to_string(page) + "&offset=" + std::to_string(offset)
        );
        for (const auto& dag : answer.at("dags")) {
            const char* state = dag.value("has_import_errors", false) ? "import error"
                                : dag.value("is_stale", false)        ? "stale"
                                : dag.value("is_paused", false)       ? "paused"
                                                                      : "active";
            std::string owners;
            for (const auto& owner : dag.at("owners"))
                owners += (owners.empty() ? "" : ",") + owner.get<std::string>();
            rows.push_back(
                {text_of(dag, "dag_id"),
                 state,
                 text_of(dag, "timetable_summary"),
                 owners,
                 text_of(dag, "next_dagrun_run_after"),
                 text_of(dag, "relative_fileloc")}
            );
        }
        if (offset + page >= answer.at("total_entries").get<int>()) break;
    }
    std::cout << table(rows);
    const Json errors = client.get("/api/v2/importErrors");
    for (const auto& error : errors.at("import_errors"))
        std::cout << "\nimport error in " << text_of(error, "filename") << ":\n"
                  << text_of(error, "stack_trace") << '\n';
}

void set_paused(const Options& options, bool paused) {
    Client client(options.target);
    client.patch("/api/v2/dags/" + encode(options.dag_id), {{"is_paused", paused}});
    std::cout << options.dag_id << (paused ? " is paused\n" : " is active\n");
}

/// Asks the person at the terminal. Nothing is deleted without an answer.
bool is_wanted(const std::string& dag_id, std::int64_t runs) {
    if (::isatty(STDIN_FILENO) != 1)
        throw Error(
            ErrorCode::invalid, "nobody is there to ask: `--yes` deletes without a question"
        );
    std::cout << "delete " << dag_id << " with its " << runs
              << " runs, their task instances, XComs and logs, its backfills and versions? [y/N] "
              << std::flush;
    std::string said;
    std::getline(std::cin, said);
    return said == "y" || said == "yes";
}

void remove(const Options& options) {
    Client client(options.target);
    const std::string path = "/api/v2/dags/" + encode(options.dag_id);
    const Json dag = client.get(path);
    const auto runs = client.get(path + "/dagRuns?limit=1").at("total_entries").get<std::int64_t>();
    if (!options.yes && !is_wanted(options.dag_id, runs)) {
        std::cout << options.dag_id << " is left as it is\n";
        return;
    }
    client.remove(path);
    std::cout << options.dag_id << " is deleted, with " << runs
              << " runs; data sets and the event log stay\n";
    if (!dag.value("is_stale", false))
        std::cout << "its file " << text_of(dag, "relative_fileloc")
                  << " is still in the DAG folder: the DAG comes again from it, as a new one\n";
}

Json conf_of(const std::string& text) {
    Json conf = Json::parse(text, nullptr, false);
    if (!conf.is_object())
        throw Error(ErrorCode::invalid, "--conf must be a JSON object, for example '{\"day\": 3}'");
    return conf;
}

void trigger(const Options& options) {
    Client client(options.target);
    // A run by hand has a logical date, as from the dashboard's form: templates such as {{ ds }}
    // need it.
    std::string logical_date = options.logical_date;
    if (logical_date.empty())
        logical_date =
            format_z(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
    Json body{{"logical_date", logical_date}};
    if (options.no_logical_date) body["logical_date"] = nullptr;
    if (!options.run_id.empty()) body["dag_run_id"] = options.run_id;
    if (!options.note.empty()) body["note"] = options.note;
    if (!options.conf.empty()) body["conf"] = conf_of(options.conf);
    const Json run = client.post("/api/v2/dags/" + encode(options.dag_id) + "/dagRuns", body);
    std::cout << text_of(run, "dag_run_id") << ' ' << text_of(run, "state") << '\n';
}

void show(const Options& options) {
    Client client(options.target);
    const Json dag = client.get("/api/v2/dags/" + encode(options.dag_id) + "/details");
    for (const char* key :
         {"dag_id",
          "description",
          "fileloc",
          "timetable_summary",
          "timezone",
          "start_date",
          "end_date",
          "is_paused",
          "next_dagrun_run_after"})
        std::cout << key << ": " << text_of(dag, key) << '\n';
    const Json tasks = client.get("/api/v2/dags/" + encode(options.dag_id) + "/tasks");
    std::vector<std::vector<std::string>> rows{{"task_id", "operator", "trigger_rule", "downstream"}
    };
    for (const auto& task : tasks.at("tasks")) {
        std::string downstream;
        for (const auto& id : task.at("downstream_task_ids"))
            downstream += (downstream.empty() ? "" : ", ") + id.get<std::string>();
        rows.push_back(
            {text_of(task, "task_id"),
             text_of(task, "operator_name"),
             text_of(task, "trigger_rule"),
             downstream}
        );
    }
    std::cout << '\n' << table(rows);
}

}  // namespace

void add(CLI::App& app) {
    auto* dags = app.add_subcommand("dags", "list, show, trigger, pause, unpause and delete DAGs");
    dags->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = dags->add_subcommand("list", "all DAGs and import errors");
    add_target(*list_verb, options->target);
    list_verb->callback([options] { list(*options); });

    auto* show_verb = dags->add_subcommand("show", "one DAG: settings, tasks and edges");
    add_target(*show_verb, options->target);
    show_verb->add_option("dag_id", options->dag_id)->required();
    show_verb->callback([options] { show(*options); });

    auto* pause = dags->add_subcommand("pause", "start no new runs of a DAG");
    add_target(*pause, options->target);
    pause->add_option("dag_id", options->dag_id)->required();
    pause->callback([options] { set_paused(*options, true); });

    auto* unpause = dags->add_subcommand("unpause", "let a DAG run");
    add_target(*unpause, options->target);
    unpause->add_option("dag_id", options->dag_id)->required();
    unpause->callback([options] { set_paused(*options, false); });

    auto* delete_verb = dags->add_subcommand(
        "delete", "delete a DAG that has nothing open, with all that is stored of it"
    );
    add_target(*delete_verb, options->target);
    delete_verb->add_option("dag_id", options->dag_id)->required();
    delete_verb->add_flag("--yes,-y", options->yes, "do not ask");
    delete_verb->callback([options] { remove(*options); });

    auto* trigger_verb = dags->add_subcommand("trigger", "create a run now");
    add_target(*trigger_verb, options->target);
    trigger_verb->add_option("dag_id", options->dag_id)->required();
    trigger_verb->add_option(
        "--run-id,-r", options->run_id, "id of the run (default: manual__<time>)"
    );
    trigger_verb->add_option("--logical-date,-e", options->logical_date, "ISO 8601 (default: now)");
    trigger_verb->add_flag("--no-logical-date", options->no_logical_date, "a run without one");
    trigger_verb->add_option("--conf,-c", options->conf, "JSON object for the run's params");
    trigger_verb->add_option("--note", options->note);
    trigger_verb->callback([options] { trigger(*options); });
}

}  // namespace sluice::cli::dags
