#include "operators/privacy/vault_request.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/fields.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/methods.hpp"
#include "operators/privacy/values.hpp"
#include "operators/privacy/vault.hpp"

namespace sluice::privacy {

namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

json answer(Vault& vault, const json& asked) {
    const std::string action = asked.at("action");
    const std::string domain = asked.at("domain");
    const VaultActor actor{asked.at("actor"), asked.at("reason"), ""};
    if (action == "detokenize") {
        json values = json::array();
        for (const auto& value : vault.detokenize(domain, asked.at("tokens").get<Texts>(), actor))
            values.push_back(value ? json(*value) : json());
        return {{"values", values}};
    }
    if (action == "erase") {
        Texts tokens = asked.at("tokens").get<Texts>();
        for (std::string& token : vault.find(domain, asked.at("values").get<Texts>()))
            tokens.push_back(std::move(token));
        std::int64_t erased = tokens.empty() ? 0 : vault.erase(domain, tokens, actor);
        for (const std::string& subject : asked.at("subjects").get<Texts>())
            erased += vault.erase_subject(domain, subject, actor);
        return {{"erased", erased}};
    }
    if (action == "rotate") {
        const bool data = asked.at("purpose") == "data";
        const Rotation done = vault.rotate(
            domain,
            data ? Vault::Purpose::data : Vault::Purpose::lookup,
            asked.at("rows").get<std::int64_t>(),
            actor
        );
        return {{"kid", done.kid}, {"changed", done.changed}, {"left", done.left}};
    }
    if (action != "verify") throw Error(ErrorCode::invalid, "the vault knows no " + action);
    const auto broken = vault.broken_link();
    return {{"broken", broken ? json(*broken) : json()}};
}

/// What ff1 and siv made, undone with the keys of the policy: no vault is asked.
json unmasked(const json& asked, const std::function<Secret(const std::string&)>& secret) {
    Problems problems("");
    const auto rule = policy::read_rule(asked.at("rule"), "/rule", problems);
    if (!rule) throw Error(ErrorCode::invalid, format(problems.take().front()));
    if (rule->method != policy::Method::ff1 && rule->method != policy::Method::siv)
        throw Error(ErrorCode::invalid, "only ff1 and siv can be undone; tokens are in the vault");
    Keys keys;
    keys.version = asked.at("key_version").get<int>();
    if (rule->keyed()) keys.master = master_key(secret(asked.at("key")));
    if (!rule->raw_key.empty()) keys.raw = secret(rule->raw_key);
    std::vector<std::optional<std::string>> in;
    for (const std::string& value : asked.at("values").get<Texts>()) in.emplace_back(value);
    Values values(std::move(in));
    function_of(*rule, asked.at("domain"), keys, std::make_shared<Tally>(), Direction::unmask)
        ->body(values, values);
    json out = json::array();
    for (const auto& value : values.texts) out.push_back(value ? json(*value) : json());
    return {{"values", out}};
}

}  // namespace

std::string vault_request(
    const std::string& question,
    const std::function<task::Connection(const std::string& conn_id)>& connection,
    const std::function<Secret(const std::string& name)>& secret
) {
    const json asked = json::parse(question);
    if (asked.at("action") == "unmask")
        return unmasked(asked, secret).dump(-1, ' ', false, json::error_handler_t::replace);
    const task::Connection place = connection(asked.at("conn_id"));
    if (place.type != "postgres")
        throw Error(
            ErrorCode::invalid, "the connection \"" + place.id + "\" of the vault is no postgres"
        );
    connect::Postgres postgres(place, "sluice:vault");
    Vault vault(postgres, master_key(secret(asked.at("key"))));
    return answer(vault, asked).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::privacy
