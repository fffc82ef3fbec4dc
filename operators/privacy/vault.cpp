#include "operators/privacy/vault.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/vault_sql.hpp"

namespace sluice::privacy {

namespace {

constexpr const char* tables = R"sql(
create schema if not exists vault;
create table if not exists vault.key (
    domain text not null,
    kid int not null,
    purpose text not null check (purpose in ('data', 'lookup')),
    wrapped bytea,                  -- AES-256-GCM under a key of the master; null once destroyed
    state text not null check (state in ('active', 'decrypt_only', 'destroyed')),
    created_at timestamptz not null default now(),
    primary key (domain, kid)
);
create unique index if not exists key_active on vault.key (domain, purpose) where state = 'active';
create table if not exists vault.token (
    domain text not null,
    token text not null,
    tag bytea not null,             -- HMAC of the value under the lookup key tag_kid
    tag_kid int not null,
    kid int not null,               -- the data key of value_enc
    value_enc bytea,                -- nonce, ciphertext, tag; null once erased
    created_at timestamptz not null default now(),
    erased_at timestamptz,
    primary key (domain, token),
    unique (domain, tag)
);
-- A subject's own key, wrapped by the data key `kid`; null once the subject was erased.
create table if not exists vault.subject (
    domain text not null,
    subject bytea not null,         -- HMAC of what tells the subject
    kid int not null,
    wrapped bytea,
    created_at timestamptz not null default now(),
    destroyed_at timestamptz,
    primary key (domain, subject)
);
alter table vault.token add column if not exists subject bytea;  -- then kid is 0
create index if not exists token_subject on vault.token (domain, subject) where subject is not null;
create table if not exists vault.access (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    action text not null check (action in ('tokenize', 'detokenize', 'erase', 'rotate')),
    domain text not null,
    n bigint not null,
    reason text not null,
    run_id text not null,
    prev_hash bytea not null,
    hash bytea not null
);
)sql";

/// What a row of vault.access says, as the text that is hashed.
constexpr const char* said =
    "convert_to(json_build_array(to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), "
    "actor, action, domain, n, reason, run_id)::text, 'UTF8')";

std::string digest_text(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string from_hex(const std::string& text) {
    return text.empty() ? "" : hex_key(Secret(text), "the vault's answer").reveal();
}

std::string token_of(const std::string& bytes) { return "tok_" + crockford(bytes); }

bool is_token(const std::string& text) {
    return text.size() == 30 && text.starts_with("tok_") &&
           std::ranges::all_of(text.substr(4), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
           });
}

/// What is looked up: no value of one subject is another's.
std::string looked_up(const Vault::Entry& entry) {
    if (entry.subject.empty()) return entry.key;
    return "\x01" + std::to_string(entry.subject.size()) + ":" + entry.subject + entry.key;
}

/// What is encrypted: the value, and its key where that is another text.
std::string packed(const Vault::Entry& entry) {
    const std::string key = looked_up(entry);
    if (key == entry.value) return "=" + entry.value;
    return "+" + std::to_string(key.size()) + ":" + key + entry.value;
}

}  // namespace

Vault::Entry Vault::unpacked(const std::string& text) {
    if (text.starts_with('=')) return {text.substr(1), text.substr(1)};
    const std::size_t colon = text.find(':');
    const auto size = static_cast<std::size_t>(std::stoull(text.substr(1, colon - 1)));
    return {text.substr(colon + 1, size), text.substr(colon + 1 + size)};
}

Vault::Vault(connect::Postgres& postgres, Secret master)
    : postgres_(postgres),
      wrapping_(derive_key(master, "vault|key|k1")),
      master_(std::move(master)) {
    if (postgres_.value("select to_regclass('vault.access')::text from pg_class where oid = "
                        "to_regclass('vault.subject')"))
        return;
    connect::Transaction transaction(postgres_);
    postgres_.query("select pg_advisory_xact_lock(hashtextextended('sluice:vault', 0))");
    postgres_.execute(tables);
    transaction.commit();
}

void Vault::lock(const std::string& domain, bool alone) {
    // A rotation of the lookup key changes tags: nobody may look for one meanwhile.
    postgres_.query(
        std::string("select pg_advisory_xact_lock") + (alone ? "" : "_shared") +
            "(hashtextextended($1, 0))",
        {"sluice:vault:" + domain}
    );
}

int Vault::add_key(const std::string& domain, Purpose purpose) {
    const std::int64_t kid = postgres_.integer(
        "select coalesce(max(kid), 0) + 1 from vault.key where domain = $1", {domain}
    );
    const std::string wrapped = gcm_seal(
        wrapping_,
        random_bytes(32),
        domain + "|" + std::to_string(kid) + "|" + purpose_name(purpose)
    );
    postgres_.execute(
        "insert into vault.key (domain, kid, purpose, wrapped, state) values ($1, $2::int, $3, "
        "decode($4, 'hex'), 'active')",
        {domain, std::to_string(kid), purpose_name(purpose), to_hex(wrapped)}
    );
    return static_cast<int>(kid);
}

Vault::Keys Vault::keys(const std::string& domain, Purpose purpose, bool make) {
    const auto read = [&] {
        return postgres_.query(
            "select kid::text, encode(wrapped, 'hex'), (state = 'active')::text from vault.key "
            "where domain = $1 and purpose = $2 and state <> 'destroyed' "
            "order by (state = 'active') desc, kid desc",
            {domain, purpose_name(purpose)}
        );
    };
    auto rows = read();
    if (rows.rows.empty() && make) {
        postgres_.query(
            "select pg_advisory_xact_lock(hashtextextended($1, 1))", {"sluice:vault:" + domain}
        );
        rows = read();
        if (rows.rows.empty()) {
            add_key(domain, purpose);
            rows = read();
        }
    }
    Keys out;
    for (const auto& row : rows.rows) {
        Key key;
        key.kid = std::stoi(row[0].value());
        key.active = row[2].value() == "true";
        auto bytes = gcm_open(
            wrapping_,
            from_hex(row[1].value_or("")),
            domain + "|" + row[0].value() + "|" + purpose_name(purpose)
        );
        if (!bytes)
            throw engine::Failure(
                ErrorClass::auth,
                "the vault's keys of the domain \"" + domain +
                    "\" were made with another master key"
            );
        key.bytes = Secret(std::move(*bytes));
        out.push_back(std::move(key));
    }
    return out;
}

std::map<std::string, std::string> Vault::known(
    const std::string& domain, const std::vector<std::string>& tags
) {
    std::map<std::string, std::string> out;
    const auto rows = postgres_.query(
        "select encode(tag, 'hex'), token from vault.token where domain = $1 and tag in "
        "(select decode(h, 'hex') from unnest($2::text[]) h)",
        {domain, sql_array(tags)}
    );
    for (const auto& row : rows.rows) out.emplace(row[0].value(), row[1].value());
    return out;
}

void Vault::insert(
    const std::string& domain,
    const std::vector<const Entry*>& entries,
    const std::vector<std::string>& tags,
    const Key& lookup,
    const Keys& data
) {
    constexpr const char* null = "NULL";
    std::vector<std::string> tokens;
    std::vector<std::string> values;
    std::vector<std::string> subjects;
    std::vector<std::string> kids;
    std::set<std::string> wanted;
    for (const Entry* entry : entries) {
        subjects.push_back(entry->subject.empty() ? null : subject_tag(domain, entry->subject));
        if (!entry->subject.empty()) wanted.insert(subjects.back());
    }
    const SubjectKeys own = subject_keys(domain, {wanted.begin(), wanted.end()}, data);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        tokens.push_back(token_of(random_bytes(16)));
        const bool has_subject = !entries[i]->subject.empty();
        const int kid = has_subject ? 0 : data.front().kid;
        kids.push_back(std::to_string(kid));
        const auto& key = has_subject ? own.at(subjects[i]) : std::optional(data.front().bytes);
        // Of a subject that was erased nothing is kept any more.
        values.push_back(
            key ? to_hex(gcm_seal(*key, packed(*entries[i]), row_of(domain, tokens[i], kid))) : null
        );
    }
    postgres_.execute(
        "insert into vault.token (domain, token, tag, tag_kid, kid, value_enc, subject, erased_at) "
        "select $1, t, decode(g, 'hex'), $2::int, k::int, decode(v, 'hex'), decode(s, 'hex'), "
        "case when v is null then now() end "
        "from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) "
        "as u(t, g, k, v, s) on conflict (domain, tag) do nothing",
        {domain,
         std::to_string(lookup.kid),
         sql_array(tokens),
         sql_array(tags),
         sql_array(kids),
         sql_array(values),
         sql_array(subjects)}
    );
}

std::vector<std::string> Vault::tokenize(
    const std::string& domain, const std::vector<Entry>& entries
) {
    connect::Transaction transaction(postgres_);
    lock(domain, false);
    const Keys lookup = keys(domain, Purpose::lookup, true);
    const Keys data = keys(domain, Purpose::data, true);
    std::vector<std::string> out(entries.size());
    std::vector<std::string> tags(entries.size());  // under the active key
    // Under an older lookup key too, as long as rows are left that have its tags.
    for (const Key& key : lookup) {
        const Hmac hmac(key.bytes);
        std::vector<std::string> wanted;
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            if (!out[i].empty()) continue;
            wanted.push_back(to_hex(digest_text(hmac(looked_up(entries[i])))));
            places.push_back(i);
            if (key.active) tags[i] = wanted.back();
        }
        if (wanted.empty()) break;
        const auto found = known(domain, wanted);
        for (std::size_t i = 0; i < wanted.size(); ++i)
            if (const auto at = found.find(wanted[i]); at != found.end())
                out[places[i]] = at->second;
    }
    std::vector<const Entry*> fresh;
    std::vector<std::string> fresh_tags;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (!out[i].empty() || !seen.insert(tags[i]).second) continue;
        fresh.push_back(&entries[i]);
        fresh_tags.push_back(tags[i]);
    }
    if (!fresh.empty()) {
        insert(domain, fresh, fresh_tags, lookup.front(), data);
        // Another task may have been first: what is there counts.
        const auto found = known(domain, fresh_tags);
        for (std::size_t i = 0; i < entries.size(); ++i)
            if (out[i].empty()) out[i] = found.at(tags[i]);
    }
    transaction.commit();
    return out;
}

std::vector<std::string> Vault::find(
    const std::string& domain, const std::vector<std::string>& values
) {
    std::vector<std::string> out;
    connect::Transaction transaction(postgres_);
    lock(domain, false);
    for (const Key& key : keys(domain, Purpose::lookup, false)) {
        const Hmac hmac(key.bytes);
        std::vector<std::string> tags;
        for (const std::string& value : values) tags.push_back(to_hex(digest_text(hmac(value))));
        for (const auto& [tag, token] : known(domain, tags)) out.push_back(token);
    }
    transaction.commit();
    return out;
}

std::vector<std::optional<std::string>> Vault::detokenize(
    const std::string& domain, const std::vector<std::string>& tokens, const VaultActor& actor
) {
    std::vector<std::string> wanted;
    std::ranges::copy_if(tokens, std::back_inserter(wanted), is_token);
    connect::Transaction transaction(postgres_);
    lock(domain, false);
    const Keys data = keys(domain, Purpose::data, false);
    const auto rows = postgres_.query(
        std::string(sealed_rows) + "t.token = any($2::text[])", {domain, sql_array(wanted)}
    );
    std::map<std::string, std::string> values;
    for (const auto& row : rows.rows)
        values.emplace(row[0].value(), unpacked(opened(domain, row, data)).value);
    note_inside("detokenize", domain, static_cast<std::int64_t>(values.size()), actor);
    transaction.commit();
    std::vector<std::optional<std::string>> out;
    for (const std::string& token : tokens) {
        const auto found = values.find(token);
        out.push_back(found == values.end() ? std::nullopt : std::optional(found->second));
    }
    return out;
}

std::int64_t Vault::erase(
    const std::string& domain, const std::vector<std::string>& tokens, const VaultActor& actor
) {
    std::vector<std::string> wanted;
    std::ranges::copy_if(tokens, std::back_inserter(wanted), is_token);
    connect::Transaction transaction(postgres_);
    const std::int64_t changed = postgres_.execute(
        "update vault.token set value_enc = null, erased_at = now() "
        "where domain = $1 and token = any($2::text[]) and erased_at is null",
        {domain, sql_array(wanted)}
    );
    note_inside("erase", domain, changed, actor);
    transaction.commit();
    return changed;
}

void Vault::note(
    const std::string& action,
    const std::string& domain,
    std::int64_t count,
    const VaultActor& actor
) {
    connect::Transaction transaction(postgres_);
    note_inside(action, domain, count, actor);
    transaction.commit();
}

void Vault::note_inside(
    const std::string& action,
    const std::string& domain,
    std::int64_t count,
    const VaultActor& actor
) {
    postgres_.query("select pg_advisory_xact_lock(hashtextextended('sluice:vault:access', 0))");
    postgres_.execute(
        std::string(
            "with said as (select clock_timestamp() as at, $1::text as actor, $2::text as action, "
            "$3::text as domain, $4::bigint as n, $5::text as reason, $6::text as run_id), "
            "before as (select coalesce((select hash from vault.access order by id desc limit 1), "
            "''::bytea) as hash) "
            "insert into vault.access (at, actor, action, domain, n, reason, run_id, prev_hash, "
            "hash) select at, actor, action, domain, n, reason, run_id, before.hash, "
            "sha256(before.hash || "
        ) + said +
            ") from said, before",
        {actor.name, action, domain, std::to_string(count), actor.reason, actor.run_id}
    );
}

std::optional<std::int64_t> Vault::broken_link() {
    const auto bad = postgres_.value(
        std::string("select min(id)::text from (select id, hash, prev_hash, "
                    "lag(hash, 1, ''::bytea) over (order by id) as before, sha256(prev_hash || ") +
        said +
        ") as right_hash from vault.access) x where prev_hash <> before or hash <> right_hash"
    );
    if (!bad) return std::nullopt;
    return std::stoll(*bad);
}

std::string passing_token(const Secret& master, const std::string& domain, const std::string& key) {
    const Hmac hmac(derive_key(master, "vault|" + domain + "|test"));
    return token_of(digest_text(hmac(key)).substr(0, 16));
}

}  // namespace sluice::privacy
