#include "operators/engine/database.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/library.hpp"
#include "operators/engine/result.hpp"
#include "operators/engine/spare.hpp"
#include "operators/engine/sql.hpp"
#include "task/context.hpp"

namespace sluice::engine {

namespace {

void check_config(
    const Library& lib, duckdb_config config, const char* key, const std::string& to
) {
    if (lib.duckdb_set_config(config, key, to.c_str()) != DuckDBSuccess) {
        throw Error(ErrorCode::internal, std::string("DuckDB refuses the setting ") + key);
    }
}

/// What differs between tasks.
std::vector<std::pair<const char*, std::string>> settings_of(const DatabaseOptions& options) {
    const auto mebibytes = [](std::int64_t bytes, std::int64_t least) {
        return std::to_string(std::max(least, bytes >> 20)) + "MiB";
    };
    std::vector<std::pair<const char*, std::string>> out{
        {"memory_limit", mebibytes(options.memory_bytes, 16)},
        {"threads", std::to_string(std::max(1, options.threads))},
        {"temp_directory", options.temp_directory}
    };
    if (options.temp_bytes > 0)
        out.emplace_back("max_temp_directory_size", mebibytes(options.temp_bytes, 1));
    return out;
}

duckdb_config config_of(const Library& lib, const DatabaseOptions& options) {
    duckdb_config config = nullptr;
    if (lib.duckdb_create_config(&config) != DuckDBSuccess) {
        throw Error(ErrorCode::internal, "DuckDB gives no configuration");
    }
    for (const auto& [key, value] : settings_of(options)) check_config(lib, config, key, value);
    check_config(lib, config, "autoinstall_known_extensions", "false");
    check_config(lib, config, "autoload_known_extensions", "false");
    check_config(lib, config, "allow_persistent_secrets", "false");
    check_config(lib, config, "preserve_insertion_order", "true");
    return config;
}

class Statements {
public:
    Statements(const Library& lib, duckdb_connection connection, const std::string& sql)
        : lib_(lib), connection_(connection) {
        count_ = lib.duckdb_extract_statements(connection, sql.c_str(), &statements_);
        if (count_ == 0) {
            const char* message = lib.duckdb_extract_statements_error(statements_);
            const std::string text = message != nullptr ? message : "the statement is empty";
            lib.duckdb_destroy_extracted(&statements_);
            throw Failure(ErrorClass::permanent, text);
        }
    }
    Statements(const Statements&) = delete;
    Statements& operator=(const Statements&) = delete;
    ~Statements() { lib_.duckdb_destroy_extracted(&statements_); }

    [[nodiscard]] idx_t count() const { return count_; }
    duckdb_prepared_statement prepare(idx_t index) {
        duckdb_prepared_statement prepared = nullptr;
        if (lib_.duckdb_prepare_extracted_statement(connection_, statements_, index, &prepared) !=
            DuckDBSuccess) {
            const char* message = lib_.duckdb_prepare_error(prepared);
            const std::string text = message != nullptr ? message : "cannot be prepared";
            lib_.duckdb_destroy_prepare(&prepared);
            throw failure_of(text);
        }
        return prepared;
    }

private:
    const Library& lib_;
    duckdb_connection connection_;
    duckdb_extracted_statements statements_{nullptr};
    idx_t count_{0};
};

class Prepared {
public:
    Prepared(const Library& lib, duckdb_prepared_statement statement)
        : lib_(lib), statement_(statement) {}
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;
    ~Prepared() { lib_.duckdb_destroy_prepare(&statement_); }

    void bind(const std::vector<Value>& values) {
        if (lib_.duckdb_nparams(statement_) != values.size()) {
            throw Error(
                ErrorCode::invalid,
                "the statement takes " + std::to_string(lib_.duckdb_nparams(statement_)) +
                    " parameters, " + std::to_string(values.size()) + " were given"
            );
        }
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (bind_one(i + 1, values[i]) != DuckDBSuccess) {
                throw Error(
                    ErrorCode::invalid, "parameter " + std::to_string(i + 1) + " cannot be bound"
                );
            }
        }
    }
    [[nodiscard]] duckdb_prepared_statement get() const { return statement_; }

private:
    duckdb_state bind_one(idx_t index, const Value& value) {
        struct Bind {
            const Library& lib;
            duckdb_prepared_statement statement;
            idx_t index;
            duckdb_state operator()(std::monostate) const {
                return lib.duckdb_bind_null(statement, index);
            }
            duckdb_state operator()(bool flag) const {
                return lib.duckdb_bind_boolean(statement, index, flag);
            }
            duckdb_state operator()(std::int64_t number) const {
                return lib.duckdb_bind_int64(statement, index, number);
            }
            duckdb_state operator()(double number) const {
                return lib.duckdb_bind_double(statement, index, number);
            }
            duckdb_state operator()(const std::string& text) const {
                return lib.duckdb_bind_varchar_length(statement, index, text.data(), text.size());
            }
        };
        return std::visit(Bind{lib_, statement_, index}, value);
    }

    const Library& lib_;
    duckdb_prepared_statement statement_;
};

}  // namespace

namespace {

/// A database in memory and its connections; it goes with the last of them.
class Instance {
public:
    explicit Instance(const DatabaseOptions& options) {
        duckdb_config config = config_of(lib_, options);
        char* message = nullptr;
        const duckdb_state opened = lib_.duckdb_open_ext(nullptr, &database_, config, &message);
        lib_.duckdb_destroy_config(&config);
        if (opened != DuckDBSuccess) {
            const std::string text = message != nullptr ? message : "unknown";
            lib_.duckdb_free(message);
            throw Error(ErrorCode::internal, "DuckDB does not open: " + text);
        }
    }
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance() { lib_.duckdb_close(&database_); }

    duckdb_connection connect() {
        duckdb_connection connection = nullptr;
        if (lib_.duckdb_connect(database_, &connection) != DuckDBSuccess) {
            throw Error(ErrorCode::internal, "DuckDB gives no connection");
        }
        const std::lock_guard lock(mutex_);
        connections_.push_back(connection);
        return connection;
    }
    void disconnect(duckdb_connection connection) {
        {
            const std::lock_guard lock(mutex_);
            std::erase(connections_, connection);
        }
        lib_.duckdb_disconnect(&connection);
    }
    void cancel() {
        cancelled_.store(true);
        const std::lock_guard lock(mutex_);
        for (duckdb_connection connection : connections_) lib_.duckdb_interrupt(connection);
    }
    [[nodiscard]] bool cancelled() const { return cancelled_.load(); }

private:
    const Library& lib_{library()};
    duckdb_database database_{nullptr};
    std::atomic<bool> cancelled_{false};
    std::mutex mutex_;  // guards connections_
    std::vector<duckdb_connection> connections_;
};

}  // namespace

namespace {

constexpr std::chrono::microseconds no_task_pause{100};

std::shared_ptr<Instance>& spare() {
    static std::shared_ptr<Instance> one;
    return one;
}

}  // namespace

struct Database::State {
    const Library& lib{library()};
    std::shared_ptr<Instance> instance;
    duckdb_connection connection;
    // Held while a statement is prepared and runs: to prepare one ends what the connection has
    // begun. Of two threads one waits, as it would if the engine ran the statement in one go.
    std::mutex running;

    explicit State(std::shared_ptr<Instance> of)
        : instance(std::move(of)), connection(instance->connect()) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { instance->disconnect(connection); }

    Result run(const Prepared& prepared) { return run(prepared, lib.duckdb_pending_prepared); }

    Result run_streaming(const Prepared& prepared) {
        return run(prepared, lib.duckdb_pending_prepared_streaming);
    }

    Result run(const Prepared& prepared, decltype(&duckdb_pending_prepared) begin) {
        check_cancelled();
        duckdb_pending_result pending = nullptr;
        const bool begun = begin(prepared.get(), &pending) == DuckDBSuccess;
        if (!begun || !work_at(pending)) {
            const char* message = lib.duckdb_pending_error(pending);
            const std::string text = message != nullptr ? message : "cannot be run";
            lib.duckdb_destroy_pending(&pending);
            throw failure_of(text);
        }
        Result result(lib);
        const duckdb_state state = lib.duckdb_execute_pending(pending, result.get());
        lib.duckdb_destroy_pending(&pending);
        if (state != DuckDBSuccess) result.fail();
        return result;
    }

    /// Until there is a result (true) or an error. Left alone the engine looks for work without a
    /// pause when only its other threads have some.
    [[nodiscard]] bool work_at(duckdb_pending_result pending) const {
        for (;;) {
            const duckdb_pending_state state = lib.duckdb_pending_execute_task(pending);
            if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE)
                std::this_thread::sleep_for(no_task_pause);
            else if (state != DUCKDB_PENDING_RESULT_NOT_READY)
                return state == DUCKDB_PENDING_RESULT_READY;
        }
    }

    void check_cancelled() const {
        if (instance->cancelled()) throw Failure(ErrorClass::transient, "cancelled");
    }
};

Database::Database(const DatabaseOptions& options) {
    if (auto instance = std::exchange(spare(), nullptr)) {
        state_ = std::make_shared<State>(std::move(instance));
        for (const auto& [key, value] : settings_of(options))
            execute(std::string("set ") + key + " = " + literal(value));
    } else {
        state_ = std::make_shared<State>(std::make_shared<Instance>(options));
        register_hash_functions(state_->lib, state_->connection);
        register_text_functions(state_->lib, state_->connection);
    }
    execute("set timezone = " + literal(options.timezone));
    execute(
        "set enable_progress_bar = true; set enable_progress_bar_print = false; "
        "set progress_bar_time = 0"
    );
}

void open_spare() {
    auto instance = std::make_shared<Instance>(DatabaseOptions{});
    const Database::State first(instance);
    register_hash_functions(first.lib, first.connection);
    register_text_functions(first.lib, first.connection);
    spare() = std::move(instance);
}

Database::Database(std::shared_ptr<State> state) : state_(std::move(state)) {}

Database::~Database() = default;

std::unique_ptr<Database> Database::beside() {
    // Not make_unique: the constructor is private.
    auto other = std::unique_ptr<Database>(new Database(std::make_shared<State>(state_->instance)));
    other->execute("set timezone = " + literal(text("select current_setting('timezone')")));
    return other;
}

std::int64_t Database::execute(const std::string& sql, const std::vector<Value>& parameters) {
    Statements statements(state_->lib, state_->connection, sql);
    std::int64_t changed = 0;
    for (idx_t i = 0; i < statements.count(); ++i) {
        const std::lock_guard alone(state_->running);
        Prepared prepared(state_->lib, statements.prepare(i));
        if (statements.count() == 1) prepared.bind(parameters);
        Result result = state_->run(prepared);
        changed = static_cast<std::int64_t>(state_->lib.duckdb_rows_changed(result.get()));
    }
    return changed;
}

Rows Database::query(const std::string& sql, const std::vector<Value>& parameters) {
    Statements statements(state_->lib, state_->connection, sql);
    if (statements.count() != 1) throw Error(ErrorCode::invalid, "a query is one statement");
    std::unique_lock alone(state_->running);
    Prepared prepared(state_->lib, statements.prepare(0));
    prepared.bind(parameters);
    Result result = state_->run(prepared);
    alone.unlock();
    Rows rows;
    rows.columns = result.columns();
    result.each([&](const Chunk& chunk) {
        for (std::size_t row = 0; row < chunk.rows(); ++row) {
            std::vector<Value> cells;
            cells.reserve(chunk.columns());
            for (std::size_t column = 0; column < chunk.columns(); ++column) {
                cells.push_back(chunk.column(column).value(row));
            }
            rows.rows.push_back(std::move(cells));
        }
    });
    return rows;
}

Value Database::value(const std::string& sql, const std::vector<Value>& parameters) {
    Rows rows = query(sql, parameters);
    if (rows.rows.empty() || rows.rows.front().empty()) return {};
    return std::move(rows.rows.front().front());
}

std::int64_t Database::integer(const std::string& sql, const std::vector<Value>& parameters) {
    const Value found = value(sql, parameters);
    if (const auto* number = std::get_if<std::int64_t>(&found)) return *number;
    if (const auto* text = std::get_if<std::string>(&found)) return std::stoll(*text);
    throw Error(ErrorCode::internal, "a query gave no integer: " + sql);
}

std::string Database::text(const std::string& sql, const std::vector<Value>& parameters) {
    return to_text(value(sql, parameters));
}

std::vector<ColumnInfo> Database::describe(const std::string& sql) {
    std::vector<ColumnInfo> columns;
    for (const auto& row : query("describe " + sql).rows) {
        columns.push_back({to_text(row.at(0)), to_text(row.at(1))});
    }
    return columns;
}

void Database::stream(const std::string& sql, const std::function<void(const Chunk&)>& each) {
    Statements statements(state_->lib, state_->connection, sql);
    if (statements.count() != 1) throw Error(ErrorCode::invalid, "a query is one statement");
    std::unique_lock alone(state_->running);
    Prepared prepared(state_->lib, statements.prepare(0));
    Result result = state_->run_streaming(prepared);
    alone.unlock();
    result.each([&](const Chunk& chunk) {
        state_->check_cancelled();
        each(chunk);
    });
}

Appender Database::append(const std::string& table) {
    return make_appender(state_->lib, state_->connection, table);
}

RowAppender Database::append_rows(const std::string& table) {
    return make_row_appender(state_->lib, state_->connection, table);
}

void Database::add_function(const ScalarFunction& function) {
    register_function(state_->lib, state_->connection, function);
}

void Database::add_source(const RowSource& source) {
    std::string typed;
    for (const auto& [name, type] : source.columns)
        typed += (typed.empty() ? "select null::" : ", null::") + type;
    Statements statements(state_->lib, state_->connection, typed);
    const std::lock_guard alone(state_->running);
    Prepared prepared(state_->lib, statements.prepare(0));
    Result result = state_->run(prepared);
    register_source(state_->lib, state_->connection, source, *result.get());
}

void Database::forget_order() { execute("set preserve_insertion_order = false"); }

void Database::interrupt() { state_->lib.duckdb_interrupt(state_->connection); }

std::optional<double> Database::progress() {
    const double percent = state_->lib.duckdb_query_progress(state_->connection).percentage;
    if (percent < 0) return std::nullopt;
    return percent / 100;
}

std::unique_ptr<Database> open_database(task::TaskContext& context) {
    DatabaseOptions options;
    options.threads = context.resources().threads;
    // The engine's own limit does not count everything the process uses, so it gets less.
    options.memory_bytes = context.resources().memory_bytes * 7 / 10;
    options.temp_bytes = context.resources().temp_bytes;
    options.temp_directory = context.scratch() + "/duckdb";
    options.timezone = context.info().timezone;
    auto database = std::make_unique<Database>(options);
    // Weak: the callback may come when the task is over and the database closed.
    context.on_cancel([weak = std::weak_ptr<Instance>(database->state_->instance)] {
        if (const auto instance = weak.lock()) instance->cancel();
    });
    return database;
}

}  // namespace sluice::engine
