// vault.hpp — the token vault: random tokens in the place of values, the values encrypted beside
// them, in a PostgreSQL of its own. Keys are wrapped under the master key; every access is a row of
// a chain of hashes. One connection's; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "operators/connect/postgres.hpp"

namespace sluice::privacy {

struct VaultActor {
    std::string name;    // a user, or dag.task
    std::string reason;  // why
    std::string run_id;
};

struct Rotation {
    int kid{};               // the key that counts from now on
    std::int64_t changed{};  // rows of this call
    std::int64_t left{};     // rows under older keys; 0 = done, the older keys are destroyed
};

class Vault {
public:
    /// `master` has 32 bytes. Makes the schema `vault` if it is not there.
    Vault(connect::Postgres& postgres, Secret master);

    /// What has one token: `key` tells equal values, `value` is kept. With a `subject` it is kept
    /// under a key of the subject's own, and the same key of two subjects has two tokens.
    struct Entry {
        std::string key;
        std::string value;
        std::string subject{};
    };
    /// Their tokens, in order. The same key has the same token for ever, whoever asks, also two at
    /// a time. Not noted by itself: see note().
    std::vector<std::string> tokenize(const std::string& domain, const std::vector<Entry>& entries);
    /// The values behind tokens; none for tokens that are unknown or erased. Noted.
    std::vector<std::optional<std::string>> detokenize(
        const std::string& domain, const std::vector<std::string>& tokens, const VaultActor& actor
    );
    /// Forgets the values; the tokens stay, so that rows can still be counted. Noted. Returns how
    /// many there were to forget.
    std::int64_t erase(
        const std::string& domain, const std::vector<std::string>& tokens, const VaultActor& actor
    );
    /// Destroys the subject's key: what was kept under it cannot be read any more, in backups
    /// neither, and what comes of the subject later is not kept. Noted. Returns how many values
    /// there were to forget.
    std::int64_t erase_subject(
        const std::string& domain, const std::string& subject, const VaultActor& actor
    );
    /// Tokens of values that have one; not of those that belong to a subject.
    std::vector<std::string> find(const std::string& domain, const std::vector<std::string>& keys);

    enum class Purpose { data, lookup };
    /// A new key of the domain, or more of a rotation that has begun: at most `rows` rows are
    /// brought under it. To be called until none is left; readers are right at any time. Noted.
    Rotation rotate(
        const std::string& domain, Purpose purpose, std::int64_t rows, const VaultActor& actor
    );

    /// A row of vault.access, chained to the one before.
    void note(
        const std::string& action,
        const std::string& domain,
        std::int64_t count,
        const VaultActor& actor
    );
    /// The first row of vault.access that does not fit the chain; none if all do.
    std::optional<std::int64_t> broken_link();

private:
    struct Key {
        int kid{};
        Secret bytes;
        bool active{};
    };
    static Entry unpacked(const std::string& text);
    /// By subject in hex; none = it was destroyed, or there is none.
    using SubjectKeys = std::map<std::string, std::optional<Secret>>;
    [[nodiscard]] std::string subject_tag(const std::string& domain, const std::string& subject)
        const;
    using Keys = std::vector<Key>;  // the active one first
    using Cells = std::vector<std::optional<std::string>>;
    /// What a row of vault.token holds, asked for with `sealed_rows`. Throws Failure(permanent) if
    /// it was changed.
    static std::string opened(const std::string& domain, const Cells& row, const Keys& data);
    static std::optional<Secret> subject_key(
        const std::string& domain,
        const std::string& subject,
        int kid,
        const std::string& wrapped,
        const Keys& data
    );

    /// Of a domain that has none they are made, if `make` says so.
    Keys keys(const std::string& domain, Purpose purpose, bool make);
    void note_inside(
        const std::string& action,
        const std::string& domain,
        std::int64_t count,
        const VaultActor& actor
    );
    int add_key(const std::string& domain, Purpose purpose);
    void destroy_old(const std::string& domain, Purpose purpose);
    /// Those of the subjects that are there, made for the others.
    SubjectKeys subject_keys(
        const std::string& domain, const std::vector<std::string>& subjects, const Keys& data
    );
    /// Brings at most `rows` subjects' keys under the data key `fresh`.
    std::int64_t wrap_subjects(const std::string& domain, const Keys& data, std::int64_t rows);
    std::map<std::string, std::string> known(
        const std::string& domain, const std::vector<std::string>& tags
    );
    void insert(
        const std::string& domain,
        const std::vector<const Entry*>& entries,
        const std::vector<std::string>& tags,
        const Key& lookup,
        const Keys& data
    );
    void lock(const std::string& domain, bool alone);

    connect::Postgres& postgres_;
    Secret wrapping_;
    Secret master_;
};

/// The token of a value that is not kept anywhere: for `dags test`, which leaves nothing behind.
std::string passing_token(const Secret& master, const std::string& domain, const std::string& key);

}  // namespace sluice::privacy
