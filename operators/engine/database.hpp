// database.hpp — DuckDB behind one header. The library is opened (dlopen) when the first Database
// is, never linked: only worker processes pay for it. One Database = one connection to an in-memory
// instance of its own, or of another Database. Threads may share one: statements wait for each
// other. But what stream() gives, an appender and add_function() want it to themselves: the next
// statement ends a stream. interrupt() and progress() are for any thread. Errors are Failure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operators/engine/value.hpp"

namespace sluice::task {
class TaskContext;
}

namespace sluice::engine {

struct DatabaseOptions {
    std::int64_t memory_bytes{std::int64_t{1} << 30};
    int threads{1};
    std::string temp_directory;  // "" = nothing may spill
    std::int64_t temp_bytes{0};  // 0 = no limit of its own
    std::string timezone{"UTC"};
};

struct ColumnInfo {
    std::string name;
    std::string type;  // DuckDB's name: "BIGINT", "DECIMAL(10,2)", "TIMESTAMP WITH TIME ZONE"
    friend bool operator==(const ColumnInfo&, const ColumnInfo&) = default;
};

struct Rows {
    std::vector<ColumnInfo> columns;
    std::vector<std::vector<Value>> rows;
};

/// One batch of rows (at most 2048) of a streamed result; valid during the callback only.
class Chunk;

/// Rows into a table, fast. Cells are given column by column; a row ends with end_row().
class Appender {
public:
    struct State;
    explicit Appender(std::unique_ptr<State> state);
    Appender(Appender&&) noexcept;
    ~Appender();
    void text(std::string_view value);  // into VARCHAR columns
    void integer(std::int64_t value);   // into BIGINT columns
    void null();
    void end_row();
    /// Must be called; throws what went wrong. The destructor only frees.
    void close();

private:
    std::unique_ptr<State> state_;
};

struct IntervalValue;

/// Rows into a table of any columns (lists of plain types included). Cells are given column by
/// column with the call that fits the column's kind; a row ends with end_row().
class RowAppender {
public:
    struct State;
    explicit RowAppender(std::unique_ptr<State> state);
    RowAppender(RowAppender&&) noexcept;
    ~RowAppender();
    void null();
    void boolean(bool value);
    void integer(std::int64_t value);    // integers, date, time, timestamp, timestamptz
    void huge(Int128 value);             // decimal (unscaled), unsigned integers of 64 bits
    void real(double value);             // real and double
    void text(std::string_view value);   // text and json; must be UTF-8
    void bytes(std::string_view value);  // blob
    void interval(const IntervalValue& value);
    void uuid(std::string_view value);  // 16 bytes, most significant first
    /// The next `size` cells are elements of a list; end_list() follows.
    void begin_list(std::size_t size);
    void end_list();
    void end_row();
    /// Must be called; throws what went wrong. The destructor only frees.
    void close();

private:
    std::unique_ptr<State> state_;
};

/// The cells of one call of a scalar function: `rows` rows, arguments by number.
class Arguments {
public:
    virtual ~Arguments() = default;
    [[nodiscard]] virtual std::size_t rows() const = 0;
    [[nodiscard]] virtual bool is_null(std::size_t argument, std::size_t row) const = 0;
    [[nodiscard]] virtual std::string_view text(std::size_t argument, std::size_t row) const = 0;
    [[nodiscard]] virtual std::int64_t integer(std::size_t argument, std::size_t row) const = 0;
};

/// Where a scalar function puts its results.
class Results {
public:
    virtual ~Results() = default;
    virtual void null(std::size_t row) = 0;
    virtual void text(std::size_t row, std::string_view value) = 0;
    virtual void integer(std::size_t row, std::int64_t value) = 0;
};

enum class FunctionType { text, integer };  // VARCHAR, BIGINT

struct ScalarFunction {
    std::string name;
    std::vector<FunctionType> arguments;
    FunctionType result{FunctionType::text};
    /// Called for every chunk, from any thread of the engine; what it throws fails the query. Sees
    /// NULLs if `handles_null`; else a NULL argument gives NULL and `is_null` must be asked first.
    std::function<void(const Arguments&, Results&)> body;
    bool handles_null{false};
    bool is_volatile{false};
};

/// Rows of a batch, as the engine is built.
inline constexpr std::size_t batch_rows = 2048;

/// Rows that are made while a statement reads them; `name()` in SQL. They are in no table and take
/// no memory but their batch's.
struct RowSource {
    std::string name;
    std::vector<ColumnInfo> columns;
    /// Threads of the engine that may call `next` at the same time. With more than one the rows
    /// have no order, and the statement must ask for none (Database::forget_order()).
    int threads{1};
    /// A statement begins to read them.
    std::function<void()> begin;
    /// Adds at most `batch_rows` rows; none = there are no more. What begin and next throw fails
    /// the statement, with the text but not with the class: who asks for the rows must keep it.
    std::function<void(RowAppender& into)> next;
};

class Database {
public:
    explicit Database(const DatabaseOptions& options);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Runs one or more statements (parameters: only with one). Returns the rows changed by the
    /// last, 0 where the engine does not say.
    std::int64_t execute(const std::string& sql, const std::vector<Value>& parameters = {});
    /// All rows, in memory: for small results. Nested types must be cast to varchar or json.
    Rows query(const std::string& sql, const std::vector<Value>& parameters = {});
    /// The first cell of the first row; null if there is no row.
    Value value(const std::string& sql, const std::vector<Value>& parameters = {});
    std::int64_t integer(const std::string& sql, const std::vector<Value>& parameters = {});
    std::string text(const std::string& sql, const std::vector<Value>& parameters = {});
    /// Names and types of the columns of a query (it is bound, not run).
    std::vector<ColumnInfo> describe(const std::string& query);
    /// Streams a result chunk by chunk in bounded memory.
    void stream(const std::string& query, const std::function<void(const Chunk&)>& each);
    /// `table` has VARCHAR and BIGINT columns only.
    Appender append(const std::string& table);
    RowAppender append_rows(const std::string& table);
    /// Another connection to the same instance, for another thread. A cancel of the attempt
    /// interrupts all.
    std::unique_ptr<Database> beside();
    void add_function(const ScalarFunction& function);
    void add_source(const RowSource& source);
    /// From now on rows may come in another order than their source has them, so that several
    /// threads can write them.
    void forget_order();

    /// Ends the running statement with an error, from any thread; the connection stays usable.
    void interrupt();
    /// 0..1 of the running statement, from any thread; none if unknown.
    std::optional<double> progress();

    struct State;

private:
    friend std::unique_ptr<Database> open_database(task::TaskContext& context);
    explicit Database(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

/// A Database with the attempt's memory, threads, scratch folder and time zone; a cancel of the
/// attempt interrupts it and lets nothing more run.
std::unique_ptr<Database> open_database(task::TaskContext& context);

}  // namespace sluice::engine
