#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::assets {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string name;
    std::string extra{"{}"};
    int limit{50};
};

std::string names_of(const Json& references) {
    std::string out;
    for (const auto& item : references) {
        if (!out.empty()) out += ", ";
        out += text_of(item, "dag_id");
        if (item.contains("task_id")) out += "." + text_of(item, "task_id");
    }
    return out;
}

/// Every page of /api/v2/assets.
Json all_assets(Client& client, const std::string& filter) {
    Json all = Json::array();
    for (;;) {
        const Json page =
            client.get("/api/v2/assets?limit=100&offset=" + std::to_string(all.size()) + filter);
        for (const auto& asset : page.at("assets")) all.push_back(asset);
        if (page.at("assets").empty() || all.size() >= page.at("total_entries")) return all;
    }
}

Json find_asset(Client& client, const std::string& name) {
    for (const auto& asset : all_assets(client, ""))
        if (asset.at("name") == name) return asset;
    throw Error(ErrorCode::not_found, "no DAG knows the asset " + name);
}

void list(const Options& options) {
    Client client(options.target);
    std::vector<std::vector<std::string>> rows{
        {"asset", "written by", "read by", "makes runs of", "last update"}
    };
    for (const auto& asset : all_assets(client, ""))
        rows.push_back(
            {text_of(asset, "name"),
             names_of(asset.at("producing_tasks")),
             names_of(asset.at("consuming_tasks")),
             names_of(asset.at("scheduled_dags")),
             asset.at("last_asset_event").is_null()
                 ? ""
                 : text_of(asset.at("last_asset_event"), "timestamp")}
        );
    std::cout << table(rows);
}

void events(const Options& options) {
    Client client(options.target);
    std::string path = "/api/v2/assets/events?order_by=-id&limit=" + std::to_string(options.limit);
    if (!options.name.empty())
        path += "&asset_id=" + find_asset(client, options.name).at("id").dump();
    std::vector<std::vector<std::string>> rows{{"id", "asset", "at", "by", "made the runs"}};
    const Json answer = client.get(path);
    for (const auto& event : answer.at("asset_events")) {
        std::string runs;
        for (const auto& run : event.at("created_dagruns"))
            runs +=
                (runs.empty() ? "" : ", ") + text_of(run, "dag_id") + "/" + text_of(run, "run_id");
        const std::string task = text_of(event, "source_task_id");
        rows.push_back(
            {text_of(event, "id"),
             text_of(event, "name"),
             text_of(event, "timestamp"),
             task.empty() ? "pushed"
                          : text_of(event, "source_dag_id") + "." + task + " " +
                                text_of(event, "source_run_id"),
             runs}
        );
    }
    std::cout << table(rows);
}

void push(const Options& options) {
    Client client(options.target);
    const Json extra = Json::parse(options.extra, nullptr, false);
    if (!extra.is_object())
        throw Error(ErrorCode::invalid, "--extra is a JSON object, not " + options.extra);
    const Json event = client.post(
        "/api/v2/assets/events",
        {{"asset_id", find_asset(client, options.name).at("id")}, {"extra", extra}}
    );
    std::cout << "event " << text_of(event, "id") << " of " << options.name << '\n';
}

}  // namespace

void add(CLI::App& app) {
    auto* assets = app.add_subcommand("assets", "list assets and their updates, push one");
    assets->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = assets->add_subcommand("list", "who writes, reads and waits for what");
    add_target(*list_verb, options->target);
    list_verb->callback([options] { list(*options); });

    auto* events_verb = assets->add_subcommand("events", "updates, newest first");
    add_target(*events_verb, options->target);
    events_verb->add_option("asset", options->name, "of this asset only");
    events_verb->add_option("--limit", options->limit)->capture_default_str();
    events_verb->callback([options] { events(*options); });

    auto* push_verb = assets->add_subcommand("push", "say that an asset was updated");
    add_target(*push_verb, options->target);
    push_verb->add_option("asset", options->name)->required();
    push_verb->add_option("--extra", options->extra, "JSON object that its runs see");
    push_verb->callback([options] { push(*options); });
}

}  // namespace sluice::cli::assets
