// warehouse.hpp — the target database of a load: names, the ledger in it, locks, tables that are
// made and widened. All changes of tables happen in the one transaction of the load.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/connect/postgres.hpp"
#include "operators/engine/database.hpp"
#include "operators/lake/table_slice.hpp"
#include "operators/load/plan.hpp"
#include "task/context.hpp"

namespace sluice::load {

/// Name and type of a column as PostgreSQL has it.
using PgColumn = std::pair<std::string, std::string>;

/// What the ledger records of a load.
struct LedgerEntry {
    std::int64_t rows{};
    std::string content_hash;
    std::string input;  // JSON
    std::string code_hash;
};

class Warehouse {
public:
    /// Opens the connection behind the target's schema, makes schema and ledger if needed, ends
    /// sessions of older attempts of the same task instance, and waits until no other run writes
    /// the slice.
    Warehouse(task::TaskContext& context, const Plan& plan);

    [[nodiscard]] connect::Postgres& sql() { return *postgres_; }

    /// "sales"."fact_sales" in the schema to write.
    [[nodiscard]] std::string table() const { return physical(logical_); }
    [[nodiscard]] std::string physical(const std::string& dataset) const;
    /// A table of Sluice's own beside a data set: observations, surrogate keys, registries.
    [[nodiscard]] std::string beside(const std::string& dataset, const std::string& what) const;
    /// Of the target, without quotes and schema.
    [[nodiscard]] std::string partition_name(const std::string& label) const;
    [[nodiscard]] std::string own(const std::string& name) const;
    [[nodiscard]] const std::string& dataset() const { return logical_; }
    /// The schema of the target, as written and as it is.
    [[nodiscard]] std::string schema() const;
    [[nodiscard]] std::string physical_schema() const;
    [[nodiscard]] const std::string& slice() const { return slice_.name(); }
    /// An instance of a mapped task: the slice is that of its item.
    [[nodiscard]] bool mapped() const { return slice_.mapped(); }
    /// In the transaction: which slices of the same interval (of the same table, if it is replaced)
    /// are of no instance any more, or of the task before it was mapped or unmapped. `sure` asks
    /// even if there are no more slices than items. True if there are any.
    bool find_gone(bool sure);
    /// SQL: the slices whose rows this load replaces, to stand after "in".
    [[nodiscard]] std::string replaced() const;
    [[nodiscard]] bool exists(const std::string& quoted_table);
    [[nodiscard]] bool own_schema_of_test() const { return test_; }

    /// True if the live slice was made by the same code from the same inputs.
    bool same_as_live(const LedgerEntry& entry);

    /// Claims the slice: a generation above all in the ledger.
    /// Throws Failure(transient) if a newer attempt is there.
    void claim();
    /// First in the transaction: fails if a newer attempt has claimed the slice.
    void confirm();
    /// Last in the transaction: this generation is the live one.
    void publish(const LedgerEntry& entry);
    [[nodiscard]] std::int64_t generation() const { return generation_; }

    /// Locks tables (as data sets) for the transaction, in one order for everybody.
    void lock(std::vector<std::string> exclusive, std::vector<std::string> shared);

    /// Columns of a table as they are; empty if there is no such table.
    std::vector<PgColumn> columns(const std::string& quoted_table);
    /// Makes the table or adds the columns that it lacks; a column of another type that does not
    /// take the new one's values throws Failure(schema), but in the target of a load that sets
    /// rows aside. True if it was made.
    bool make(
        const std::string& quoted_table,
        const std::vector<PgColumn>& columns,
        const std::string& constraints,
        const std::string& how = ""
    );

private:
    void prepare();
    void enter();
    /// What application_name begins with in every session of this task instance.
    [[nodiscard]] std::string session_name() const;

    task::TaskContext& context_;
    std::string logical_;
    lake::TableSlice slice_;
    std::vector<std::string> gone_;
    bool test_{false};
    const bool rejects_;
    std::string own_schema_;
    std::unique_ptr<connect::Postgres> postgres_;
    std::int64_t generation_{0};
};

/// PostgreSQL's types of the engine's columns.
std::vector<PgColumn> pg_columns(const std::vector<engine::ColumnInfo>& columns);

}  // namespace sluice::load
