// pg_session.hpp — one PostgreSQL connection of a `sql` task. Everything waits on the socket and on
// the attempt's cancel together: a cancel ends the running statement, or the wait for a server that
// does not answer, within a second. Not thread-safe. Errors are SqlFailure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "model/run.hpp"
#include "operators/external/sql_text.hpp"
#include "task/context.hpp"

namespace sluice::ops {

class SqlFailure : public Error {
public:
    SqlFailure(ErrorClass error_class, const std::string& what)
        : Error(ErrorCode::internal, what), error_class_(error_class) {}
    [[nodiscard]] ErrorClass error_class() const { return error_class_; }

private:
    ErrorClass error_class_;
};

struct SqlAnswer {
    std::int64_t rows{0};  // returned, or changed by a statement that returns none
    bool returns_rows{false};
    std::string first_row{"null"};    // JSON object, in the order of the columns' names
    std::string first_value{"null"};  // JSON
};

class PgSession {
public:
    /// Throws SqlFailure: transient if the server is away, auth if it refuses.
    PgSession(task::TaskContext& ctx, const task::Connection& connection);
    ~PgSession();
    PgSession(const PgSession&) = delete;
    PgSession& operator=(const PgSession&) = delete;

    /// One statement, with or without values. Rows are counted, the first one kept.
    SqlAnswer run(const SqlStatement& statement);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// What an SQLSTATE means for a retry; "" = the connection broke.
ErrorClass class_of_state(std::string_view state);

}  // namespace sluice::ops
