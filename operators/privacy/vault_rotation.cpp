// New keys of the vault, a batch of rows at a time.
#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/vault.hpp"
#include "operators/privacy/vault_sql.hpp"

namespace sluice::privacy {

void Vault::destroy_old(const std::string& domain, Purpose purpose) {
    // Erased rows keep the tag that they have, and so the key that finds it again.
    const std::string in_use = purpose == Purpose::data
                                   ? "t.kid = k.kid and t.value_enc is not null"
                                   : "t.tag_kid = k.kid";
    postgres_.execute(
        "update vault.key k set state = 'destroyed', wrapped = null where domain = $1 and purpose "
        "= $2 and state = 'decrypt_only' and not exists (select 1 from vault.token t where "
        "t.domain = k.domain and " +
            in_use + ")",
        {domain, purpose_name(purpose)}
    );
}

Rotation Vault::rotate(
    const std::string& domain, Purpose purpose, std::int64_t rows, const VaultActor& actor
) {
    const bool data = purpose == Purpose::data;
    const std::string column = data ? "kid" : "tag_kid";
    Rotation out;
    connect::Transaction transaction(postgres_);
    lock(domain, true);
    const auto waiting = [&](int kid) {
        return postgres_.integer(
            "select count(*) from vault.token where domain = $1 and value_enc is not null and " +
                column + " <> $2::int",
            {domain, std::to_string(kid)}
        );
    };
    Keys all = keys(domain, purpose, false);
    if (all.empty())
        throw Error(ErrorCode::not_found, "the vault has no domain \"" + domain + "\"");
    if (waiting(all.front().kid) == 0) {  // none has begun, or the last one is done
        postgres_.execute(
            "update vault.key set state = 'decrypt_only' where domain = $1 and purpose = $2 and "
            "state = 'active'",
            {domain, purpose_name(purpose)}
        );
        add_key(domain, purpose);
        note_inside("rotate", domain, waiting(keys(domain, purpose, false).front().kid), actor);
        all = keys(domain, purpose, false);
    }
    const Key& fresh = all.front();
    out.kid = fresh.kid;
    const Keys data_keys = data ? all : keys(domain, Purpose::data, false);
    const auto batch = postgres_.query(
        "select token, kid::text, encode(value_enc, 'hex') from vault.token where domain = $1 and "
        "value_enc is not null and " +
            column + " <> $2::int order by token limit $3::int for update",
        {domain, std::to_string(fresh.kid), std::to_string(rows)}
    );
    std::vector<std::string> tokens;
    std::vector<std::string> made;
    const Hmac hmac(fresh.bytes);
    for (const auto& row : batch.rows) {
        const std::string& token = row[0].value();
        const int kid = std::stoi(row[1].value());
        const auto key = std::ranges::find(data_keys, kid, &Key::kid);
        const std::string sealed = hex_key(Secret(row[2].value()), "the vault's answer").reveal();
        const auto value = key == data_keys.end()
                               ? std::nullopt
                               : gcm_open(key->bytes, sealed, row_of(domain, token, kid));
        if (!value)
            throw engine::Failure(
                ErrorClass::permanent,
                "a value of the domain \"" + domain + "\" cannot be decrypted: the row was changed"
            );
        tokens.push_back(token);
        if (data) {
            made.push_back(to_hex(gcm_seal(fresh.bytes, *value, row_of(domain, token, fresh.kid))));
        } else {
            const Digest digest = hmac(unpacked(*value).key);
            made.push_back(to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()}));
        }
    }
    out.changed = postgres_.execute(
        std::string("update vault.token set ") +
            (data ? "value_enc = decode(m, 'hex'), kid" : "tag = decode(m, 'hex'), tag_kid") +
            " = $2::int from unnest($3::text[], $4::text[]) as u(t, m) where domain = $1 and token "
            "= t",
        {domain, std::to_string(fresh.kid), sql_array(tokens), sql_array(made)}
    );
    out.left = waiting(fresh.kid);
    if (out.left == 0) destroy_old(domain, purpose);
    transaction.commit();
    return out;
}

}  // namespace sluice::privacy
