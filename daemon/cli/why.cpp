// sluice why: what is in the way of a DAG, a run or a task instance.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/instant.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::why {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    std::string date;
    int map_index{-1};
};

std::string path_of(const Options& options) {
    auto path = "/ui/v1/dags/" + encode(options.dag_id);
    if (!options.run_id.empty()) path += "/runs/" + encode(options.run_id);
    if (!options.task_id.empty()) path += "/tis/" + encode(options.task_id);
    if (options.map_index >= 0) path += '/' + std::to_string(options.map_index);
    path += "/why";
    return options.date.empty() ? path : path + "?date=" + encode(options.date);
}

std::string time_of(const Json& millis) {
    return format_z(Instant{std::chrono::milliseconds{millis.get<std::int64_t>()}});
}

void why(const Options& options) {
    Client client(options.target);
    const Json answer = client.get(path_of(options));
    const auto& reasons = answer.at("reasons");
    for (const auto& run : answer.value("dag_runs", Json::array()))
        std::cout << text_of(run, "dag_run_id") << ' ' << text_of(run, "state") << '\n';
    if (reasons.empty() && !options.date.empty()) return;
    if (reasons.empty()) {
        const auto state = text_of(answer, "state");
        std::cout << "nothing is in its way: "
                  << (state == "mapped" ? "its instances run or have ended" : "it is " + state)
                  << '\n';
        return;
    }
    for (const auto& reason : reasons) {
        std::cout << text_of(reason, "condition") << ": " << text_of(reason, "text");
        if (!reason.at("since").is_null()) std::cout << ", since " << time_of(reason.at("since"));
        std::cout << '\n';
    }
}

}  // namespace

void add(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    auto* verb = app.add_subcommand(
        "why", "why a DAG, a run or a task instance does not run, or a date has no run"
    );
    add_target(*verb, options->target);
    verb->add_option("dag_id", options->dag_id)->required();
    auto* run = verb->add_option("run_id", options->run_id);
    verb->add_option("task_id", options->task_id);
    verb->add_option(
            "--date",
            options->date,
            "a day of the DAG's zone, or a time: why it has no scheduled run"
    )
        ->excludes(run);
    verb->add_option(
        "--map-index",
        options->map_index,
        "of a mapped task; without: what is in the way of all its instances"
    );
    verb->callback([options] { why(*options); });
}

}  // namespace sluice::cli::why
