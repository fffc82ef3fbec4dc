// postgres.hpp — a PostgreSQL connection of a task: statements, COPY in and out, cancel. Values are
// text, as the server writes them (ISO dates, UTC). Errors are Failure with their class (transient,
// auth, schema, data_quality, permanent). Not thread-safe, except cancel().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::task {
struct Connection;
class TaskContext;
}  // namespace sluice::task

namespace sluice::connect {

using Cell = std::optional<std::string>;

struct PgRows {
    std::vector<std::string> columns;
    std::vector<std::vector<Cell>> rows;
    std::int64_t changed{0};  // by insert, update, delete, merge
};

class Postgres {
public:
    /// Throws Failure(transient) if the server is away, Failure(auth) if it refuses the login.
    Postgres(const task::Connection& connection, const std::string& application_name);
    ~Postgres();
    Postgres(const Postgres&) = delete;
    Postgres& operator=(const Postgres&) = delete;

    /// One statement with $1, $2, ...; or several without parameters (the last one's answer).
    PgRows query(const std::string& sql, const std::vector<Cell>& parameters = {});
    /// Names and types (as format_type() writes them) of a statement's columns; it is not run.
    std::vector<std::pair<std::string, std::string>> describe(const std::string& sql);
    /// Rows changed.
    std::int64_t execute(const std::string& sql, const std::vector<Cell>& parameters = {});
    /// First cell of the first row; none for no row or NULL.
    Cell value(const std::string& sql, const std::vector<Cell>& parameters = {});
    std::int64_t integer(const std::string& sql, const std::vector<Cell>& parameters = {});

    /// `statement` is COPY ... TO STDOUT; `sink` gets pieces of its output.
    void copy_out(const std::string& statement, const std::function<void(std::string_view)>& sink);
    /// COPY ... FROM STDIN, then put() as often as wanted, then end; returns the rows copied.
    void copy_begin(const std::string& statement);
    void copy_put(std::string_view bytes);
    std::int64_t copy_end();
    /// Ends a COPY in without effect; what the server says is ignored.
    void copy_abort() noexcept;

    /// From any thread: ends the running statement, and lets nothing more run.
    void cancel();

    struct State;

private:
    friend std::unique_ptr<Postgres> open_postgres(
        task::TaskContext& context, const std::string& conn_id, const std::string& application_name
    );
    std::shared_ptr<State> state_;
};

/// Opens the connection `conn_id` of the attempt; a cancel of the attempt cancels its statements.
/// Throws Error(invalid) if it is not of type postgres.
std::unique_ptr<Postgres> open_postgres(
    task::TaskContext& context, const std::string& conn_id, const std::string& application_name
);

/// A transaction: rolled back unless committed.
class Transaction {
public:
    explicit Transaction(Postgres& postgres);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    Postgres& postgres_;
    bool open_{true};
};

}  // namespace sluice::connect
