// admin.hpp — what administrators keep in the database and the scheduler never reads: users,
// signing keys, variables, connections. Thread-safe. A write and its audit row are one transaction.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "base/secret.hpp"
#include "model/turn.hpp"
#include "store/connection_pool.hpp"

namespace sluice::store {

struct User {
    std::string name;
    std::string password_hash;  // argon2id, made by the API
    std::string role;           // "admin", "op", "user", "viewer"
    std::string email;
    bool active{true};
    Instant created_at;
};

struct SigningKey {
    std::string id;
    Secret key;  // raw bytes
    Instant created_at;
};

struct Variable {
    std::string key;
    std::string value;
    std::string description;
};

struct StoredConnection {
    std::string conn_id;
    std::string conn_type;
    std::string description;
    std::string host;
    std::optional<int> port;
    std::string login;
    Secret password;
    std::string schema;
    std::string extra{"{}"};  // JSON object
};

enum class Put { created, updated };

class Admin {
public:
    explicit Admin(ConnectionPool& pool) : pool_(pool) {}

    std::vector<User> users();
    std::optional<User> user(const std::string& name);
    Put put_user(const User& user, const AuditEntry& audit);
    bool remove_user(const std::string& name, const AuditEntry& audit);

    /// Newest first. The first call ever stores `fresh`, which is then the answer on every node.
    std::vector<SigningKey> signing_keys(const SigningKey& fresh);
    void put_signing_key(const SigningKey& key);

    /// Sessions that were closed before they expired, on any node.
    void close_session(const std::string& id, Instant expires_at);
    std::set<std::string> closed_sessions();

    std::vector<Variable> variables();
    std::optional<Variable> variable(const std::string& key);
    Put put_variable(const Variable& variable, const AuditEntry& audit);
    bool remove_variable(const std::string& key, const AuditEntry& audit);

    std::vector<StoredConnection> connections();
    std::optional<StoredConnection> connection(const std::string& conn_id);
    Put put_connection(const StoredConnection& connection, const AuditEntry& audit);
    bool remove_connection(const std::string& conn_id, const AuditEntry& audit);

    /// An audit row by itself (a login, a refused command).
    void audit(const AuditEntry& entry);

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
