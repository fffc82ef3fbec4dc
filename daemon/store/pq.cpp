#include "store/pq.hpp"

#include <charconv>
#include <chrono>
#include <cstring>

#include <poll.h>

#include "base/check.hpp"

namespace sluice::store {
namespace {

// PostgreSQL counts microseconds from 2000-01-01.
constexpr std::int64_t postgres_epoch = 946'684'800'000'000;

std::string message_of(const char* text) {
    std::string message = text == nullptr ? "" : text;
    while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) {
        message.pop_back();
    }
    return message;
}

}  // namespace

// ---- Params

void Params::bytes(const void* data, std::size_t size) {
    buffer_.append(static_cast<const char*>(data), size);
}

void Params::integer(std::uint64_t value, std::size_t size) {
    char out[8];
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = static_cast<char>(value >> (8 * (size - 1 - i)));
    }
    bytes(out, size);
}

void Params::start() {
    finish();
    slots_.push_back({buffer_.size(), 0});
}

// The length of the last parameter is known when the next one begins.
void Params::finish() {
    if (slots_.empty()) return;
    Slot& last = slots_.back();
    if (last.length >= 0) last.length = static_cast<int>(buffer_.size() - last.offset);
}

Params& Params::add(std::int64_t value) {
    start();
    integer(static_cast<std::uint64_t>(value), 8);
    return *this;
}
Params& Params::add_int(std::int32_t value) {
    start();
    integer(static_cast<std::uint32_t>(value), 4);
    return *this;
}
Params& Params::add_small(std::int16_t value) {
    start();
    integer(static_cast<std::uint16_t>(value), 2);
    return *this;
}
Params& Params::add(bool value) {
    start();
    integer(value ? 1 : 0, 1);
    return *this;
}
Params& Params::add(Instant value) { return add(to_micros(value) - postgres_epoch); }
Params& Params::add(std::optional<Instant> value) { return value ? add(*value) : add_null(); }
Params& Params::add(std::string_view value) {
    start();
    bytes(value.data(), value.size());
    return *this;
}
Params& Params::add_null() {
    finish();
    slots_.push_back({buffer_.size(), -1});
    return *this;
}
Params& Params::add_interval(Duration value) {
    start();
    integer(static_cast<std::uint64_t>(value.count()), 8);
    integer(0, 4);  // days
    integer(0, 4);  // months
    return *this;
}

Params& Params::begin_array(Oid element_type, std::size_t count) {
    start();
    integer(count == 0 ? 0 : 1, 4);  // dimensions
    integer(1, 4);                   // may hold nulls
    integer(element_type, 4);
    if (count != 0) {
        integer(count, 4);
        integer(1, 4);  // lower bound
    }
    return *this;
}
void Params::element(std::int64_t value) {
    integer(8, 4);
    integer(static_cast<std::uint64_t>(value), 8);
}
void Params::element_int(std::int32_t value) {
    integer(4, 4);
    integer(static_cast<std::uint32_t>(value), 4);
}
void Params::element_small(std::int16_t value) {
    integer(2, 4);
    integer(static_cast<std::uint16_t>(value), 2);
}
void Params::element(bool value) {
    integer(1, 4);
    integer(value ? 1 : 0, 1);
}
void Params::element(Instant value) { element(to_micros(value) - postgres_epoch); }
void Params::element(const std::optional<Instant>& value) {
    if (value) {
        element(*value);
    } else {
        element_null();
    }
}
void Params::element(std::string_view value) {
    integer(value.size(), 4);
    bytes(value.data(), value.size());
}
void Params::element_null() { integer(0xFFFFFFFFU, 4); }

void Params::begin_record(int columns) {
    record_ = buffer_.size();
    integer(0, 4);
    integer(static_cast<std::uint32_t>(columns), 4);
}
void Params::end_record() {
    const std::size_t size = buffer_.size() - record_ - 4;
    for (std::size_t i = 0; i < 4; ++i) {
        buffer_[record_ + i] = static_cast<char>(size >> (8 * (3 - i)));
    }
}
void Params::field(std::int64_t value) {
    integer(oid::int8, 4);
    element(value);
}
void Params::field_int(std::int32_t value) {
    integer(oid::int4, 4);
    element_int(value);
}
void Params::field(bool value) {
    integer(oid::boolean, 4);
    element(value);
}
void Params::field_small(std::int16_t value) {
    integer(oid::int2, 4);
    element_small(value);
}
void Params::field(const std::optional<Instant>& value) {
    integer(oid::timestamptz, 4);
    element(value);
}
void Params::field(std::string_view value) {
    integer(oid::text, 4);
    element(value);
}
void Params::field_json(std::string_view value) {
    integer(oid::json, 4);
    element(value);
}
void Params::field_null(Oid type) {
    integer(type, 4);
    element_null();
}

Params& Params::add(std::span<const std::string> values) {
    begin_array(oid::text, values.size());
    for (const std::string& value : values) element(std::string_view{value});
    return *this;
}
Params& Params::add(std::span<const std::int64_t> values) {
    begin_array(oid::int8, values.size());
    for (const std::int64_t value : values) element(value);
    return *this;
}
Params& Params::add(std::span<const std::int16_t> values) {
    begin_array(oid::int2, values.size());
    for (const std::int16_t value : values) element_small(value);
    return *this;
}
Params& Params::add(std::span<const std::int32_t> values) {
    begin_array(oid::int4, values.size());
    for (const std::int32_t value : values) element_int(value);
    return *this;
}

void Params::clear() {
    buffer_.clear();
    slots_.clear();
}

// ---- Result

std::uint64_t Result::integer(int row, int column, int size) const {
    SLUICE_CHECK(PQgetlength(result_.get(), row, column) == size);
    const char* data = PQgetvalue(result_.get(), row, column);
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(data[i]);
    return value;
}
std::int64_t Result::int8(int row, int column) const {
    return static_cast<std::int64_t>(integer(row, column, 8));
}
std::int32_t Result::int4(int row, int column) const {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(integer(row, column, 4)));
}
int Result::int2(int row, int column) const {
    return static_cast<std::int16_t>(static_cast<std::uint16_t>(integer(row, column, 2)));
}
bool Result::boolean(int row, int column) const { return integer(row, column, 1) != 0; }
std::string Result::text(int row, int column) const {
    return {
        PQgetvalue(result_.get(), row, column),
        static_cast<std::size_t>(PQgetlength(result_.get(), row, column))
    };
}
Instant Result::time(int row, int column) const {
    return from_micros(int8(row, column) + postgres_epoch);
}
std::optional<Instant> Result::maybe_time(int row, int column) const {
    if (is_null(row, column)) return std::nullopt;
    return time(row, column);
}
std::int64_t Result::changed() const {
    const std::string_view text{PQcmdTuples(result_.get())};
    std::int64_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
}

// ---- Connection

Connection::Connection(const std::string& url, const std::string& application)
    : raw_(nullptr, &PQfinish) {
    const char* const keywords[] = {
        "dbname", "application_name", "connect_timeout", "tcp_user_timeout", "options", nullptr
    };
    const char* const values[] = {
        url.c_str(),
        application.c_str(),
        "5",
        "10000",
        "-c jit=off -c timezone=UTC -c client_min_messages=warning",
        nullptr
    };
    raw_.reset(PQconnectdbParams(keywords, values, 1));
    if (raw_ == nullptr) throw ConnectionLost("out of memory");
    if (broken()) throw ConnectionLost(message_of(PQerrorMessage(raw_.get())));
}

Result Connection::check(PGresult* raw) {
    Result result{raw};
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
    const std::string message =
        message_of(raw == nullptr ? PQerrorMessage(raw_.get()) : PQresultErrorMessage(raw));
    const char* state = raw == nullptr ? nullptr : PQresultErrorField(raw, PG_DIAG_SQLSTATE);
    // 57P0x: the server ends the session; the connection is gone or about to be.
    if (state == nullptr || broken() || std::strncmp(state, "57P", 3) == 0) {
        lost_ = true;
        throw ConnectionLost(message);
    }
    throw SqlError(state, message);
}

bool Connection::ended() {
    pollfd look{.fd = PQsocket(raw_.get()), .events = POLLIN, .revents = 0};
    if (::poll(&look, 1, 0) <= 0) return broken();
    // An idle server speaks only to say goodbye (or to warn): read it, and see what is left.
    return PQconsumeInput(raw_.get()) == 0 || broken();
}

// The last result of what was sent, as PQexec gives it, but not for longer than `patience_`.
Result Connection::answer(int sent) {
    using Steady = std::chrono::steady_clock;
    if (sent == 0) return check(nullptr);
    const auto until = Steady::now() + patience_;
    PGresult* last = nullptr;
    for (;;) {
        while (PQisBusy(raw_.get()) != 0) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now());
            pollfd look{.fd = PQsocket(raw_.get()), .events = POLLIN, .revents = 0};
            if (left.count() <= 0 || ::poll(&look, 1, static_cast<int>(left.count())) == 0) {
                PQclear(last);
                lost_ = true;
                throw ConnectionLost("the database does not answer");
            }
            if (PQconsumeInput(raw_.get()) == 0) break;
        }
        PGresult* const next = PQgetResult(raw_.get());
        if (next == nullptr) return check(last);
        PQclear(last);
        last = next;
    }
}

std::vector<std::string> Connection::notifications() {
    std::vector<std::string> texts;
    if (PQconsumeInput(raw_.get()) == 0) lost_ = true;
    while (PGnotify* const told = PQnotifies(raw_.get())) {
        texts.emplace_back(told->extra);
        PQfreemem(told);
    }
    return texts;
}

void Connection::script(const std::string& sql) {
    if (patience_ > Duration{0}) {
        answer(PQsendQuery(raw_.get(), sql.c_str()));
        return;
    }
    check(PQexec(raw_.get(), sql.c_str()));
}

void Connection::prepare(const std::string& name, const std::string& sql) {
    if (prepared_.contains(name)) return;
    if (patience_ > Duration{0})
        answer(PQsendPrepare(raw_.get(), name.c_str(), sql.c_str(), 0, nullptr));
    else
        check(PQprepare(raw_.get(), name.c_str(), sql.c_str(), 0, nullptr));
    prepared_.insert(name);
}

void Connection::bind(Params& params) {
    params.finish();
    const std::size_t count = params.slots_.size();
    params.values_.resize(count);
    params.lengths_.resize(count);
    params.formats_.assign(count, 1);
    for (std::size_t i = 0; i < count; ++i) {
        const Params::Slot& slot = params.slots_[i];
        params.values_[i] = slot.length < 0 ? nullptr : params.buffer_.data() + slot.offset;
        params.lengths_[i] = std::max(slot.length, 0);
    }
}

Result Connection::run(const Query& query, Params& params) {
    prepare(query.name, query.sql);
    bind(params);
    if (patience_ > Duration{0})
        return answer(PQsendQueryPrepared(
            raw_.get(),
            query.name,
            static_cast<int>(params.values_.size()),
            params.values_.data(),
            params.lengths_.data(),
            params.formats_.data(),
            1
        ));
    return check(PQexecPrepared(
        raw_.get(),
        query.name,
        static_cast<int>(params.values_.size()),
        params.values_.data(),
        params.lengths_.data(),
        params.formats_.data(),
        1
    ));
}

Result Connection::run(const Query& query) {
    Params none;
    return run(query, none);
}

Result Connection::plan(const std::string& sql, Params& params) {
    bind(params);
    return check(PQexecParams(
        raw_.get(),
        sql.c_str(),
        static_cast<int>(params.values_.size()),
        nullptr,
        params.values_.data(),
        params.lengths_.data(),
        params.formats_.data(),
        1
    ));
}

// ---- Transaction

Transaction::Transaction(Connection& connection) : connection_(connection) {
    connection_.script("begin");
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        connection_.script("rollback");
    } catch (const std::exception&) {
        // The connection is gone, and the transaction with it.
    }
}

void Transaction::commit() {
    connection_.script("commit");
    open_ = false;
}

}  // namespace sluice::store
