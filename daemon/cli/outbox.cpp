#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/instant.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::outbox {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string dag;
    std::string state;
    std::string id;
    int limit{50};
};

void list(const Options& options) {
    Client client(options.target);
    std::string path = "/ui/v1/outbox?limit=" + std::to_string(options.limit);
    if (!options.dag.empty()) path += "&dag=" + encode(options.dag);
    if (!options.state.empty()) path += "&state=" + encode(options.state);
    std::vector<std::vector<std::string>> rows{
        {"id", "created", "event", "kind", "dag", "run", "task", "state", "tries", "target", "error"
        }
    };
    const Json answer = client.get(path);
    for (const auto& row : answer.at("outbox"))
        rows.push_back(
            {text_of(row, "id"),
             format_z(from_micros(row.at("created").get<std::int64_t>() * 1'000)),
             text_of(row, "event"),
             text_of(row, "kind"),
             text_of(row, "dag"),
             text_of(row, "run"),
             row.at("task").is_null() ? "" : text_of(row, "task"),
             text_of(row, "state"),
             text_of(row, "tries"),
             text_of(row, "target"),
             text_of(row, "error")}
        );
    std::cout << table(rows);
}

void retry(const Options& options) {
    Client client(options.target);
    client.post("/ui/v1/outbox/" + encode(options.id) + "/retry", Json::object());
    std::cout << "callback " << options.id << " is tried again\n";
}

}  // namespace

void add(CLI::App& app) {
    auto* outbox = app.add_subcommand("outbox", "callbacks: delivered, waiting, given up");
    outbox->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = outbox->add_subcommand("list", "the newest callbacks");
    add_target(*list_verb, options->target);
    list_verb->add_option("--dag", options->dag, "only of this DAG");
    list_verb->add_option("--state", options->state, "waiting, delivered or gave_up");
    list_verb->add_option("--limit", options->limit)->check(CLI::Range(1, 100));
    list_verb->callback([options] { list(*options); });

    auto* retry_verb = outbox->add_subcommand("retry", "try an undelivered one again at once");
    add_target(*retry_verb, options->target);
    retry_verb->add_option("id", options->id)->required();
    retry_verb->callback([options] { retry(*options); });
}

}  // namespace sluice::cli::outbox
