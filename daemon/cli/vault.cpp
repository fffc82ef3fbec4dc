#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::vault {
namespace {

using Json = nlohmann::json;

struct Options {
    Target target;
    std::string user;
    std::string password_file;
    std::string conn_id{"vault"};
    std::string key{"mask_master"};
    std::string domain;
    std::string reason;
    std::string purpose{"data"};
    std::vector<std::string> tokens;
    std::vector<std::string> values;
    std::vector<std::string> subjects;
};

Client client_of(const Options& options) {
    return client_as(options.target, options.user, options.password_file);
}

Json question(const Options& options) {
    Json out{{"conn_id", options.conn_id}, {"key", options.key}, {"reason", options.reason}};
    if (!options.domain.empty()) out["domain"] = options.domain;
    return out;
}

void detokenize(const Options& options) {
    Json body = question(options);
    body["tokens"] = options.tokens;
    const Json answer = client_of(options).post("/ui/v1/vault/detokenize", body);
    std::vector<std::vector<std::string>> rows{{"token", "value"}};
    for (std::size_t i = 0; i < options.tokens.size(); ++i) {
        const Json& value = answer.at("values").at(i);
        rows.push_back(
            {options.tokens[i], value.is_null() ? "(unknown or erased)" : value.get<std::string>()}
        );
    }
    std::cout << table(rows);
}

void erase(const Options& options) {
    Json body = question(options);
    body["tokens"] = options.tokens;
    body["values"] = options.values;
    body["subjects"] = options.subjects;
    const Json answer = client_of(options).post("/ui/v1/vault/erase", body);
    std::cout << answer.at("erased") << " values are erased; their tokens stay\n";
}

void rotate(const Options& options) {
    Client client = client_of(options);
    Json body = question(options);
    body["purpose"] = options.purpose;
    std::int64_t changed = 0;
    while (true) {
        const Json answer = client.post("/ui/v1/vault/rotate", body);
        changed += answer.at("changed").get<std::int64_t>();
        if (answer.at("left") > 0) continue;
        std::cout << "key " << answer.at("kid") << " of " << options.domain << " counts; "
                  << changed << " rows were brought under it\n";
        return;
    }
}

void verify(const Options& options) {
    const Json answer = client_of(options).post("/ui/v1/vault/verify", question(options));
    if (!answer.at("broken").is_null())
        throw Error(
            ErrorCode::conflict,
            "row " + answer.at("broken").dump() + " of vault.access does not fit the one before it"
        );
    std::cout << "the chain of vault.access holds\n";
}

void add_common(CLI::App& verb, Options& options, bool domain) {
    add_target(verb, options.target);
    verb.add_option("--user", options.user, "who asks; the home's administrator without it");
    verb.add_option("--password-file", options.password_file, "the user's password");
    verb.add_option("--conn-id", options.conn_id, "connection of the vault");
    verb.add_option("--key", options.key, "name of the master secret");
    if (domain) verb.add_option("--domain", options.domain)->required();
}

}  // namespace

void add(CLI::App& app) {
    auto* vault = app.add_subcommand("vault", "tokens of the vault: their values, erasure, keys");
    vault->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    auto* back = vault->add_subcommand("detokenize", "the values behind tokens (role privacy)");
    add_common(*back, *options, true);
    back->add_option("--reason", options->reason, "why; it is noted")->required();
    back->add_option("tokens", options->tokens)->required();
    back->callback([options] { detokenize(*options); });

    auto* forget =
        vault->add_subcommand("erase", "forget values, keep their tokens (role privacy)");
    add_common(*forget, *options, true);
    forget->add_option("--reason", options->reason, "why; it is noted")->required();
    forget->add_option("--value", options->values, "a value, if its token is not known");
    forget->add_option("--subject", options->subjects, "whose values, if they have a key each");
    forget->add_option("tokens", options->tokens);
    forget->callback([options] { erase(*options); });

    auto* fresh = vault->add_subcommand("rotate", "a new key, and every row under it");
    add_common(*fresh, *options, true);
    fresh->add_option("--purpose", options->purpose, "data or lookup")
        ->check(CLI::IsMember({"data", "lookup"}));
    fresh->callback([options] { rotate(*options); });

    auto* chain = vault->add_subcommand("verify", "whether the rows of vault.access are untouched");
    add_common(*chain, *options, false);
    chain->callback([options] { verify(*options); });
}

}  // namespace sluice::cli::vault
