#include "test_schemas.hpp"

#include <libpq-fe.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "operators/connect/tls.hpp"

namespace sluice {
namespace {

using Rows = std::unique_ptr<PGresult, decltype(&PQclear)>;

Rows run(PGconn* connection, const std::string& sql) {
    return {PQexec(connection, sql.c_str()), PQclear};
}

std::string literal(PGconn* connection, const std::string& text) {
    char* quoted = PQescapeLiteral(connection, text.data(), text.size());
    std::string out = quoted == nullptr ? "''" : quoted;
    PQfreemem(quoted);
    return out;
}

void drop(PGconn* connection, const std::string& schema) {
    char* quoted = PQescapeIdentifier(connection, schema.data(), schema.size());
    if (quoted == nullptr) return;
    run(connection,
        std::string("set client_min_messages = warning; drop schema if exists ") + quoted +
            " cascade");
    PQfreemem(quoted);
}

std::string lock_of(const std::string& name) {
    return "hashtextextended('sluice test schema ' || " + name + ", 0)";
}

/// Those whose lock nobody holds; it is held while they are dropped.
int sweep(PGconn* connection) {
    const Rows left =
        run(connection,
            "with test as materialized (select nspname::text as name from pg_namespace "
            "where nspname ~ '__test_[0-9]+$') select name from test where pg_try_advisory_lock(" +
                lock_of("name") + ")");
    const int count = PQntuples(left.get());
    for (int row = 0; row < count; ++row) {
        const std::string name = PQgetvalue(left.get(), row, 0);
        drop(connection, name);
        run(connection, "select pg_advisory_unlock(" + lock_of(literal(connection, name)) + ")");
    }
    return count;
}

/// As the operators connect.
std::map<std::string, std::string> tls_options(const task::Connection& where) {
    std::map<std::string, std::string> options;
    const auto extra = nlohmann::json::parse(where.extra, nullptr, false);
    for (const char* key : {"sslmode", "sslrootcert", "sslcert", "sslkey"})
        if (extra.is_object() && extra.contains(key) && extra[key].is_string())
            options[key] = extra[key].get<std::string>();
    connect::verify_by_default(options);
    return options;
}

}  // namespace

void TestSchemas::Close::operator()(pg_conn* connection) const { PQfinish(connection); }

std::string TestSchemas::suffix() { return "__test_" + std::to_string(::getpid()); }

void TestSchemas::take(const task::Connection& where, const std::string& schema) {
    if (where.type != "postgres") return;
    auto& [connection, schemas] = places_[where.id];
    if (!connection) {
        auto options = tls_options(where);
        options["host"] = where.host;
        options["port"] = std::to_string(where.port == 0 ? 5432 : where.port);
        options["user"] = where.login;
        options["password"] = where.password.reveal();
        options["dbname"] = where.schema;
        options["application_name"] = "sluice dags test";
        std::vector<const char*> keys;
        std::vector<const char*> values;
        for (const auto& [key, value] : options) {
            keys.push_back(key.c_str());
            values.push_back(value.c_str());
        }
        keys.push_back(nullptr);
        values.push_back(nullptr);
        connection.reset(PQconnectdbParams(keys.data(), values.data(), 0));
        if (PQstatus(connection.get()) != CONNECTION_OK) return connection.reset();
        sluice::sweep(connection.get());
    }
    const std::string name = schema + suffix();
    run(connection.get(),
        "select pg_advisory_lock(" + lock_of(literal(connection.get(), name)) + ")");
    schemas.push_back(name);
}

TestSchemas::~TestSchemas() {
    for (const auto& [id, place] : places_) {
        if (!place.connection) continue;
        // The server may have been started anew meanwhile.
        run(place.connection.get(), "select 1");
        if (PQstatus(place.connection.get()) != CONNECTION_OK) PQreset(place.connection.get());
        for (const auto& schema : place.schemas) drop(place.connection.get(), schema);
    }
}

int TestSchemas::sweep(const std::string& url) {
    const std::unique_ptr<PGconn, Close> connection(PQconnectdb(url.c_str()));
    if (PQstatus(connection.get()) != CONNECTION_OK) return 0;
    return sluice::sweep(connection.get());
}

}  // namespace sluice
