#include "operators/connect/postgres.hpp"

#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include <libpq-fe.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/connect/tls.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

namespace sluice::connect {

using engine::Failure;

namespace {

struct ResultDelete {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDelete>;

bool begins(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

ErrorClass class_of_state(std::string_view state) {
    // Classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    if (state.empty()) return ErrorClass::transient;  // the connection broke
    if (state == "57014") return ErrorClass::transient;
    if (state == "42501" || begins(state, "28")) return ErrorClass::auth;
    if (begins(state, "53")) return ErrorClass::resource;
    if (begins(state, "08") || begins(state, "57") || begins(state, "40") || begins(state, "55")) {
        return ErrorClass::transient;
    }
    if (begins(state, "22") || begins(state, "23")) return ErrorClass::data_quality;
    if (begins(state, "42") || begins(state, "3F")) return ErrorClass::schema;
    return ErrorClass::permanent;
}

/// libpq gives no SQLSTATE for a connection that was refused.
ErrorClass class_of_refusal(const std::string& message) {
    const auto says = [&](std::string_view text) {
        return message.find(text) != std::string::npos;
    };
    if (is_tls_refusal(message)) return ErrorClass::auth;
    if (says("authentication") || says("password") || says("pg_hba.conf") || says("role \""))
        return ErrorClass::auth;
    if (says("database \"") && says("does not exist")) return ErrorClass::permanent;
    return ErrorClass::transient;
}

std::string trimmed(const char* text) {
    std::string out = text != nullptr ? text : "";
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    return out;
}

std::string field(const PGresult* result, int code) {
    const char* text = PQresultErrorField(result, code);
    return text != nullptr ? text : "";
}

constexpr std::string_view not_null_violation = "23502";
constexpr std::string_view check_violation = "23514";

[[noreturn]] void fail(PGconn* connection, const PGresult* result) {
    const std::string state = field(result, PG_DIAG_SQLSTATE);
    std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
    // The detail of these is the whole row, and a message goes into logs; column or constraint is
    // in the message itself.
    const bool shows_row = state == not_null_violation || state == check_violation;
    const std::string detail = shows_row ? "" : field(result, PG_DIAG_MESSAGE_DETAIL);
    const std::string where = field(result, PG_DIAG_CONTEXT);
    if (message.empty()) message = trimmed(PQerrorMessage(connection));
    if (!detail.empty()) message += " (" + detail + ")";
    if (begins(where, "COPY")) message += " [" + where + "]";
    if (!state.empty()) message += " [" + state + "]";
    throw Failure(class_of_state(state), message);
}

/// Options of libpq that a connection's `extra` may set; whatever else is in it is not libpq's.
constexpr const char* passed_options[] = {
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "channel_binding",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "target_session_attrs",
    "options"
};

/// What stands in the connection goes before what its URL has, if the database is one.
void verify_tls(std::map<std::string, std::string>& options) {
    std::map<std::string, std::string> tls;
    const auto found = options.find("dbname");
    const std::string url = found == options.end() ? "" : found->second;
    if (url.find('=') != std::string::npos || url.find("://") != std::string::npos) {
        PQconninfoOption* parsed = PQconninfoParse(url.c_str(), nullptr);
        for (const PQconninfoOption* one = parsed; one != nullptr && one->keyword != nullptr; ++one)
            if (one->val != nullptr && begins(one->keyword, "ssl")) tls[one->keyword] = one->val;
        PQconninfoFree(parsed);
    }
    for (const auto& [key, value] : options)
        if (begins(key, "ssl")) tls[key] = value;
    verify_by_default(tls);
    options.insert(tls.begin(), tls.end());
}

std::map<std::string, std::string> options_of(
    const task::Connection& connection, const std::string& application_name
) {
    std::map<std::string, std::string> options;
    const auto extra = nlohmann::json::parse(connection.extra, nullptr, false);
    for (const char* key : passed_options) {
        if (!extra.is_object() || !extra.contains(key)) continue;
        const nlohmann::json& value = extra[key];
        options[key] = text_of(value);
    }
    if (!connection.host.empty()) options["host"] = connection.host;
    if (connection.port != 0) options["port"] = std::to_string(connection.port);
    if (!connection.login.empty()) options["user"] = connection.login;
    if (!connection.password.empty()) options["password"] = connection.password.reveal();
    if (!connection.schema.empty()) options["dbname"] = connection.schema;
    verify_tls(options);
    options["application_name"] = application_name.substr(0, 63);
    options["client_encoding"] = "UTF8";
    options.try_emplace("connect_timeout", "10");
    return options;
}

PGconn* connect(const task::Connection& connection, const std::string& application_name) {
    const auto options = options_of(connection, application_name);
    std::vector<const char*> keys;
    std::vector<const char*> values;
    for (const auto& [key, value] : options) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectdbParams(keys.data(), values.data(), 1);
}

}  // namespace

struct Postgres::State {
    PGconn* connection{nullptr};
    std::mutex mutex;  // guards `canceller`
    PGcancel* canceller{nullptr};
    std::atomic<bool> cancelled{false};

    ~State() {
        if (canceller != nullptr) PQfreeCancel(canceller);
        if (connection != nullptr) PQfinish(connection);
    }
    void cancel() {
        cancelled.store(true);
        const std::lock_guard lock(mutex);
        std::array<char, 256> message{};
        if (canceller != nullptr) {
            PQcancel(canceller, message.data(), static_cast<int>(message.size()));
        }
    }
    void check_cancelled() const {
        if (cancelled.load()) throw Failure(ErrorClass::transient, "cancelled");
    }
};

Postgres::Postgres(const task::Connection& connection, const std::string& application_name)
    : state_(std::make_shared<State>()) {
    state_->connection = connect(connection, application_name);
    if (PQstatus(state_->connection) != CONNECTION_OK) {
        const std::string message = trimmed(PQerrorMessage(state_->connection));
        throw Failure(
            class_of_refusal(message),
            "connection \"" + connection.id + "\": " + message +
                (is_tls_refusal(message) ? tls_hint : "")
        );
    }
    {
        const std::lock_guard lock(state_->mutex);
        state_->canceller = PQgetCancel(state_->connection);
    }
    query(
        "set datestyle = iso; set timezone = 'UTC'; set intervalstyle = postgres; "
        "set extra_float_digits = 1; set client_min_messages = warning; "
        "set standard_conforming_strings = on"
    );
}

Postgres::~Postgres() = default;

PgRows Postgres::query(const std::string& sql, const std::vector<Cell>& parameters) {
    state_->check_cancelled();
    std::vector<const char*> values;
    for (const Cell& cell : parameters) values.push_back(cell ? cell->c_str() : nullptr);
    PGconn* connection = state_->connection;
    const ResultPtr result(
        parameters.empty() ? PQexec(connection, sql.c_str())
                           : PQexecParams(
                                 connection,
                                 sql.c_str(),
                                 static_cast<int>(values.size()),
                                 nullptr,
                                 values.data(),
                                 nullptr,
                                 nullptr,
                                 0
                             )
    );
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(connection, result.get());
    PgRows rows;
    const int columns = PQnfields(result.get());
    for (int column = 0; column < columns; ++column) {
        rows.columns.emplace_back(PQfname(result.get(), column));
    }
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        auto& cells = rows.rows.emplace_back();
        for (int column = 0; column < columns; ++column) {
            if (PQgetisnull(result.get(), row, column) != 0) {
                cells.emplace_back(std::nullopt);
            } else {
                cells.emplace_back(PQgetvalue(result.get(), row, column));
            }
        }
    }
    const std::string changed = PQcmdTuples(result.get());
    if (!changed.empty()) rows.changed = std::stoll(changed);
    return rows;
}

std::vector<std::pair<std::string, std::string>> Postgres::describe(const std::string& sql) {
    state_->check_cancelled();
    PGconn* connection = state_->connection;
    const ResultPtr prepared(PQprepare(connection, "", sql.c_str(), 0, nullptr));
    if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) fail(connection, prepared.get());
    const ResultPtr described(PQdescribePrepared(connection, ""));
    if (PQresultStatus(described.get()) != PGRES_COMMAND_OK) fail(connection, described.get());
    std::vector<std::pair<std::string, std::string>> columns;
    std::string types;
    for (int column = 0; column < PQnfields(described.get()); ++column) {
        columns.emplace_back(PQfname(described.get(), column), "");
        types += (types.empty() ? "select format_type(" : ", format_type(") +
                 std::to_string(PQftype(described.get(), column)) + ", " +
                 std::to_string(PQfmod(described.get(), column)) + ")";
    }
    if (columns.empty()) return columns;
    const PgRows names = query(types);
    for (std::size_t i = 0; i < columns.size(); ++i) {
        columns[i].second = names.rows.at(0).at(i).value_or("");
    }
    return columns;
}

std::int64_t Postgres::execute(const std::string& sql, const std::vector<Cell>& parameters) {
    return query(sql, parameters).changed;
}

Cell Postgres::value(const std::string& sql, const std::vector<Cell>& parameters) {
    PgRows rows = query(sql, parameters);
    if (rows.rows.empty() || rows.rows.front().empty()) return std::nullopt;
    return rows.rows.front().front();
}

std::int64_t Postgres::integer(const std::string& sql, const std::vector<Cell>& parameters) {
    const Cell cell = value(sql, parameters);
    if (!cell) throw Error(ErrorCode::internal, "a query gave no number: " + sql);
    return std::stoll(*cell);
}

void Postgres::copy_out(
    const std::string& statement, const std::function<void(std::string_view)>& sink
) {
    state_->check_cancelled();
    PGconn* connection = state_->connection;
    const ResultPtr begun(PQexec(connection, statement.c_str()));
    if (PQresultStatus(begun.get()) != PGRES_COPY_OUT) fail(connection, begun.get());
    for (;;) {
        char* buffer = nullptr;
        const int length = PQgetCopyData(connection, &buffer, 0);
        if (length < 0) break;  // -1 = done, -2 = failed: the result below tells
        const std::unique_ptr<char, void (*)(void*)> guard(buffer, PQfreemem);
        sink({buffer, static_cast<std::size_t>(length)});
    }
    while (PGresult* raw = PQgetResult(connection)) {
        const ResultPtr result(raw);
        if (PQresultStatus(raw) != PGRES_COMMAND_OK) fail(connection, raw);
    }
    state_->check_cancelled();
}

void Postgres::copy_begin(const std::string& statement) {
    state_->check_cancelled();
    const ResultPtr begun(PQexec(state_->connection, statement.c_str()));
    if (PQresultStatus(begun.get()) != PGRES_COPY_IN) fail(state_->connection, begun.get());
}

void Postgres::copy_put(std::string_view bytes) {
    state_->check_cancelled();
    if (PQputCopyData(state_->connection, bytes.data(), static_cast<int>(bytes.size())) != 1) {
        throw Failure(ErrorClass::transient, trimmed(PQerrorMessage(state_->connection)));
    }
}

std::int64_t Postgres::copy_end() {
    PGconn* connection = state_->connection;
    if (PQputCopyEnd(connection, nullptr) != 1) {
        throw Failure(ErrorClass::transient, trimmed(PQerrorMessage(connection)));
    }
    std::int64_t rows = 0;
    std::unique_ptr<Failure> failure;
    while (PGresult* raw = PQgetResult(connection)) {
        const ResultPtr result(raw);
        if (PQresultStatus(raw) == PGRES_COMMAND_OK) {
            rows = std::stoll(PQcmdTuples(raw));
        } else if (!failure) {
            try {
                fail(connection, raw);
            } catch (const Failure& caught) {
                failure = std::make_unique<Failure>(caught);
            }
        }
    }
    if (failure) throw Failure(*failure);
    return rows;
}

void Postgres::copy_abort() noexcept {
    PQputCopyEnd(state_->connection, "the task stopped");
    while (PGresult* raw = PQgetResult(state_->connection)) PQclear(raw);
}

void Postgres::cancel() { state_->cancel(); }

std::unique_ptr<Postgres> open_postgres(
    task::TaskContext& context, const std::string& conn_id, const std::string& application_name
) {
    const task::Connection connection = context.connection(conn_id);
    if (connection.type != "postgres" && connection.type != "postgresql") {
        throw Error(
            ErrorCode::invalid,
            "connection \"" + conn_id + "\" is of type \"" + connection.type +
                "\", a postgres connection is needed here"
        );
    }
    auto opened = std::make_unique<Postgres>(connection, application_name);
    context.on_cancel([weak = std::weak_ptr<Postgres::State>(opened->state_)] {
        if (const auto state = weak.lock()) state->cancel();
    });
    return opened;
}

Transaction::Transaction(Postgres& postgres) : postgres_(postgres) { postgres_.execute("begin"); }

Transaction::~Transaction() {
    if (!open_) return;
    try {
        postgres_.execute("rollback");
    } catch (const std::exception&) {
        // The connection broke or was cancelled: the server rolls back by itself.
    }
}

void Transaction::commit() {
    postgres_.execute("commit");
    open_ = false;
}

}  // namespace sluice::connect
