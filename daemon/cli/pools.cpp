#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::pools {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string name;
    std::string description;
    int slots{1};
};

void list(const Options& options) {
    Client client(options.target);
    std::vector<std::vector<std::string>> rows{{"name", "slots", "running", "queued", "open"}};
    const Json answer = client.get("/api/v2/pools");
    for (const auto& pool : answer.at("pools"))
        rows.push_back(
            {text_of(pool, "name"),
             text_of(pool, "slots"),
             text_of(pool, "running_slots"),
             text_of(pool, "queued_slots"),
             text_of(pool, "open_slots")}
        );
    std::cout << table(rows);
}

void set(const Options& options) {
    Client client(options.target);
    const Json fields{{"slots", options.slots}, {"description", options.description}};
    try {
        client.patch(
            "/api/v2/pools/" + encode(options.name) + "?update_mask=slots&update_mask=description",
            fields
        );
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) throw;
        Json body = fields;
        body["name"] = options.name;
        client.post("/api/v2/pools", body);
    }
    std::cout << options.name << " has " << options.slots << " slots\n";
    const Json told = client.get("/api/v2/dagWarnings?limit=1000");
    for (const auto& warning : told.at("dag_warnings")) {
        const auto message = text_of(warning, "message");
        if (message.find("pool \"" + options.name + "\"") == std::string::npos) continue;
        std::cerr << "warning: DAG " << text_of(warning, "dag_id") << ": " << message << '\n';
    }
}

void remove(const Options& options) {
    Client client(options.target);
    client.remove("/api/v2/pools/" + encode(options.name));
    std::cout << options.name << " is removed\n";
}

}  // namespace

void add(CLI::App& app) {
    auto* pools = app.add_subcommand("pools", "list, set and delete pools");
    pools->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = pools->add_subcommand("list", "pools with their use");
    add_target(*list_verb, options->target);
    list_verb->callback([options] { list(*options); });

    auto* set_verb = pools->add_subcommand("set", "make or change a pool");
    add_target(*set_verb, options->target);
    set_verb->add_option("name", options->name)->required();
    set_verb->add_option("slots", options->slots, "-1 = unlimited")->required();
    set_verb->add_option("description", options->description);
    set_verb->callback([options] { set(*options); });

    auto* remove_verb = pools->add_subcommand("delete", "remove a pool");
    add_target(*remove_verb, options->target);
    remove_verb->add_option("name", options->name)->required();
    remove_verb->callback([options] { remove(*options); });
}

}  // namespace sluice::cli::pools
