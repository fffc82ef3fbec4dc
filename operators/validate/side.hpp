// side.hpp — a table that checks can ask questions of: rows of the lake in the engine, or a table
// of a warehouse in its own server. Answers are text, as exact as the side can give it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/binding/run_inputs.hpp"
#include "operators/connect/postgres.hpp"
#include "operators/engine/sql.hpp"
#include "task/context.hpp"

namespace sluice::validate {

using Answer = std::vector<std::vector<std::optional<std::string>>>;

class Side {
public:
    Side() = default;
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    virtual ~Side() = default;
    [[nodiscard]] virtual engine::Dialect dialect() const = 0;
    /// SQL that stands after FROM, all rows.
    [[nodiscard]] virtual std::string from() const = 0;
    /// The rows that this run's data interval wrote.
    [[nodiscard]] virtual std::string from_interval() const = 0;
    [[nodiscard]] virtual std::vector<std::string> columns() = 0;
    virtual Answer ask(const std::string& sql) = 0;
    /// Another table beside this one, for foreign keys. Throws Error(invalid) if it is elsewhere.
    virtual std::string beside(const std::string& dataset) = 0;

    std::int64_t count(const std::string& sql);
};

/// Opens data sets as sides; connections are kept. One task's; not thread-safe.
class Sides {
public:
    Sides(task::TaskContext& context, engine::Database& database)
        : context_(context), database_(database), inputs_(context, database) {}
    std::unique_ptr<Side> open(const std::string& dataset);
    /// Declared or derived columns, with their classes; empty for a data set nobody knows.
    [[nodiscard]] binding::Columns columns(const std::string& dataset) const;
    /// Rows that are already a relation of the engine.
    std::unique_ptr<Side> rows(const std::string& sql, std::vector<std::string> columns);
    [[nodiscard]] const binding::RunInputs& inputs() const { return inputs_; }

private:
    connect::Postgres& warehouse(const std::string& conn_id);

    task::TaskContext& context_;
    engine::Database& database_;
    binding::RunInputs inputs_;
    std::map<std::string, std::unique_ptr<connect::Postgres>> warehouses_;
};

}  // namespace sluice::validate
