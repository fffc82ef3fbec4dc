#include "operators/external/pg_session.hpp"

#include <array>
#include <chrono>
#include <map>
#include <string_view>

#include <libpq-fe.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "operators/connect/tls.hpp"
#include "task/job.hpp"
#include "task/process.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds connect_patience{10};
/// For the server to end a cancelled statement; then the connection is dropped.
constexpr std::chrono::milliseconds cancel_patience{600};

struct ConnectionDelete {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ResultDelete {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ConnectionPtr = std::unique_ptr<PGconn, ConnectionDelete>;
using ResultPtr = std::unique_ptr<PGresult, ResultDelete>;

std::string trimmed(const char* text) {
    std::string out = text == nullptr ? "" : text;
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    return out;
}

std::string field(const PGresult* result, int code) {
    const char* text = PQresultErrorField(result, code);
    return text == nullptr ? "" : text;
}

/// libpq gives no SQLSTATE for a connection that was refused.
ErrorClass class_of_refusal(const std::string& message) {
    const auto says = [&](std::string_view text) {
        return message.find(text) != std::string::npos;
    };
    if (connect::is_tls_refusal(message) || says("authentication") || says("pg_hba.conf") ||
        says("password") || (says("role \"") && says("does not exist")))
        return ErrorClass::auth;
    if (says("database \"") && says("does not exist")) return ErrorClass::permanent;
    return ErrorClass::transient;
}

std::map<std::string, std::string> options_of(
    const task::Connection& connection, const task::TaskInfo& info
) {
    std::map<std::string, std::string> options;
    const Json extra = Json::parse(connection.extra, nullptr, false);
    if (extra.is_object())
        for (const auto& [key, value] : extra.items()) {
            if (value.is_string()) options[key] = value.get<std::string>();
            if (value.is_number_integer()) options[key] = value.dump();
        }
    const auto put = [&](const char* key, const std::string& value) {
        if (!value.empty()) options[key] = value;
    };
    put("host", connection.host);
    if (connection.port != 0) put("port", std::to_string(connection.port));
    put("user", connection.login);
    put("password", connection.password.reveal());
    put("dbname", connection.schema);
    connect::verify_by_default(options);
    options["application_name"] = ("sluice:" + info.dag_id + '.' + info.task_id).substr(0, 63);
    options["client_encoding"] = "UTF8";
    return options;
}

/// One cell as JSON: numbers, booleans and JSON keep their type, everything else is text.
Json cell(const PGresult* result, int column) {
    if (PQgetisnull(result, 0, column) != 0) return nullptr;
    std::string text = PQgetvalue(result, 0, column);
    switch (PQftype(result, column)) {
        case 16:
            return text == "t";  // boolean
        case 20:
        case 21:
        case 23:
            return std::stoll(text);  // bigint, smallint, integer
        case 114:
        case 3802:
            return task::json_or_text(text);  // json, jsonb
        case 700:
        case 701:     // real, double precision
        case 1700: {  // numeric: a number only if a double holds all of its digits
            if (text.size() > 15) return text;
            return task::json_or_text(text);
        }
        default:
            return text;
    }
}

void say_notice(void* to, const PGresult* result) {
    const std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
    try {
        static_cast<task::TaskContext*>(to)->info("notice: " + message);
    } catch (const std::exception&) {
        // Called from C: nothing may pass through it.
    }
}

}  // namespace

ErrorClass class_of_state(std::string_view state) {
    if (state.empty()) return ErrorClass::transient;
    const std::string_view group = state.substr(0, 2);
    if (state == "42501" || group == "28") return ErrorClass::auth;
    if (state == "57014") return ErrorClass::transient;
    if (group == "08" || group == "40" || group == "55" || group == "57" || group == "58")
        return ErrorClass::transient;
    if (group == "53" || group == "54") return ErrorClass::resource;
    if (group == "22" || group == "23" || group == "44") return ErrorClass::data_quality;
    return ErrorClass::permanent;
}

class PgSession::Impl {
public:
    Impl(task::TaskContext& ctx, const task::Connection& connection)
        : ctx_(ctx), wake_(std::make_shared<task::Fd>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
        ctx.on_cancel([wake = wake_] {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto ignored = ::write(wake->get(), &one, sizeof one);
        });
        connect(connection);
        PQsetNoticeReceiver(connection_.get(), say_notice, &ctx_);
        run({"set datestyle = iso; set timezone = 'UTC'; set intervalstyle = iso_8601", {}});
    }

    SqlAnswer run(const SqlStatement& statement) {
        check_cancelled();
        send(statement);
        // Row by row: a large result is counted, never held.
        PQsetSingleRowMode(connection_.get());
        SqlAnswer answer;
        std::optional<SqlFailure> failure;
        for (;;) {
            wait_for_result();
            const ResultPtr result(PQgetResult(connection_.get()));
            if (!result) break;
            take(result.get(), answer, failure);
        }
        check_cancelled();
        if (failure) throw SqlFailure(*failure);
        return answer;
    }

private:
    void connect(const task::Connection& connection) {
        const auto options = options_of(connection, ctx_.info());
        std::vector<const char*> keys;
        std::vector<const char*> values;
        for (const auto& [key, value] : options) {
            keys.push_back(key.c_str());
            values.push_back(value.c_str());
        }
        keys.push_back(nullptr);
        values.push_back(nullptr);
        const auto deadline = Clock::now() + connect_patience;
        connection_.reset(PQconnectStartParams(keys.data(), values.data(), 0));
        if (!connection_) throw std::bad_alloc();
        PostgresPollingStatusType state = PGRES_POLLING_WRITING;
        while (PQstatus(connection_.get()) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
            const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
            if (!wait(events, deadline))
                throw SqlFailure(
                    ErrorClass::transient,
                    "connection \"" + connection.id + "\": no answer within 10 s"
                );
            state = PQconnectPoll(connection_.get());
            if (state == PGRES_POLLING_FAILED) break;
        }
        if (PQstatus(connection_.get()) == CONNECTION_OK) return;
        const std::string message = trimmed(PQerrorMessage(connection_.get()));
        throw SqlFailure(
            class_of_refusal(message),
            "connection \"" + connection.id + "\": " + message +
                (connect::is_tls_refusal(message) ? connect::tls_hint : "")
        );
    }

    /// Until the socket is ready; false at the deadline. Throws when the attempt is cancelled.
    bool wait(short events, Clock::time_point deadline) {
        std::array<pollfd, 2> fds{
            {{PQsocket(connection_.get()), events, 0}, {cancel_sent_ ? -1 : wake_->get(), POLLIN, 0}
            }
        };
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() < 0) return false;
        const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(left.count()) + 1);
        if (fds[1].revents != 0 && fds[0].revents == 0) check_cancelled();
        return ready != 0;
    }

    void check_cancelled() const {
        if (ctx_.cancelled()) throw SqlFailure(ErrorClass::permanent, "cancelled");
    }

    void send(const SqlStatement& statement) {
        std::vector<const char*> values;
        std::vector<Oid> types;
        for (const SqlValue& value : statement.values) {
            values.push_back(value.text ? value.text->c_str() : nullptr);
            types.push_back(value.type);
        }
        const int sent = statement.values.empty()
                             ? PQsendQuery(connection_.get(), statement.text.c_str())
                             : PQsendQueryParams(
                                   connection_.get(),
                                   statement.text.c_str(),
                                   static_cast<int>(values.size()),
                                   types.data(),
                                   values.data(),
                                   nullptr,
                                   nullptr,
                                   0
                               );
        if (sent != 1)
            throw SqlFailure(ErrorClass::transient, trimmed(PQerrorMessage(connection_.get())));
    }

    /// Until PQgetResult does not block. After a cancel the server has little time to answer.
    void wait_for_result() {
        auto deadline = Clock::time_point::max();
        while (PQisBusy(connection_.get()) == 1) {
            if (ctx_.cancelled() && !cancel_sent_) {
                cancel_sent_ = true;
                deadline = Clock::now() + cancel_patience;
                cancel_statement();
            }
            std::array<pollfd, 2> fds{
                {{PQsocket(connection_.get()), POLLIN, 0},
                 {cancel_sent_ ? -1 : wake_->get(), POLLIN, 0}}
            };
            ::poll(fds.data(), fds.size(), cancel_sent_ ? 50 : 1'000);
            if (Clock::now() > deadline) throw SqlFailure(ErrorClass::permanent, "cancelled");
            if (fds[0].revents != 0 && PQconsumeInput(connection_.get()) != 1)
                throw SqlFailure(ErrorClass::transient, trimmed(PQerrorMessage(connection_.get())));
        }
    }

    void cancel_statement() {
        const std::unique_ptr<PGcancel, void (*)(PGcancel*)> canceller(
            PQgetCancel(connection_.get()), PQfreeCancel
        );
        std::array<char, 256> message{};
        if (canceller) PQcancel(canceller.get(), message.data(), static_cast<int>(message.size()));
    }

    static void take(
        const PGresult* result, SqlAnswer& answer, std::optional<SqlFailure>& failure
    ) {
        const ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE) {
            if (answer.rows == 0) keep_first(result, answer);
            ++answer.rows;
            answer.returns_rows = true;
        } else if (status == PGRES_TUPLES_OK) {
            answer.returns_rows = true;
        } else if (status == PGRES_COMMAND_OK) {
            const std::string changed = PQcmdTuples(const_cast<PGresult*>(result));
            if (!changed.empty()) answer.rows = std::stoll(changed);
        } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
                   status == PGRES_COPY_BOTH) {
            throw SqlFailure(ErrorClass::permanent, "COPY from or to the client is not for `sql`");
        } else if (status != PGRES_EMPTY_QUERY && !failure) {
            failure = failure_of(result);
        }
    }

    static void keep_first(const PGresult* result, SqlAnswer& answer) {
        Json row = Json::object();
        for (int column = 0; column < PQnfields(result); ++column) {
            row[PQfname(result, column)] = cell(result, column);
            if (column == 0) answer.first_value = cell(result, 0).dump();
        }
        answer.first_row = row.dump();
    }

    static SqlFailure failure_of(const PGresult* result) {
        const std::string state = field(result, PG_DIAG_SQLSTATE);
        std::string message = field(result, PG_DIAG_MESSAGE_PRIMARY);
        if (message.empty()) message = trimmed(PQresultErrorMessage(result));
        const std::string detail = field(result, PG_DIAG_MESSAGE_DETAIL);
        const std::string hint = field(result, PG_DIAG_MESSAGE_HINT);
        const std::string position = field(result, PG_DIAG_STATEMENT_POSITION);
        if (!detail.empty()) message += " (" + detail + ')';
        if (!hint.empty()) message += "; " + hint;
        if (!position.empty()) message += ", at character " + position;
        if (!state.empty()) message += " [" + state + ']';
        return {class_of_state(state), message};
    }

    task::TaskContext& ctx_;
    std::shared_ptr<task::Fd> wake_;
    ConnectionPtr connection_;
    bool cancel_sent_{false};
};

PgSession::PgSession(task::TaskContext& ctx, const task::Connection& connection)
    : impl_(std::make_unique<Impl>(ctx, connection)) {}

PgSession::~PgSession() = default;

SqlAnswer PgSession::run(const SqlStatement& statement) { return impl_->run(statement); }

}  // namespace sluice::ops
