// sluice users: who may log in, and in which role.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::users {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string name;
    std::string role;
};

}  // namespace

void add(CLI::App& app) {
    auto* users = app.add_subcommand("users", "list, make and delete users");
    users->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* list_verb = users->add_subcommand("list", "users and their roles");
    add_target(*list_verb, options->target);
    list_verb->callback([options] {
        Client client(options->target);
        std::vector<std::vector<std::string>> rows{{"name", "role"}};
        const Json answer = client.get("/ui/v1/users");
        for (const auto& user : answer.at("users"))
            rows.push_back({text_of(user, "name"), text_of(user, "role")});
        std::cout << table(rows);
    });

    auto* create = users->add_subcommand("create", "make a user; prints the password, once");
    add_target(*create, options->target);
    create->add_option("name", options->name)->required();
    create->add_option("--role", options->role, "viewer, user, op, admin or privacy")
        ->required()
        ->check(CLI::IsMember({"viewer", "user", "op", "admin", "privacy"}));
    create->callback([options] {
        Client client(options->target);
        const Json answer =
            client.post("/ui/v1/users", {{"name", options->name}, {"role", options->role}});
        std::cout << text_of(answer, "password") << '\n';
    });

    auto* remove_verb = users->add_subcommand("delete", "remove a user");
    add_target(*remove_verb, options->target);
    remove_verb->add_option("name", options->name)->required();
    remove_verb->callback([options] {
        Client client(options->target);
        client.remove("/ui/v1/users/" + encode(options->name));
        std::cout << options->name << " is removed\n";
    });
}

}  // namespace sluice::cli::users
