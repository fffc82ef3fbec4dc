#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::backfill {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string from_date;
    std::string to_date;
    std::string reprocess{"none"};
    std::string conf;
    std::vector<std::string> tasks;
    bool upstream{false};
    bool downstream{false};
    int max_active_runs{10};
    bool run_backwards{false};
    bool latest{false};
    bool dry_run{false};
    bool wait{false};
    int id{0};
};

std::string path_of(int id) { return "/api/v2/backfills/" + std::to_string(id); }

/// Counts of a backfill's runs by state.
struct Progress {
    int total{0};
    int success{0};
    int failed{0};
    int running{0};
};

Progress progress_of(Client& client, const std::string& dag_id, int id) {
    Progress progress;
    constexpr int page = 100;
    for (int offset = 0;; offset += page) {
        const Json answer = client.get(
            "/api/v2/dags/" + encode(dag_id) +
            "/dagRuns?run_type=backfill&backfill_id=" + std::to_string(id) +
            "&limit=" + std::to_string(page) + "&offset=" + std::to_string(offset)
        );
        for (const auto& run : answer.at("dag_runs")) {
            ++progress.total;
            const auto state = text_of(run, "state");
            if (state == "success") ++progress.success;
            if (state == "failed") ++progress.failed;
            if (state == "running") ++progress.running;
        }
        if (offset + page >= answer.at("total_entries").get<int>()) break;
    }
    return progress;
}

/// `retries`: what waits for its next try.
void print(
    const Progress& progress,
    std::size_t tasks,
    const std::string& last_task,
    const std::vector<std::string>& retries
) {
    std::cout << "\r\x1b[K" << progress.success << " of " << progress.total << " runs succeeded, "
              << progress.running << " running";
    if (progress.failed > 0) std::cout << ", " << progress.failed << " FAILED";
    std::cout << "; " << tasks << " tasks ended";
    if (!retries.empty())
        std::cout << "; waiting for a retry: " << retries.size() << ", " << retries.front();
    else if (!last_task.empty())
        std::cout << ", last " << last_task;
    std::cout << std::flush;
}

/// Tells every task instance of a DAG's backfill runs once, when it has ended, in order of the end.
class EndedTasks {
public:
    explicit EndedTasks(std::string dag_id) : dag_id_(std::move(dag_id)) {}

    /// Those that ended since the last call.
    std::vector<Json> more(Client& client) {
        std::vector<Json> ended;
        for (;;) {
            std::string path = "/api/v2/dags/" + encode(dag_id_) +
                               "/dagRuns/~/taskInstances?order_by=end_date&limit=100";
            path += "&end_date_gte=" + encode(since_);
            const Json answer = client.get(path);
            const std::size_t known = ended.size();
            for (const auto& instance : answer.at("task_instances")) {
                if (!seen_.insert(text_of(instance, "id")).second) continue;
                if (!text_of(instance, "dag_run_id").starts_with("backfill__")) continue;
                ended.push_back(instance);
            }
            if (!answer.at("task_instances").empty())
                since_ = text_of(answer.at("task_instances").back(), "end_date");
            if (answer.at("task_instances").size() < 100 || ended.size() == known) return ended;
        }
    }
    [[nodiscard]] std::size_t count() const { return seen_.size(); }

private:
    std::string dag_id_;
    std::string since_{"1970-01-01T00:00:00Z"};
    std::set<std::string> seen_;
};

std::string line_of(const Json& instance) {
    std::string line = text_of(instance, "logical_date").substr(0, 10) + ' ' + task_of(instance) +
                       ' ' + text_of(instance, "state");
    if (instance.at("duration").is_number()) {
        std::array<char, 32> seconds{};
        std::snprintf(
            seconds.data(), seconds.size(), " %.2f s", instance.at("duration").get<double>()
        );
        line += seconds.data();
    }
    return line;
}

/// What waits for its next try in a DAG's backfill runs: `2026-01-06 extract.orders, try 1 of 3`.
std::vector<std::string> retries_of(Client& client, const std::string& dag_id) {
    std::vector<std::string> lines;
    const Json answer = client.get(
        "/api/v2/dags/" + encode(dag_id) +
        "/dagRuns/~/taskInstances?state=up_for_retry&order_by=id&limit=100"
    );
    for (const auto& instance : answer.at("task_instances")) {
        if (!text_of(instance, "dag_run_id").starts_with("backfill__")) continue;
        lines.push_back(
            text_of(instance, "logical_date").substr(0, 10) + ' ' + task_of(instance) + ", try " +
            text_of(instance, "try_number") + " of " +
            std::to_string(instance.at("max_tries").get<int>() + 1)
        );
    }
    return lines;
}

void wait_for(Client& client, const std::string& dag_id, int id) {
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    EndedTasks tasks(dag_id);
    std::string last_task;
    std::set<std::string> retries_told;
    Progress last;
    for (;;) {
        const Json backfill = client.get(path_of(id));
        // Asked for after the backfill: what ended before its end is among the answers.
        for (const auto& instance : tasks.more(client)) {
            last_task = line_of(instance);
            if (!terminal) std::cout << last_task << '\n';
        }
        last = progress_of(client, dag_id, id);
        const auto retries = retries_of(client, dag_id);
        if (terminal) print(last, tasks.count(), last_task, retries);
        for (const auto& retry : retries)
            if (!terminal && retries_told.insert(retry).second)
                std::cout << retry << " failed, waits for a retry\n";
        if (!backfill.at("completed_at").is_null()) break;
        std::cout << std::flush;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    if (terminal) std::cout << '\n';
    std::cout << last.success << " of " << last.total << " runs succeeded\n";
    if (last.failed > 0)
        throw Error(ErrorCode::internal, std::to_string(last.failed) + " runs failed");
}

/// A line a date: what is done, and why not.
void print_plan(const Json& plan) {
    std::vector<Json> dates(plan.at("backfills"));
    for (const auto& date : plan.at("skipped")) dates.push_back(date);
    std::ranges::stable_sort(dates, {}, [](const Json& date) {
        return text_of(date, "logical_date");
    });
    std::vector<std::vector<std::string>> rows{{"logical date", "action", "reason", "seconds"}};
    for (const auto& date : dates)
        rows.push_back(
            {text_of(date, "logical_date"),
             text_of(date, "action"),
             text_of(date, "reason"),
             text_of(date, "estimated_seconds")}
        );
    std::cout << table(rows) << plan.at("total_entries") << " runs would be created or cleared";
    if (plan.at("estimated_seconds").is_number())
        std::cout << ", in about " << plan.at("estimated_seconds") << " s";
    std::cout << '\n';
    if (plan.at("task_ids").empty()) return;
    std::cout << "tasks:";
    for (const auto& id : plan.at("task_ids")) std::cout << ' ' << id.get<std::string>();
    std::cout << '\n';
}

void create(const Options& options) {
    Client client(options.target);
    Json body{
        {"dag_id", options.dag_id},
        {"from_date", options.from_date},
        {"to_date", options.to_date},
        {"reprocess_behavior", options.reprocess},
        {"max_active_runs", options.max_active_runs},
        {"run_backwards", options.run_backwards},
        {"run_on_latest_version", options.latest},
    };
    if (!options.conf.empty()) {
        body["dag_run_conf"] = Json::parse(options.conf, nullptr, false);
        if (!body["dag_run_conf"].is_object())
            throw Error(ErrorCode::invalid, "--dag-run-conf must be a JSON object");
    }
    if (!options.tasks.empty()) {
        body["task_ids"] = options.tasks;
        body["include_upstream"] = options.upstream;
        body["include_downstream"] = options.downstream;
    }
    if (options.dry_run) return print_plan(client.post("/api/v2/backfills/dry_run", body));
    const Json backfill = client.post("/api/v2/backfills", body);
    const int id = backfill.at("id").get<int>();
    std::cout << "backfill " << id << " of " << options.dag_id << " created\n";
    if (options.wait) wait_for(client, options.dag_id, id);
}

void list(const Options& options) {
    Client client(options.target);
    const Json answer = client.get("/api/v2/backfills?dag_id=" + encode(options.dag_id));
    std::vector<std::vector<std::string>> rows{
        {"id",
         "from",
         "to",
         "reprocess",
         "max active",
         "paused",
         "queued",
         "running",
         "success",
         "failed",
         "skipped",
         "taken over",
         "created",
         "completed"}
    };
    for (const auto& backfill : answer.at("backfills"))
        rows.push_back(
            {text_of(backfill, "id"),
             text_of(backfill, "from_date"),
             text_of(backfill, "to_date"),
             text_of(backfill, "reprocess_behavior"),
             text_of(backfill, "max_active_runs"),
             text_of(backfill, "is_paused"),
             text_of(backfill.at("dag_run_counts"), "queued"),
             text_of(backfill.at("dag_run_counts"), "running"),
             text_of(backfill.at("dag_run_counts"), "success"),
             text_of(backfill.at("dag_run_counts"), "failed"),
             text_of(backfill, "skipped_dates"),
             text_of(backfill, "taken_over_dates"),
             text_of(backfill, "created_at"),
             text_of(backfill, "completed_at")}
        );
    std::cout << table(rows);
}

void wait_verb(const Options& options) {
    Client client(options.target);
    const Json backfill = client.get(path_of(options.id));
    wait_for(client, text_of(backfill, "dag_id"), options.id);
}

void act(const Options& options, const char* action) {
    Client client(options.target);
    client.put(path_of(options.id) + '/' + action);
    std::cout << "backfill " << options.id << ": " << action << '\n';
}

}  // namespace

void add(CLI::App& app) {
    auto* backfill = app.add_subcommand("backfill", "create and steer backfills");
    backfill->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* create_verb =
        backfill->add_subcommand("create", "runs for every logical date in a range");
    add_target(*create_verb, options->target);
    create_verb->add_option("dag_id", options->dag_id)->required();
    create_verb->add_option("--from-date,--from", options->from_date, "first logical date")
        ->required();
    create_verb->add_option("--to-date,--to", options->to_date, "last logical date, inclusive")
        ->required();
    create_verb->add_option("--reprocess-behavior", options->reprocess, "none, failed or completed")
        ->capture_default_str();
    create_verb->add_option("--max-active-runs", options->max_active_runs)->capture_default_str();
    create_verb->add_option("--dag-run-conf", options->conf, "JSON object");
    create_verb->add_option("--task-id", options->tasks, "only these tasks (several times)");
    create_verb->add_flag("--upstream", options->upstream, "and what comes before them");
    create_verb->add_flag("--downstream", options->downstream, "and what follows");
    create_verb->add_flag(
        "--latest", options->latest, "runs that it clears go on with the latest version"
    );
    create_verb->add_flag("--run-backwards", options->run_backwards, "newest first");
    create_verb->add_flag("--dry-run", options->dry_run, "only show the plan");
    create_verb->add_flag("--wait", options->wait, "show progress until it has ended");
    create_verb->callback([options] { create(*options); });

    auto* list_verb = backfill->add_subcommand("list", "backfills of a DAG");
    add_target(*list_verb, options->target);
    list_verb->add_option("dag_id", options->dag_id)->required();
    list_verb->callback([options] { list(*options); });

    const auto add_one = [&](const char* name, const char* help) {
        auto* verb = backfill->add_subcommand(name, help);
        add_target(*verb, options->target);
        verb->add_option("id", options->id)->required();
        return verb;
    };
    add_one("wait", "show progress until it has ended; exit code 0 if all runs succeeded")
        ->callback([options] { wait_verb(*options); });
    add_one("pause", "start no further runs")->callback([options] { act(*options, "pause"); });
    add_one("unpause", "go on")->callback([options] { act(*options, "unpause"); });
    add_one("cancel", "fail the queued runs; running ones finish")->callback([options] {
        act(*options, "cancel");
    });
}

}  // namespace sluice::cli::backfill
