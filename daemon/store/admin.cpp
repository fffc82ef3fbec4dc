#include "store/admin.hpp"

#include "store/audit_row.hpp"
#include "store/pooled.hpp"

namespace sluice::store {
namespace {

// "insert ... on conflict do update ... returning (xmax = 0)": true = the row is new.
Put put(ConnectionPool& pool, const Query& query, Params& params, const AuditEntry& audit) {
    return change(pool, [&](Connection& connection) {
        Transaction transaction{connection};
        const bool created = connection.run(query, params).boolean(0, 0);
        write_audit(connection, audit);
        transaction.commit();
        return created ? Put::created : Put::updated;
    });
}

bool remove(
    ConnectionPool& pool, const Query& query, const std::string& key, const AuditEntry& audit
) {
    return change(pool, [&](Connection& connection) {
        Transaction transaction{connection};
        Params params;
        params.add(key);
        if (connection.run(query, params).changed() == 0) return false;
        write_audit(connection, audit);
        transaction.commit();
        return true;
    });
}

template <class Row, class Read>
std::vector<Row> list(ConnectionPool& pool, const Query& query, Read read_row) {
    return read(pool, [&](Connection& connection) {
        const Result result = connection.run(query);
        std::vector<Row> rows;
        for (int i = 0; i < result.rows(); ++i) rows.push_back(read_row(result, i));
        return rows;
    });
}

template <class Row, class Read>
std::optional<Row> find(
    ConnectionPool& pool, const Query& query, const std::string& key, Read read_row
) {
    return read(pool, [&](Connection& connection) -> std::optional<Row> {
        Params params;
        params.add(key);
        const Result result = connection.run(query, params);
        if (result.rows() == 0) return std::nullopt;
        return read_row(result, 0);
    });
}

}  // namespace

// ---- users

constexpr Query users_sql{"users", R"(
    select name, password_hash, role, email, active, created_at from user_account order by name)"};
constexpr Query user_sql{"user", R"(
    select name, password_hash, role, email, active, created_at
    from user_account where name = $1)"};
constexpr Query put_user_sql{"put_user", R"(
    insert into user_account (name, password_hash, role, email, active, created_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (name) do update set password_hash = excluded.password_hash,
        role = excluded.role, email = excluded.email, active = excluded.active
    returning xmax = 0)"};
constexpr Query remove_user_sql{"remove_user", "delete from user_account where name = $1"};

namespace {
User read_user(const Result& result, int i) {
    return {
        result.text(i, 0),
        result.text(i, 1),
        result.text(i, 2),
        result.text(i, 3),
        result.boolean(i, 4),
        result.time(i, 5)
    };
}
}  // namespace

std::vector<User> Admin::users() { return list<User>(pool_, users_sql, read_user); }
std::optional<User> Admin::user(const std::string& name) {
    return find<User>(pool_, user_sql, name, read_user);
}
Put Admin::put_user(const User& user, const AuditEntry& audit) {
    Params params;
    params.add(user.name).add(user.password_hash).add(user.role).add(user.email);
    params.add(user.active).add(user.created_at);
    return put(pool_, put_user_sql, params, audit);
}
bool Admin::remove_user(const std::string& name, const AuditEntry& audit) {
    return remove(pool_, remove_user_sql, name, audit);
}

// ---- signing keys

constexpr Query signing_keys_sql{
    "signing_keys", "select id, key, created_at from signing_key order by created_at desc, id"
};
// Two nodes may start at once: the table lock lets the first one decide.
constexpr Query first_signing_key_sql{"first_signing_key", R"(
    insert into signing_key (id, key, created_at)
    select $1, $2, $3 where not exists (select from signing_key))"};
constexpr Query put_signing_key_sql{"put_signing_key", R"(
    insert into signing_key (id, key, created_at) values ($1, $2, $3)
    on conflict (id) do nothing)"};

std::vector<SigningKey> Admin::signing_keys(const SigningKey& fresh) {
    return change(pool_, [&](Connection& connection) {
        const auto read_keys = [&] {
            const Result result = connection.run(signing_keys_sql);
            std::vector<SigningKey> keys;
            for (int i = 0; i < result.rows(); ++i) {
                keys.push_back({result.text(i, 0), Secret{result.text(i, 1)}, result.time(i, 2)});
            }
            return keys;
        };
        auto keys = read_keys();
        if (!keys.empty()) return keys;
        Transaction transaction{connection};
        connection.script("lock table signing_key in exclusive mode");
        Params params;
        params.add(fresh.id).add(fresh.key.reveal()).add(fresh.created_at);
        connection.run(first_signing_key_sql, params);
        transaction.commit();
        return read_keys();
    });
}

void Admin::put_signing_key(const SigningKey& key) {
    change(pool_, [&](Connection& connection) {
        Params params;
        params.add(key.id).add(key.key.reveal()).add(key.created_at);
        connection.run(put_signing_key_sql, params);
    });
}

// ---- variables

constexpr Query variables_sql{
    "variables", "select key, value, description from variable order by key"
};
constexpr Query variable_sql{
    "variable", "select key, value, description from variable where key = $1"
};
constexpr Query put_variable_sql{"put_variable", R"(
    insert into variable (key, value, description) values ($1, $2, $3)
    on conflict (key) do update set value = excluded.value, description = excluded.description
    returning xmax = 0)"};
constexpr Query remove_variable_sql{"remove_variable", "delete from variable where key = $1"};

namespace {
Variable read_variable(const Result& result, int i) {
    return {result.text(i, 0), result.text(i, 1), result.text(i, 2)};
}
}  // namespace

std::vector<Variable> Admin::variables() {
    return list<Variable>(pool_, variables_sql, read_variable);
}
std::optional<Variable> Admin::variable(const std::string& key) {
    return find<Variable>(pool_, variable_sql, key, read_variable);
}
Put Admin::put_variable(const Variable& variable, const AuditEntry& audit) {
    Params params;
    params.add(variable.key).add(variable.value).add(variable.description);
    return put(pool_, put_variable_sql, params, audit);
}
bool Admin::remove_variable(const std::string& key, const AuditEntry& audit) {
    return remove(pool_, remove_variable_sql, key, audit);
}

// ---- connections

#define SLUICE_CONNECTION_COLUMNS \
    "conn_id, conn_type, description, host, port, login, password, schema, extra"

constexpr Query connections_sql{
    "connections", "select " SLUICE_CONNECTION_COLUMNS " from connection order by conn_id"
};
constexpr Query connection_sql{
    "connection", "select " SLUICE_CONNECTION_COLUMNS " from connection where conn_id = $1"
};
constexpr Query put_connection_sql{"put_connection", R"(
    insert into connection (conn_id, conn_type, description, host, port, login, password, schema,
        extra)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    on conflict (conn_id) do update set conn_type = excluded.conn_type,
        description = excluded.description, host = excluded.host, port = excluded.port,
        login = excluded.login, password = excluded.password, schema = excluded.schema,
        extra = excluded.extra
    returning xmax = 0)"};
constexpr Query remove_connection_sql{
    "remove_connection", "delete from connection where conn_id = $1"
};

namespace {
StoredConnection read_connection(const Result& result, int i) {
    StoredConnection connection;
    connection.conn_id = result.text(i, 0);
    connection.conn_type = result.text(i, 1);
    connection.description = result.text(i, 2);
    connection.host = result.text(i, 3);
    if (!result.is_null(i, 4)) connection.port = result.int4(i, 4);
    connection.login = result.text(i, 5);
    connection.password = Secret{result.text(i, 6)};
    connection.schema = result.text(i, 7);
    connection.extra = result.text(i, 8);
    return connection;
}
}  // namespace

std::vector<StoredConnection> Admin::connections() {
    return list<StoredConnection>(pool_, connections_sql, read_connection);
}
std::optional<StoredConnection> Admin::connection(const std::string& conn_id) {
    return find<StoredConnection>(pool_, connection_sql, conn_id, read_connection);
}
Put Admin::put_connection(const StoredConnection& row, const AuditEntry& audit) {
    Params params;
    params.add(row.conn_id).add(row.conn_type).add(row.description).add(row.host);
    if (row.port) {
        params.add_int(*row.port);
    } else {
        params.add_null();
    }
    params.add(row.login).add(row.password.reveal()).add(row.schema).add(row.extra);
    return put(pool_, put_connection_sql, params, audit);
}
bool Admin::remove_connection(const std::string& conn_id, const AuditEntry& audit) {
    return remove(pool_, remove_connection_sql, conn_id, audit);
}

void Admin::audit(const AuditEntry& entry) {
    change(pool_, [&](Connection& connection) { write_audit(connection, entry); });
}

}  // namespace sluice::store
