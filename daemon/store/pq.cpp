#include "store/pq.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <type_traits>

#include <boost/endian/conversion.hpp>
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

char* Params::room(std::size_t size) {
    if (buffer_.size() - used_ < size) buffer_.resize(std::max(2 * buffer_.size(), used_ + size));
    char* const begin = buffer_.data() + used_;
    used_ += size;
    return begin;
}

void Params::bytes(const void* data, std::size_t size) {
    if (size != 0) std::memcpy(room(size), data, size);
}

template <class Unsigned>
void Params::put(Unsigned value) {
    static_assert(std::is_unsigned_v<Unsigned>);
    boost::endian::native_to_big_inplace(value);
    std::memcpy(room(sizeof value), &value, sizeof value);
}

void Params::start() {
    finish();
    slots_.push_back({used_, 0});
}

// The length of the last parameter is known when the next one begins.
void Params::finish() {
    if (slots_.empty()) return;
    Slot& last = slots_.back();
    if (last.length >= 0) last.length = static_cast<int>(used_ - last.offset);
}

Params& Params::add(std::int64_t value) {
    start();
    put(static_cast<std::uint64_t>(value));
    return *this;
}
Params& Params::add_int(std::int32_t value) {
    start();
    put(static_cast<std::uint32_t>(value));
    return *this;
}
Params& Params::add_small(std::int16_t value) {
    start();
    put(static_cast<std::uint16_t>(value));
    return *this;
}
Params& Params::add(bool value) {
    start();
    put(static_cast<std::uint8_t>(value ? 1 : 0));
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
    slots_.push_back({used_, -1});
    return *this;
}
Params& Params::add_interval(Duration value) {
    start();
    put(static_cast<std::uint64_t>(value.count()));
    put(std::uint32_t{0});  // days
    put(std::uint32_t{0});  // months
    return *this;
}

Params& Params::begin_array(Oid element_type, std::size_t count) {
    start();
    put(std::uint32_t{count == 0 ? 0U : 1U});  // dimensions
    put(std::uint32_t{1});                     // may hold nulls
    put(std::uint32_t{element_type});
    if (count != 0) {
        put(static_cast<std::uint32_t>(count));
        put(std::uint32_t{1});  // lower bound
    }
    return *this;
}
void Params::element(std::int64_t value) {
    put(std::uint32_t{8});
    put(static_cast<std::uint64_t>(value));
}
void Params::element_int(std::int32_t value) {
    put(std::uint32_t{4});
    put(static_cast<std::uint32_t>(value));
}
void Params::element_small(std::int16_t value) {
    put(std::uint32_t{2});
    put(static_cast<std::uint16_t>(value));
}
void Params::element(bool value) {
    put(std::uint32_t{1});
    put(static_cast<std::uint8_t>(value ? 1 : 0));
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
    put(static_cast<std::uint32_t>(value.size()));
    bytes(value.data(), value.size());
}
void Params::element_null() { put(std::uint32_t{0xFFFFFFFFU}); }

void Params::begin_record(int columns) {
    record_ = used_;
    put(std::uint32_t{0});
    put(static_cast<std::uint32_t>(columns));
}
void Params::end_record() {
    const auto size = boost::endian::native_to_big(static_cast<std::uint32_t>(used_ - record_ - 4));
    std::memcpy(buffer_.data() + record_, &size, sizeof size);
}
void Params::field(std::int64_t value) {
    put(std::uint32_t{oid::int8});
    element(value);
}
void Params::field_int(std::int32_t value) {
    put(std::uint32_t{oid::int4});
    element_int(value);
}
void Params::field(bool value) {
    put(std::uint32_t{oid::boolean});
    element(value);
}
void Params::field_small(std::int16_t value) {
    put(std::uint32_t{oid::int2});
    element_small(value);
}
void Params::field(const std::optional<Instant>& value) {
    put(std::uint32_t{oid::timestamptz});
    element(value);
}
void Params::field(std::string_view value) {
    put(std::uint32_t{oid::text});
    element(value);
}
void Params::field_json(std::string_view value) {
    put(std::uint32_t{oid::json});
    element(value);
}
void Params::field_null(Oid type) {
    put(std::uint32_t{type});
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
    used_ = 0;
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

void Connection::send(const Query& query, Params& params) {
    bind(params);
    const bool sent = PQenterPipelineMode(raw_.get()) == 1 &&
                      PQsendQueryPrepared(
                          raw_.get(),
                          query.name,
                          static_cast<int>(params.values_.size()),
                          params.values_.data(),
                          params.lengths_.data(),
                          params.formats_.data(),
                          1
                      ) == 1 &&
                      // Ends the statement's transaction, and sends what is not sent yet.
                      PQpipelineSync(raw_.get()) == 1;
    if (!sent) {
        lost_ = true;
        throw ConnectionLost(message_of(PQerrorMessage(raw_.get())));
    }
    ++under_way_;
}

// The statement's result comes before its transaction is committed: only the sync that follows says
// that it was, and an error may stand between.
Result Connection::receive() {
    SLUICE_CHECK(under_way_ > 0);
    --under_way_;
    PGresult* answered = nullptr;
    bool synced = false;
    for (int ends = 0; !synced && !broken() && ends < 2;) {
        PGresult* next = PQgetResult(raw_.get());
        ends = next == nullptr ? ends + 1 : 0;  // one ends a result, two in a row all of them
        if (next == nullptr) continue;
        const ExecStatusType status = PQresultStatus(next);
        synced = status == PGRES_PIPELINE_SYNC;
        if (answered == nullptr || status == PGRES_FATAL_ERROR) std::swap(answered, next);
        PQclear(next);
    }
    if (under_way_ == 0 && synced) PQexitPipelineMode(raw_.get());
    const bool refused = answered != nullptr && PQresultStatus(answered) == PGRES_FATAL_ERROR;
    if (synced || refused) return check(answered);
    PQclear(answered);
    lost_ = true;
    throw ConnectionLost(message_of(PQerrorMessage(raw_.get())));
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
