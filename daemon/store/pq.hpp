// pq.hpp — a thin layer over libpq: binary parameters and results, arrays, prepared statements.
// Included by .cpp files of this folder only. A Connection is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <libpq-fe.h>

#include "base/instant.hpp"

namespace sluice::store {

/// The server cannot be reached, or the connection broke in the middle.
class ConnectionLost : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The server refused a statement.
class SqlError : public std::runtime_error {
public:
    SqlError(std::string state, const std::string& what)
        : std::runtime_error(what), state_(std::move(state)) {}
    [[nodiscard]] const std::string& state() const { return state_; }  // SQLSTATE
    /// The statement was refused for its data: classes 22 and 23, and SL002.
    [[nodiscard]] bool is_about_data() const {
        return state_.starts_with("22") || state_.starts_with("23") || state_ == "SL002";
    }

private:
    std::string state_;
};

/// Parameters of one statement, in order, as the server's binary form.
class Params {
public:
    Params& add(std::int64_t value);
    Params& add_int(std::int32_t value);
    Params& add_small(std::int16_t value);
    Params& add(bool value);
    Params& add(Instant value);
    Params& add(std::optional<Instant> value);
    Params& add(std::string_view value);
    Params& add(const char* value) { return add(std::string_view{value}); }
    Params& add_null();
    Params& add_interval(Duration value);

    // Arrays: `begin_array(element type, count)` and then `count` elements. An element that is a
    // record: `begin_record(columns)`, the columns as fields, `end_record`.
    void begin_record(int columns);
    void end_record();
    void field(std::int64_t value);
    void field(bool value);
    void field_int(std::int32_t value);
    void field_small(std::int16_t value);
    void field(const std::optional<Instant>& value);
    void field(std::string_view value);
    void field_json(std::string_view value);
    void field_null(Oid type);
    Params& begin_array(Oid element, std::size_t count);
    void element(std::int64_t value);
    void element_int(std::int32_t value);
    void element_small(std::int16_t value);
    void element(bool value);
    void element(Instant value);
    void element(const std::optional<Instant>& value);
    void element(std::string_view value);
    void element_null();

    Params& add(std::span<const std::string> values);
    Params& add(std::span<const std::int64_t> values);
    Params& add(std::span<const std::int16_t> values);
    Params& add(std::span<const std::int32_t> values);

    void clear();

private:
    friend class Connection;
    /// Makes room for `size` bytes and says where they go.
    char* room(std::size_t size);
    void bytes(const void* data, std::size_t size);
    /// In the order of the network; by the type of the value 1, 2, 4 or 8 bytes.
    template <class Unsigned>
    void put(Unsigned value);
    void start();
    void finish();

    // A turn has thousands of small fields: they are written to a buffer that has room for them.
    std::string buffer_;  // its first used_ bytes
    std::size_t used_{0};
    std::size_t record_{0};  // where the length of the open record goes
    struct Slot {
        std::size_t offset;
        int length;  // -1 = null
    };
    std::vector<Slot> slots_;
    std::vector<const char*> values_;  // filled when sent
    std::vector<int> lengths_;
    std::vector<int> formats_;
};

namespace oid {
inline constexpr Oid boolean = 16;
inline constexpr Oid int8 = 20;
inline constexpr Oid int2 = 21;
inline constexpr Oid int4 = 23;
inline constexpr Oid text = 25;
inline constexpr Oid json = 114;
inline constexpr Oid timestamptz = 1184;
}  // namespace oid

/// Rows of an answer, binary. Column types must be those asked for.
class Result {
public:
    explicit Result(PGresult* result) : result_(result, &PQclear) {}
    [[nodiscard]] int rows() const { return PQntuples(result_.get()); }
    [[nodiscard]] bool is_null(int row, int column) const {
        return PQgetisnull(result_.get(), row, column) != 0;
    }
    [[nodiscard]] std::int64_t int8(int row, int column) const;
    [[nodiscard]] std::int32_t int4(int row, int column) const;
    [[nodiscard]] int int2(int row, int column) const;
    [[nodiscard]] bool boolean(int row, int column) const;
    [[nodiscard]] std::string text(int row, int column) const;  // "" for null
    [[nodiscard]] Instant time(int row, int column) const;
    [[nodiscard]] std::optional<Instant> maybe_time(int row, int column) const;
    /// Rows a statement without answer changed.
    [[nodiscard]] std::int64_t changed() const;

private:
    [[nodiscard]] std::uint64_t integer(int row, int column, int size) const;
    std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

/// A named statement: its text is sent once a connection.
struct Query {
    const char* name;
    const char* sql;
};

class Connection {
public:
    /// `application` is shown in pg_stat_activity. Throws ConnectionLost.
    Connection(const std::string& url, const std::string& application);
    ~Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// One or more statements without parameters.
    void script(const std::string& sql);
    /// Prepared at its first use.
    Result run(const Query& query, Params& params);
    Result run(const Query& query);
    /// Planned anew with these values: for filters.
    Result plan(const std::string& sql, Params& params);
    void prepare(const std::string& name, const std::string& sql);
    [[nodiscard]] bool is_prepared(const std::string& name) const {
        return prepared_.contains(name);
    }

    /// Sends a prepared statement and returns before it is answered. Several may be under way, each
    /// in a transaction of its own; until all are answered nothing else may be run here. Throws
    /// ConnectionLost.
    void send(const Query& query, Params& params);
    /// The answer of the oldest statement sent. Throws SqlError, ConnectionLost.
    Result receive();

    /// Lost, also where libpq has not noticed it yet.
    [[nodiscard]] bool broken() const { return lost_ || PQstatus(raw_.get()) != CONNECTION_OK; }
    /// Whether the server has ended an idle connection; looks at the socket, asks nobody.
    [[nodiscard]] bool ended();
    [[nodiscard]] bool idle() const { return PQtransactionStatus(raw_.get()) == PQTRANS_IDLE; }

    /// From now on an answer that takes longer counts as a lost connection.
    void set_patience(Duration patience) { patience_ = patience; }
    /// What others have sent to the channels this connection listens to; reads the socket.
    std::vector<std::string> notifications();
    [[nodiscard]] int socket() const { return PQsocket(raw_.get()); }

private:
    Result check(PGresult* result);
    Result answer(int sent);
    void bind(Params& params);

    std::unique_ptr<PGconn, decltype(&PQfinish)> raw_;
    std::unordered_set<std::string> prepared_;
    int under_way_{0};  // sent and not answered
    bool lost_{false};
    Duration patience_{0};  // 0 = without end
};

/// BEGIN now; ROLLBACK at the end of scope unless committed.
class Transaction {
public:
    explicit Transaction(Connection& connection);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    Connection& connection_;
    bool open_{true};
};

}  // namespace sluice::store
