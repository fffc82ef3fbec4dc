// mysql.hpp — a MySQL or MariaDB connection of a task (Connector/C): statements, large results row
// by row without holding them, cancel. Cells are text as the server writes it, times in UTC. Errors
// are Failure with their class. Not thread-safe, except cancel().
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

enum class MysqlKind : std::uint8_t {
    tiny1,  // tinyint(1), which MySQL has for booleans
    integer,
    decimal,
    real,
    double_,
    bit,
    text,
    json,
    uuid,
    blob,
    date,
    time,
    datetime,
    timestamp,
    year,
};

/// A column of a result, as the server describes it.
struct MysqlField {
    std::string name;
    MysqlKind kind{MysqlKind::text};
    int bytes{0};  // of integers
    bool is_unsigned{false};
    int width{0};  // digits of decimals, bits
    int scale{0};
    friend bool operator==(const MysqlField&, const MysqlField&) = default;
};
/// "decimal(10,2)", "bigint unsigned": for messages.
std::string type_text(const MysqlField& field);

using MysqlCell = std::optional<std::string_view>;

class Mysql {
public:
    /// Throws Failure(transient) if the server is away, Failure(auth) if it refuses the login or is
    /// not who it should be.
    explicit Mysql(const task::Connection& connection);
    ~Mysql();
    Mysql(const Mysql&) = delete;
    Mysql& operator=(const Mysql&) = delete;

    void execute(const std::string& sql);
    /// All rows, in memory: for small results.
    std::vector<std::vector<std::optional<std::string>>> query(const std::string& sql);
    std::vector<MysqlField> describe(const std::string& select);
    /// Row by row; the cells are valid during the call. If a callback throws, or on a cancel, the
    /// connection is of no more use.
    void stream(
        const std::string& sql,
        const std::function<void(const std::vector<MysqlField>&)>& head,
        const std::function<void(const std::vector<MysqlCell>&)>& each
    );

    /// From any thread: ends the running statement, and lets nothing more run.
    void cancel();

    struct State;

private:
    friend std::unique_ptr<Mysql> open_mysql(task::TaskContext&, const std::string&);
    std::shared_ptr<State> state_;
};

/// Opens the connection `conn_id` of the attempt; a cancel of the attempt cancels its statements.
std::unique_ptr<Mysql> open_mysql(task::TaskContext& context, const std::string& conn_id);

/// `name`, with each part of a dotted name quoted.
std::string mysql_name(std::string_view name);
std::string mysql_dotted(std::string_view dotted);
/// A text in any SQL mode: _utf8mb4 x'6162'.
std::string mysql_text(std::string_view text);

}  // namespace sluice::connect
