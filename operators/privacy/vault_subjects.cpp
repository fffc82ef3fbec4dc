// Keys of subjects: each wrapped by the domain's data key, each destroyed alone.
#include <algorithm>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/vault.hpp"
#include "operators/privacy/vault_sql.hpp"

namespace sluice::privacy {

namespace {

std::string sealed_of(const std::string& hex) {
    return hex_key(Secret(hex), "the vault's answer").reveal();
}

/// What a subject's key is wrapped with: it opens in its own row only.
std::string subject_row(const std::string& domain, const std::string& subject, int kid) {
    return domain + "|subject|" + subject + "|" + std::to_string(kid);
}

[[noreturn]] void changed(const std::string& domain) {
    throw engine::Failure(
        ErrorClass::permanent,
        "a value of the domain \"" + domain + "\" cannot be decrypted: the row was changed"
    );
}

}  // namespace

std::string Vault::subject_tag(const std::string& domain, const std::string& subject) const {
    const Hmac hmac(derive_key(master_, "vault|" + domain + "|subject"));
    const Digest digest = hmac(subject);
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::optional<Secret> Vault::subject_key(
    const std::string& domain,
    const std::string& subject,
    int kid,
    const std::string& wrapped,
    const Keys& data
) {
    if (wrapped.empty()) return std::nullopt;
    const auto key = std::ranges::find(data, kid, &Key::kid);
    if (key == data.end()) changed(domain);
    auto bytes = gcm_open(key->bytes, sealed_of(wrapped), subject_row(domain, subject, kid));
    if (!bytes) changed(domain);
    return Secret(std::move(*bytes));
}

std::string Vault::opened(const std::string& domain, const Cells& row, const Keys& data) {
    const int kid = std::stoi(row.at(1).value());
    std::optional<Secret> key;
    if (row.at(3)) {
        key = subject_key(
            domain, *row[3], std::stoi(row.at(4).value_or("0")), row.at(5).value_or(""), data
        );
    } else if (const auto found = std::ranges::find(data, kid, &Key::kid); found != data.end()) {
        key = found->bytes;
    }
    if (!key) changed(domain);
    auto value =
        gcm_open(*key, sealed_of(row.at(2).value()), row_of(domain, row.at(0).value(), kid));
    if (!value) changed(domain);
    return std::move(*value);
}

Vault::SubjectKeys Vault::subject_keys(
    const std::string& domain, const std::vector<std::string>& subjects, const Keys& data
) {
    SubjectKeys out;
    if (subjects.empty()) return out;
    const Key& active = data.front();
    std::vector<std::string> wrapped;
    for (const std::string& subject : subjects)
        wrapped.push_back(to_hex(
            gcm_seal(active.bytes, random_bytes(32), subject_row(domain, subject, active.kid))
        ));
    // What is there counts, also what another task has just made.
    postgres_.execute(
        "insert into vault.subject (domain, subject, kid, wrapped) "
        "select $1, decode(s, 'hex'), $2::int, decode(w, 'hex') "
        "from unnest($3::text[], $4::text[]) as u(s, w) on conflict do nothing",
        {domain, std::to_string(active.kid), sql_array(subjects), sql_array(wrapped)}
    );
    const auto rows = postgres_.query(
        "select encode(subject, 'hex'), kid::text, encode(wrapped, 'hex') from vault.subject "
        "where domain = $1 and subject in (select decode(h, 'hex') from unnest($2::text[]) h)",
        {domain, sql_array(subjects)}
    );
    for (const auto& row : rows.rows)
        out.emplace(
            row[0].value(),
            subject_key(
                domain, row[0].value(), std::stoi(row[1].value()), row[2].value_or(""), data
            )
        );
    return out;
}

std::int64_t Vault::wrap_subjects(const std::string& domain, const Keys& data, std::int64_t rows) {
    const Key& fresh = data.front();
    const auto batch = postgres_.query(
        "select encode(subject, 'hex'), kid::text, encode(wrapped, 'hex') from vault.subject "
        "where domain = $1 and wrapped is not null and kid <> $2::int order by subject "
        "limit $3::int for update",
        {domain, std::to_string(fresh.kid), std::to_string(rows)}
    );
    std::vector<std::string> subjects;
    std::vector<std::string> wrapped;
    for (const auto& row : batch.rows) {
        const std::string& subject = row[0].value();
        const auto key =
            subject_key(domain, subject, std::stoi(row[1].value()), row[2].value(), data);
        subjects.push_back(subject);
        wrapped.push_back(to_hex(
            gcm_seal(fresh.bytes, key.value().reveal(), subject_row(domain, subject, fresh.kid))
        ));
    }
    return postgres_.execute(
        "update vault.subject set wrapped = decode(w, 'hex'), kid = $2::int "
        "from unnest($3::text[], $4::text[]) as u(s, w) "
        "where domain = $1 and subject = decode(s, 'hex')",
        {domain, std::to_string(fresh.kid), sql_array(subjects), sql_array(wrapped)}
    );
}

std::int64_t Vault::erase_subject(
    const std::string& domain, const std::string& subject, const VaultActor& actor
) {
    const std::string tag = subject_tag(domain, subject);
    connect::Transaction transaction(postgres_);
    // Nobody may hold the key meanwhile.
    lock(domain, true);
    postgres_.execute(
        "insert into vault.subject (domain, subject, kid, wrapped, destroyed_at) "
        "values ($1, decode($2, 'hex'), 0, null, now()) on conflict (domain, subject) do update "
        "set wrapped = null, destroyed_at = coalesce(vault.subject.destroyed_at, now())",
        {domain, tag}
    );
    const std::int64_t changed = postgres_.execute(
        "update vault.token set value_enc = null, erased_at = now() "
        "where domain = $1 and subject = decode($2, 'hex') and erased_at is null",
        {domain, tag}
    );
    note_inside("erase", domain, changed, actor);
    transaction.commit();
    return changed;
}

}  // namespace sluice::privacy
