#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "cli/flow.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::runs {
namespace {

using Json = nlohmann::json;

struct Options {
    bool latest{false};
    bool only_new{false};
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string state;
    int limit{25};
    bool progress{false};
};

std::string path_of(const Options& options) {
    return "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns/" + encode(options.run_id);
}

void list(const Options& options) {
    Client client(options.target);
    std::string path = "/api/v2/dags/" + encode(options.dag_id) +
                       "/dagRuns?order_by=-run_after&limit=" + std::to_string(options.limit);
    if (!options.state.empty()) path += "&state=" + encode(options.state);
    std::vector<std::vector<std::string>> rows{
        {"dag_id", "run_id", "state", "type", "start", "end", "seconds"}
    };
    const Json answer = client.get(path);
    for (const auto& run : answer.at("dag_runs"))
        rows.push_back(
            {text_of(run, "dag_id"),
             text_of(run, "dag_run_id"),
             text_of(run, "state"),
             text_of(run, "run_type"),
             text_of(run, "start_date"),
             text_of(run, "end_date"),
             text_of(run, "duration")}
        );
    std::cout << table(rows) << rows.size() - 1 << " of " << answer.at("total_entries")
              << " runs\n";
}

/// When it should have ended, if anything says so.
void show_deadlines(Client& client, const Options& options) {
    const Json answer = client.get(
        "/ui/v1/dags/" + encode(options.dag_id) + "/runs/" + encode(options.run_id) + "/deadlines"
    );
    if (answer.at("deadlines").empty()) return;
    const auto time = [](const Json& row, const char* key) {
        if (row.at(key).is_null()) return std::string{};
        return format_z(Instant{std::chrono::milliseconds{row.at(key).get<std::int64_t>()}});
    };
    std::vector<std::vector<std::string>> rows{
        {"deadline of", "reference", "due", "predicted to be missed", "missed"}
    };
    for (const auto& row : answer.at("deadlines"))
        rows.push_back(
            {row.at("task_id").is_null() ? "the run" : text_of(row, "task_id"),
             text_of(row, "reference"),
             row.at("due").is_null() ? "too few past runs" : time(row, "due"),
             time(row, "predicted"),
             time(row, "missed")}
        );
    std::cout << '\n' << table(rows);
}

void show(const Options& options) {
    Client client(options.target);
    const Json run = client.get(path_of(options));
    for (const char* key :
         {"dag_run_id",
          "state",
          "run_type",
          "logical_date",
          "data_interval_start",
          "data_interval_end",
          "run_after",
          "start_date",
          "end_date",
          "note",
          "conf"})
        std::cout << key << ": " << text_of(run, key) << '\n';
    std::vector<std::vector<std::string>> rows{{"task_id", "state", "try", "start", "seconds"}};
    constexpr int page = 100;
    for (int offset = 0;; offset += page) {
        const Json answer = client.get(
            path_of(options) + "/taskInstances?limit=" + std::to_string(page) +
            "&offset=" + std::to_string(offset)
        );
        for (const auto& instance : answer.at("task_instances"))
            rows.push_back(
                {task_of(instance),
                 text_of(instance, "state"),
                 text_of(instance, "try_number"),
                 text_of(instance, "start_date"),
                 text_of(instance, "duration")}
            );
        if (offset + page >= answer.at("total_entries").get<int>()) break;
    }
    std::cout << '\n' << table(rows);
    show_deadlines(client, options);
}

void flow(const Options& options) {
    Client client(options.target);
    show_flow(client, options.dag_id, options.run_id);
}

void cancel(const Options& options) {
    Client client(options.target);
    const Json run = client.patch(path_of(options), {{"state", "failed"}});
    std::cout << options.run_id << ' ' << text_of(run, "state") << '\n';
}

void clear(const Options& options) {
    Client client(options.target);
    const Json run = client.post(
        path_of(options) + "/clear",
        {{"dry_run", false},
         {"run_on_latest_version", options.latest},
         {"only_new", options.only_new}}
    );
    if (options.only_new)
        std::cout << options.run_id << ' ' << text_of(run, "state") << '\n';
    else
        std::cout << options.run_id << " is cleared and runs again\n";
}

void remove(const Options& options) {
    Client client(options.target);
    client.remove(path_of(options));
    std::cout << options.run_id << " is deleted\n";
}

/// Bars of the tasks that run now, in place of those before.
class Bars {
public:
    Bars(Client& client, const Options& options) : client_(client), options_(options) {}
    ~Bars() { erase(); }
    Bars(const Bars&) = delete;
    Bars& operator=(const Bars&) = delete;

    void draw() {
        const Json answer = client_.get(
            "/ui/v1/dags/" + encode(options_.dag_id) + "/runs/" + encode(options_.run_id) +
            "/progress"
        );
        erase();
        for (const auto& one : answer.at("progress")) {
            std::cerr << progress_line(one) << '\n';
            ++drawn_;
        }
    }

private:
    void erase() {
        for (; drawn_ > 0; --drawn_) std::cerr << "\x1b[1A\x1b[2K";
        std::cerr << std::flush;
    }

    Client& client_;
    const Options& options_;
    int drawn_{0};
};

/// Throws Error(internal) when the run fails, so that scripts can rely on the exit code.
void wait(const Options& options) {
    Client client(options.target);
    Bars bars(client, options);
    const bool shown = options.progress || ::isatty(STDERR_FILENO) == 1;
    for (;;) {
        if (shown) bars.draw();
        const auto state = text_of(client.get(path_of(options)), "state");
        if (state == "success") {
            std::cout << options.run_id << " success\n";
            return;
        }
        if (state == "failed") throw Error(ErrorCode::internal, options.run_id + " failed");
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

/// Totals over all runs of a DAG: what a table at the end of `make run` shows.
void summary(const Options& options) {
    Client client(options.target);
    std::map<std::string, int> runs;
    std::map<std::string, int> tasks;
    double rows_quarantined = 0;
    double rows_rejected = 0;
    constexpr int page = 100;
    const std::string base = "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns";
    for (int offset = 0;; offset += page) {
        const std::string paging =
            "?limit=" + std::to_string(page) + "&offset=" + std::to_string(offset);
        const Json answer = client.get(base + paging);
        for (const auto& run : answer.at("dag_runs")) ++runs[text_of(run, "state")];
        if (offset + page >= answer.at("total_entries").get<int>()) break;
    }
    for (int offset = 0;; offset += page) {
        const std::string paging =
            "?limit=" + std::to_string(page) + "&offset=" + std::to_string(offset);
        const Json answer = client.get(base + "/~/taskInstances" + paging);
        for (const auto& instance : answer.at("task_instances")) {
            ++tasks[text_of(instance, "state")];
            const auto path = base + '/' + encode(text_of(instance, "dag_run_id")) +
                              "/taskInstances/" + encode(text_of(instance, "task_id")) +
                              "/xcomEntries/return_value";
            if (text_of(instance, "state") != "success") continue;
            try {
                const Json value = client.get(path).value("value", Json());
                if (!value.is_object()) continue;
                rows_quarantined += value.value("rows_quarantined", 0.0);
                rows_rejected += value.value("rows_rejected", 0.0);
            } catch (const Error& error) {
                if (error.code() != ErrorCode::not_found) throw;
            }
        }
        if (offset + page >= answer.at("total_entries").get<int>()) break;
    }
    const auto print = [](const char* what, const std::map<std::string, int>& counts) {
        std::cout << what;
        for (const auto& [state, count] : counts)
            std::cout << "  " << (state.empty() ? "none" : state) << ' ' << count;
        std::cout << '\n';
    };
    print("runs:          ", runs);
    print("task instances:", tasks);
    std::cout << "rows quarantined: " << static_cast<long long>(rows_quarantined)
              << ", rejected: " << static_cast<long long>(rows_rejected) << '\n';
}

}  // namespace

void add(CLI::App& app) {
    auto* runs = app.add_subcommand("runs", "list, show, wait for, clear and cancel DAG runs");
    runs->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = runs->add_subcommand("list", "runs of a DAG (~ = all DAGs), newest first");
    add_target(*list_verb, options->target);
    list_verb->add_option("dag_id", options->dag_id)->required();
    list_verb->add_option("--state", options->state, "queued, running, success or failed");
    list_verb->add_option("--limit", options->limit)->capture_default_str();
    list_verb->callback([options] { list(*options); });

    auto* summary_verb = runs->add_subcommand("summary", "runs, task instances and rows of a DAG");
    add_target(*summary_verb, options->target);
    summary_verb->add_option("dag_id", options->dag_id)->required();
    summary_verb->callback([options] { summary(*options); });

    const auto add_one = [&](const char* name, const char* help, void (*action)(const Options&)) {
        auto* verb = runs->add_subcommand(name, help);
        add_target(*verb, options->target);
        verb->add_option("dag_id", options->dag_id)->required();
        verb->add_option("run_id", options->run_id)->required();
        verb->callback([options, action] { action(*options); });
        return verb;
    };
    add_one("show", "one run with its task instances", show);
    add_one("cancel", "end a run as failed; its running tasks are stopped", cancel);
    auto* clear_verb = add_one("clear", "run all tasks of a run again", clear);
    clear_verb->add_flag(
        "--latest", options->latest, "the run goes on with the latest version of its DAG"
    );
    clear_verb->add_flag(
        "--only-new", options->only_new, "with the latest version, but only its new tasks run"
    );
    add_one("delete", "delete a run that does not run, with its task instances and logs", remove);
    add_one("wait", "wait until a run has ended; exit code 0 if it succeeded", wait)
        ->add_flag(
            "--progress", options->progress, "show how far its tasks are, also without a terminal"
        );
    add_one("flow", "how rows went through a run: what each of its data tasks counted", flow);
}

}  // namespace sluice::cli::runs
