#include <iostream>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::tasks {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    int try_number{0};
    int map_index{-1};
    int limit{100};
    int offset{0};
    bool downstream{false};
    bool upstream{false};
    bool only_failed{false};
    bool only_running{false};
    bool latest{false};
    bool past{false};
    bool future{false};
    std::string from_date;
    std::string to_date;
    std::string state;
    bool dry_run{false};
};

std::string run_path(const Options& options) {
    return "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns/" + encode(options.run_id);
}

/// The instances of a run, page by page: a mapped task may have a million.
void list(const Options& options) {
    Client client(options.target);
    auto path = run_path(options) + "/taskInstances?limit=" + std::to_string(options.limit) +
                "&offset=" + std::to_string(options.offset);
    if (!options.task_id.empty()) path += "&task_id=" + encode(options.task_id);
    const Json answer = client.get(path);
    const auto text = [](const Json& value) {
        return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
    };
    std::vector<std::vector<std::string>> rows{
        {"task_id", "map_index", "state", "try", "start", "end"}
    };
    const auto& instances = answer.at("task_instances");
    for (const auto& instance : instances) {
        const auto index = instance.at("map_index").get<int>();
        rows.push_back(
            {text(instance.at("task_id")),
             index < 0 ? "" : std::to_string(index),
             instance.at("state").is_null() ? "none" : text(instance.at("state")),
             text(instance.at("try_number")),
             text(instance.at("start_date")),
             text(instance.at("end_date"))}
        );
    }
    std::cout << table(rows);
    const auto total = answer.at("total_entries").get<std::int64_t>();
    if (total > static_cast<std::int64_t>(instances.size()))
        std::cout << instances.size() << " of " << total << "; --offset shows more\n";
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
    const bool mapped = options.map_index >= 0;
    int number = options.try_number;
    if (number == 0)
        number = client.get(mapped ? task + '/' + std::to_string(options.map_index) : task)
                     .at("try_number")
                     .get<int>();
    if (number == 0)
        throw Error(ErrorCode::not_found, options.task_id + " has not been tried yet: no log");
    std::string path = task + "/logs/" + std::to_string(number);
    if (mapped) path += "?map_index=" + std::to_string(options.map_index);
    std::string token;
    for (;;) {
        const Json page = client.get(
            token.empty() ? path : path + (mapped ? "&token=" : "?token=") + encode(token)
        );
        for (const auto& line : page.at("content")) print_line(line);
        const auto& next = page.at("continuation_token");
        if (!next.is_string() || next.get<std::string>() == token || page.at("content").empty())
            break;
        token = next.get<std::string>();
    }
}

/// A line each, and then how many, without the line's end.
void print_instances(const Json& answer) {
    for (const auto& instance : answer.at("task_instances"))
        std::cout << instance.at("dag_run_id").get<std::string>() << ' ' << task_of(instance)
                  << '\n';
    std::cout << answer.at("task_instances").size();
}

void clear(const Options& options) {
    Client client(options.target);
    Json body{
        {"dry_run", options.dry_run},
        {"only_failed", options.only_failed},
        {"only_running", options.only_running},
        {"include_past", options.past},
        {"include_future", options.future},
        {"include_downstream", options.downstream},
        {"include_upstream", options.upstream},
        {"reset_dag_runs", true},
        {"run_on_latest_version", options.latest},
    };
    if (options.run_id != "~") body["dag_run_id"] = options.run_id;
    if (!options.from_date.empty()) body["start_date"] = options.from_date;
    if (!options.to_date.empty()) body["end_date"] = options.to_date;
    const bool ranged = !options.from_date.empty() || !options.to_date.empty();
    if (ranged != (options.run_id == "~"))
        throw Error(
            ErrorCode::invalid,
            "name a run, or ~ for all runs --from-date one date --to-date another"
        );
    if (!options.task_id.empty()) {
        body["task_ids"] = Json::array();
        if (options.map_index >= 0)
            body["task_ids"].push_back(Json::array({options.task_id, options.map_index}));
        else
            body["task_ids"].push_back(options.task_id);
    }
    const Json answer =
        client.post("/api/v2/dags/" + encode(options.dag_id) + "/clearTaskInstances", body);
    print_instances(answer);
    std::cout
        << (options.dry_run ? " task instances would be cleared\n" : " task instances cleared\n");
}

void mark(const Options& options) {
    Client client(options.target);
    const Json body{
        {"new_state", options.state},
        {"include_upstream", options.upstream},
        {"include_downstream", options.downstream},
        {"include_past", options.past},
        {"include_future", options.future},
    };
    const auto path = run_path(options) + "/taskInstances/" + encode(options.task_id);
    print_instances(client.patch(options.dry_run ? path + "/dry_run" : path, body));
    std::cout << (options.dry_run ? " task instances would be marked " : " task instances marked ")
              << options.state << '\n';
}

}  // namespace

void add(CLI::App& app) {
    auto* tasks = app.add_subcommand("tasks", "task instances: a list, their logs, clearing them");
    tasks->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = tasks->add_subcommand("list", "the task instances of a run");
    add_target(*list_verb, options->target);
    list_verb->add_option("dag_id", options->dag_id)->required();
    list_verb->add_option("run_id", options->run_id)->required();
    list_verb->add_option("task_id", options->task_id, "default: all tasks of the run");
    list_verb->add_option("--limit", options->limit, "at most so many, 100 or fewer");
    list_verb->add_option("--offset", options->offset, "after so many");
    list_verb->callback([options] { list(*options); });

    auto* logs_verb =
        tasks->add_subcommand("logs", "the log of an attempt (default: the last one)");
    add_target(*logs_verb, options->target);
    logs_verb->add_option("dag_id", options->dag_id)->required();
    logs_verb->add_option("run_id", options->run_id)->required();
    logs_verb->add_option("task_id", options->task_id)->required();
    logs_verb->add_option("--try", options->try_number, "number of the try");
    logs_verb->add_option("--map-index", options->map_index, "of a mapped task");
    logs_verb->callback([options] { logs(*options); });

    auto* clear_verb = tasks->add_subcommand(
        "clear", "run task instances of a run again (~ = of all runs of a range of dates)"
    );
    add_target(*clear_verb, options->target);
    clear_verb->add_option("dag_id", options->dag_id)->required();
    clear_verb->add_option("run_id", options->run_id)->required();
    clear_verb->add_option("task_id", options->task_id, "default: all tasks of the run");
    clear_verb->add_option("--map-index", options->map_index, "one instance of a mapped task");
    clear_verb->add_flag("--only-failed", options->only_failed);
    clear_verb->add_flag("--only-running", options->only_running);
    clear_verb->add_option("--from-date,--from", options->from_date, "with ~: first logical date");
    clear_verb->add_option("--to-date,--to", options->to_date, "with ~: last logical date");
    clear_verb->add_flag(
        "--latest", options->latest, "the run goes on with the latest version of its DAG"
    );
    clear_verb->callback([options] { clear(*options); });

    auto* mark_verb = tasks->add_subcommand("mark", "set the state of a task instance by hand");
    add_target(*mark_verb, options->target);
    mark_verb->add_option("dag_id", options->dag_id)->required();
    mark_verb->add_option("run_id", options->run_id)->required();
    mark_verb->add_option("task_id", options->task_id)->required();
    mark_verb->add_option("state", options->state, "success, failed or skipped")->required();
    mark_verb->callback([options] { mark(*options); });

    for (auto* verb : {clear_verb, mark_verb}) {
        verb->add_flag("--downstream", options->downstream, "and what follows");
        verb->add_flag("--upstream", options->upstream, "and what comes before");
        verb->add_flag("--past", options->past, "and the same in earlier runs");
        verb->add_flag("--future", options->future, "and in later runs");
        verb->add_flag("--dry-run", options->dry_run, "only list them");
    }
}

}  // namespace sluice::cli::tasks
