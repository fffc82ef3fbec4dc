#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string from_date;
    std::string to_date;
    std::string reprocess{"none"};
    std::string conf;
    int max_active_runs{10};
    bool run_backwards{false};
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

void print(const Progress& progress) {
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    std::cout << (terminal ? "\r" : "") << progress.success << " succeeded, " << progress.failed
              << " failed, " << progress.running << " running, of " << progress.total << " runs"
              << (terminal ? "   " : "\n") << std::flush;
}

void wait_for(Client& client, const std::string& dag_id, int id) {
    Progress last;
    for (;;) {
        const Json backfill = client.get(path_of(id));
        const auto now = progress_of(client, dag_id, id);
        if (now.success != last.success || now.failed != last.failed || now.running != last.running)
            print(now);
        last = now;
        if (!backfill.at("completed_at").is_null()) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    std::cout << '\n';
    if (last.failed > 0)
        throw Error(ErrorCode::internal, std::to_string(last.failed) + " runs failed");
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
    };
    if (!options.conf.empty()) body["dag_run_conf"] = Json::parse(options.conf);
    if (options.dry_run) {
        const Json answer = client.post("/api/v2/backfills/dry_run", body);
        for (const auto& date : answer.at("backfills"))
            std::cout << text_of(date, "logical_date") << '\n';
        std::cout << answer.at("total_entries") << " runs would be created or cleared\n";
        return;
    }
    const Json backfill = client.post("/api/v2/backfills", body);
    const int id = backfill.at("id").get<int>();
    std::cout << "backfill " << id << " of " << options.dag_id << " created\n";
    if (options.wait) wait_for(client, options.dag_id, id);
}

void list(const Options& options) {
    Client client(options.target);
    const Json answer = client.get("/api/v2/backfills?dag_id=" + encode(options.dag_id));
    std::vector<std::vector<std::string>> rows{
        {"id", "from", "to", "reprocess", "max active", "paused", "created", "completed"}
    };
    for (const auto& backfill : answer.at("backfills"))
        rows.push_back(
            {text_of(backfill, "id"),
             text_of(backfill, "from_date"),
             text_of(backfill, "to_date"),
             text_of(backfill, "reprocess_behavior"),
             text_of(backfill, "max_active_runs"),
             text_of(backfill, "is_paused"),
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

void add_backfill(CLI::App& app) {
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
    create_verb->add_flag("--run-backwards", options->run_backwards, "newest first");
    create_verb->add_flag("--dry-run", options->dry_run, "only list the dates");
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

}  // namespace sluice::cli
