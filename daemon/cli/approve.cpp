// sluice approve: what tasks ask people, and answering it.
#include <iostream>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::approve {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    int map_index{-1};
    std::vector<std::string> options;
    std::vector<std::string> inputs;  // field=JSON or text
};

void list_open(const Options& options) {
    Client client(options.target);
    const auto dag = options.dag_id.empty() ? std::string{"~"} : encode(options.dag_id);
    const Json all =
        client.get("/api/v2/dags/" + dag + "/dagRuns/~/hitlDetails?response_received=false");
    for (const auto& detail : all.at("hitl_details")) {
        const auto& task = detail.at("task_instance");
        std::cout << text_of(task, "dag_id") << ' ' << text_of(task, "dag_run_id") << ' '
                  << task_of(task) << ": " << text_of(detail, "subject") << ' '
                  << detail.at("options").dump() << '\n';
    }
    if (all.at("hitl_details").empty()) std::cout << "nobody asks anything\n";
}

Json inputs_of(const Options& options) {
    Json inputs = Json::object();
    for (const auto& text : options.inputs) {
        const auto split = text.find('=');
        if (split == std::string::npos)
            throw Error(ErrorCode::invalid, "--input is FIELD=VALUE, not \"" + text + '"');
        const auto value = Json::parse(text.substr(split + 1), nullptr, false);
        inputs[text.substr(0, split)] = value.is_discarded() ? Json(text.substr(split + 1)) : value;
    }
    return inputs;
}

void approve(const Options& options) {
    if (options.task_id.empty()) return list_open(options);
    Client client(options.target);
    const auto path = "/api/v2/dags/" + encode(options.dag_id) + "/dagRuns/" +
                      encode(options.run_id) + "/taskInstances/" + encode(options.task_id) + '/' +
                      std::to_string(options.map_index) + "/hitlDetails";
    const auto chosen =
        options.options.empty() ? std::vector<std::string>{"Approve"} : options.options;
    const Json answer =
        client.patch(path, {{"chosen_options", chosen}, {"params_input", inputs_of(options)}});
    std::cout << "answered: " << answer.at("chosen_options").dump() << '\n';
}

}  // namespace

void add(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    auto* verb = app.add_subcommand(
        "approve", "answer what a task asks; without a task: list what is asked"
    );
    add_target(*verb, options->target);
    verb->add_option("dag_id", options->dag_id, "list: of this DAG only");
    verb->add_option("run_id", options->run_id);
    verb->add_option("task_id", options->task_id);
    verb->add_option("--map-index", options->map_index, "of a mapped task");
    verb->add_option("--option", options->options, "what is chosen; default: Approve");
    verb->add_option("--input", options->inputs, "FIELD=VALUE of its form, the value as JSON");
    verb->callback([options] { approve(*options); });
}

}  // namespace sluice::cli::approve
