#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    int try_number{0};
    bool downstream{false};
    bool upstream{false};
    bool only_failed{false};
    bool dry_run{false};
};

std::string run_path(const Options& options) {
    return "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns/" + encode(options.run_id);
}

void print_line(const Json& line) {
    if (line.is_string()) {
        std::cout << line.get<std::string>() << '\n';
        return;
    }
    const auto text = [&](const char* key) {
        const auto found = line.find(key);
        return found != line.end() && found->is_string() ? found->get<std::string>() : "";
    };
    const auto at = text("timestamp");
    const auto level = text("level");
    std::cout << at << (at.empty() ? "" : " ") << level << (level.empty() ? "" : " ")
              << text("event") << '\n';
}

void logs(const Options& options) {
    Client client(options.target);
    const auto task = run_path(options) + "/taskInstances/" + encode(options.task_id);
    int number = options.try_number;
    if (number == 0) number = client.get(task).at("try_number").get<int>();
    if (number == 0)
        throw Error(ErrorCode::not_found, options.task_id + " has not been tried yet: no log");
    std::string path = task + "/logs/" + std::to_string(number);
    std::string token;
    for (;;) {
        const Json page = client.get(token.empty() ? path : path + "?token=" + encode(token));
        for (const auto& line : page.at("content")) print_line(line);
        const auto& next = page.at("continuation_token");
        if (!next.is_string() || next.get<std::string>() == token || page.at("content").empty())
            break;
        token = next.get<std::string>();
    }
}

void clear(const Options& options) {
    Client client(options.target);
    Json body{
        {"dry_run", options.dry_run},
        {"dag_run_id", options.run_id},
        {"only_failed", options.only_failed},
        {"include_downstream", options.downstream},
        {"include_upstream", options.upstream},
        {"reset_dag_runs", true},
    };
    if (!options.task_id.empty()) body["task_ids"] = Json::array({options.task_id});
    const Json answer =
        client.post("/api/v2/dags/" + encode(options.dag_id) + "/clearTaskInstances", body);
    for (const auto& instance : answer.at("task_instances"))
        std::cout << instance.at("dag_run_id").get<std::string>() << ' '
                  << instance.at("task_id").get<std::string>() << '\n';
    std::cout << answer.at("task_instances").size()
              << (options.dry_run ? " task instances would be cleared\n"
                                  : " task instances cleared\n");
}

}  // namespace

void add_tasks(CLI::App& app) {
    auto* tasks = app.add_subcommand("tasks", "logs of task instances, and clearing them");
    tasks->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* logs_verb =
        tasks->add_subcommand("logs", "the log of an attempt (default: the last one)");
    add_target(*logs_verb, options->target);
    logs_verb->add_option("dag_id", options->dag_id)->required();
    logs_verb->add_option("run_id", options->run_id)->required();
    logs_verb->add_option("task_id", options->task_id)->required();
    logs_verb->add_option("--try", options->try_number, "number of the try");
    logs_verb->callback([options] { logs(*options); });

    auto* clear_verb = tasks->add_subcommand("clear", "run task instances of a run again");
    add_target(*clear_verb, options->target);
    clear_verb->add_option("dag_id", options->dag_id)->required();
    clear_verb->add_option("run_id", options->run_id)->required();
    clear_verb->add_option("task_id", options->task_id, "default: all tasks of the run");
    clear_verb->add_flag("--downstream", options->downstream, "and what follows");
    clear_verb->add_flag("--upstream", options->upstream, "and what comes before");
    clear_verb->add_flag("--only-failed", options->only_failed);
    clear_verb->add_flag("--dry-run", options->dry_run, "only list them");
    clear_verb->callback([options] { clear(*options); });
}

}  // namespace sluice::cli
