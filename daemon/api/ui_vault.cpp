// /ui/v1/vault and /ui/v1/users: the token vault by role, and who has which role. Only the role
// `privacy` reads or erases what is behind a token; only an administrator makes users and rotates
// keys. Every call is an audit row here and a link of the vault's own chain.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

constexpr std::size_t most_tokens = 10'000;

void need_role(const Caller& caller, const char* role) {
    if (caller.role != role)
        throw failure(403, std::string("Forbidden: this needs the role ") + role);
}

/// Hands the call to the data plane. The audit row comes first: a call that nobody could note is
/// not made. It has no values.
Reply ask(Services& services, const Request& request, const Caller& caller, Json question) {
    if (!services.instance.vault) throw failure(404, "this daemon has no vault");
    const std::string action = question.at("action");
    AuditEntry entry = audit_of(services, request, caller, "vault_" + action);
    entry.extra = dump({{"domain", question.at("domain")}, {"reason", question.at("reason")}});
    services.admin.audit(entry);
    question["actor"] = caller.user;
    return reply(200, Json::parse(services.instance.vault(dump(question))));
}

Json read_question(Body& body, const char* action, bool domain) {
    if (domain) body.require("domain");
    Json out;
    out["action"] = action;
    out["conn_id"] = body.text("conn_id").value_or("vault");
    out["key"] = body.text("key").value_or("mask_master");
    out["domain"] = body.text("domain").value_or("");
    out["reason"] = body.text("reason").value_or("");
    return out;
}

/// The question of who wants to see or forget values: it needs a reason.
Json reasoned_question(Body& body, const char* action) {
    Json question = read_question(body, action, true);
    if (question.at("reason").get<std::string>().empty())
        body.error("value_error", "reason", "say why: it is noted");
    return question;
}

/// The field's texts; none where it is absent.
Json texts_in(Body& body, const char* field) {
    return body.texts(field).value_or(std::vector<std::string>{});
}

void need_few(Body& body, std::size_t many, const char* field, const std::string& what) {
    if (many > most_tokens) body.error("too_long", field, "at most 10000 " + what + " a call");
}

Reply detokenize(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "privacy");
    Body body(request);
    Json question = reasoned_question(body, "detokenize");
    body.require("tokens");
    question["tokens"] = texts_in(body, "tokens");
    need_few(body, question["tokens"].size(), "tokens", "tokens");
    body.done();
    return ask(services, request, caller, std::move(question));
}

Reply erase(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "privacy");
    Body body(request);
    Json question = reasoned_question(body, "erase");
    question["tokens"] = texts_in(body, "tokens");
    question["values"] = texts_in(body, "values");
    question["subjects"] = texts_in(body, "subjects");
    const std::size_t many =
        question["tokens"].size() + question["values"].size() + question["subjects"].size();
    need_few(body, many, "tokens", "tokens, values and subjects");
    body.done();
    return ask(services, request, caller, std::move(question));
}

/// What ff1 and siv made: they need no vault, only the keys and the rule that was used.
Reply unmask(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "privacy");
    Body body(request);
    Json question = reasoned_question(body, "unmask");
    for (const char* key : {"rule", "values"}) body.require(key);
    question["rule"] = body.value("rule").value_or(Json());
    question["key_version"] = body.integer("key_version").value_or(1);
    question["values"] = texts_in(body, "values");
    need_few(body, question["values"].size(), "values", "values");
    body.done();
    return ask(services, request, caller, std::move(question));
}

Reply rotate(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "admin");
    Body body(request);
    Json question = read_question(body, "rotate", true);
    question["purpose"] = body.one_of("purpose", {"data", "lookup"}).value_or("data");
    question["rows"] = body.integer("rows").value_or(5'000);
    if (question["rows"] < 1 || question["rows"] > 100'000)
        body.error("value_error", "rows", "1 to 100000 rows a call");
    body.done();
    return ask(services, request, caller, std::move(question));
}

Reply verify(Services& services, const Request& request, const Caller& caller) {
    if (caller.role != "admin" && caller.role != "privacy")
        throw failure(403, "Forbidden: this needs the role admin or privacy");
    Body body(request);
    Json question = read_question(body, "verify", false);
    body.done();
    return ask(services, request, caller, std::move(question));
}

Reply get_users(Services& services, const Request&, const Caller& caller) {
    need_role(caller, "admin");
    Json json = head(services);
    json["users"] = Json::array();
    for (const store::User& user : services.admin.users())
        json["users"].push_back({{"name", user.name}, {"role", user.role}, {"active", user.active}}
        );
    return reply(200, json);
}

Reply put_user(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "admin");
    Body body(request);
    for (const char* key : {"name", "role"}) body.require(key);
    store::User user;
    user.name = body.text("name").value_or("");
    user.role =
        body.one_of("role", {"viewer", "user", "op", "admin", "privacy"}).value_or("viewer");
    if (user.name.empty() || user.name.size() > 100)
        body.error("value_error", "name", "a name has 1 to 100 characters");
    body.done();
    const std::string password = random_password();
    user.password_hash = hash_password(Secret(password));
    user.created_at = services.clock.now();
    AuditEntry entry = audit_of(services, request, caller, "put_user");
    entry.extra = dump({{"name", user.name}, {"role", user.role}});
    services.admin.put_user(user, entry);
    // Shown this once: only its hash is kept.
    return reply(201, {{"name", user.name}, {"role", user.role}, {"password", password}});
}

Reply delete_user(Services& services, const Request& request, const Caller& caller) {
    need_role(caller, "admin");
    const std::string& name = request.param("name");
    if (name == caller.user) throw failure(409, "nobody removes the user that they are");
    if (!services.admin.remove_user(name, audit_of(services, request, caller, "delete_user")))
        throw failure(404, "there is no user " + name);
    return no_content();
}

}  // namespace

Rows ui_vault_endpoints() {
    const auto in = http::Access::signed_in;
    return {
        {"POST", "/ui/v1/vault/detokenize", "", in, detokenize},
        {"POST", "/ui/v1/vault/erase", "", in, erase},
        {"POST", "/ui/v1/vault/unmask", "", in, unmask},
        {"POST", "/ui/v1/vault/rotate", "", in, rotate},
        {"POST", "/ui/v1/vault/verify", "", in, verify},
        {"GET", "/ui/v1/users", "", in, get_users},
        {"POST", "/ui/v1/users", "", in, put_user},
        {"DELETE", "/ui/v1/users/{name}", "", in, delete_user},
    };
}

}  // namespace sluice::api
