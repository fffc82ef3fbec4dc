// sluice lake holds: what is kept whatever its age.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/instant.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::lake {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string user;
    std::string password_file;
    std::string dataset;
    std::string reason;
    std::string id;
};

void list(const Options& options) {
    Client client(options.target);
    const Json answer = client.get("/ui/v1/lake/holds");
    std::vector<std::vector<std::string>> rows{
        {"id", "data sets", "reason", "placed by", "since", "lifted by"}
    };
    for (const auto& hold : answer.at("holds"))
        rows.push_back(
            {hold.at("id").dump(),
             text_of(hold, "dataset"),
             text_of(hold, "reason"),
             text_of(hold, "placed_by"),
             format_z(Instant{std::chrono::milliseconds{hold.at("placed_at").get<std::int64_t>()}}),
             text_of(hold, "lifted_by")}
        );
    std::cout << table(rows);
}

void place(const Options& options) {
    Client client(options.target);
    const Json answer = client.post(
        "/ui/v1/lake/holds", {{"dataset", options.dataset}, {"reason", options.reason}}
    );
    std::cout << "hold " << answer.at("id").dump() << " on " << options.dataset << '\n';
}

void lift(const Options& options) {
    client_as(options.target, options.user, options.password_file)
        .remove("/ui/v1/lake/holds/" + encode(options.id));
    std::cout << "hold " << options.id << " is lifted\n";
}

}  // namespace

void add(CLI::App& app) {
    auto* lake = app.add_subcommand("lake", "legal holds on data sets of the lake");
    lake->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* holds = lake->add_subcommand("holds", "holds in force, then the lifted ones");
    add_target(*holds, options->target);
    holds->callback([options] { list(*options); });

    auto* hold = lake->add_subcommand("hold", "delete nothing of these data sets from now on");
    add_target(*hold, options->target);
    hold->add_option("dataset", options->dataset, "a name or a glob, as raw.*")->required();
    hold->add_option("--reason", options->reason, "why; it is noted")->required();
    hold->callback([options] { place(*options); });

    auto* end = lake->add_subcommand("lift", "end a hold (role privacy)");
    add_target(*end, options->target);
    end->add_option("id", options->id)->required();
    end->add_option("--user", options->user, "who asks");
    end->add_option("--password-file", options->password_file, "the user's password");
    end->callback([options] { lift(*options); });
}

}  // namespace sluice::cli::lake
