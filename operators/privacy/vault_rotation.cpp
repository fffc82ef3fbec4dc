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
    const std::string in_use =
        purpose == Purpose::data
            ? "t.kid = k.kid and t.value_enc is not null) and not exists (select 1 from "
              "vault.subject s where s.domain = k.domain and s.kid = k.kid and s.wrapped is not "
              "null)"
            : "t.tag_kid = k.kid)";
    postgres_.execute(
        "update vault.key k set state = 'destroyed', wrapped = null where domain = $1 and purpose "
        "= $2 and state = 'decrypt_only' and not exists (select 1 from vault.token t where "
        "t.domain = k.domain and " +
            in_use,
        {domain, purpose_name(purpose)}
    );
}

Rotation Vault::rotate(
    const std::string& domain, Purpose purpose, std::int64_t rows, const VaultActor& actor
) {
    const bool data = purpose == Purpose::data;
    const std::string column = data ? "kid" : "tag_kid";
    // What lies under a subject's key: that is what the data key wraps.
    const std::string own = data ? "t.subject is null and " : "";
    Rotation out;
    connect::Transaction transaction(postgres_);
    lock(domain, true);
    const auto waiting = [&](int kid) {
        const std::string subjects =
            data ? " + (select count(*) from vault.subject where domain = $1 and wrapped is not "
                   "null and kid <> $2::int)"
                 : "";
        return postgres_.integer(
            "select (select count(*) from vault.token t where domain = $1 and value_enc is not "
            "null and " +
                own + column + " <> $2::int)" + subjects,
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
        sealed_rows + own + "t." + column +
            " <> $2::int order by t.token limit $3::int for update of t",
        {domain, std::to_string(fresh.kid), std::to_string(rows)}
    );
    std::vector<std::string> tokens;
    std::vector<std::string> made;
    const Hmac hmac(fresh.bytes);
    for (const auto& row : batch.rows) {
        const std::string& token = row[0].value();
        const std::string value = opened(domain, row, data_keys);
        tokens.push_back(token);
        if (data) {
            made.push_back(to_hex(gcm_seal(fresh.bytes, value, row_of(domain, token, fresh.kid))));
        } else {
            const Digest digest = hmac(unpacked(value).key);
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
    if (data) out.changed += wrap_subjects(domain, all, rows);
    out.left = waiting(fresh.kid);
    if (out.left == 0) destroy_old(domain, purpose);
    transaction.commit();
    return out;
}

}  // namespace sluice::privacy
