// mysql_table.hpp — the tables that a load into MySQL writes: made at the first load, widened by
// columns, and refused if they would change a value. MySQL ends a transaction with every such
// statement, so they come before it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "operators/connect/mysql.hpp"
#include "operators/extract/mysql_types.hpp"
#include "task/context.hpp"

namespace sluice::extract {

/// Whose rows they are, in tables that are appended to or replaced.
inline constexpr const char* mysql_slice_column = "_sluice_slice";
/// The rows to load, in a temporary table.
inline constexpr const char* mysql_stage = "sluice_stage";
/// Of a merge: its keys, and what the table is to show for them.
inline constexpr const char* mysql_keys = "sluice_keys";
inline constexpr const char* mysql_shown = "sluice_rows";

class MysqlTables {
public:
    struct Shape {
        std::string name;  // as written: "orders", "shop.orders"
        std::vector<MysqlTargetColumn> columns;
        std::vector<std::string> key;
        bool keeps_slices{false};
        std::string collation;
    };
    MysqlTables(task::TaskContext& context, connect::Mysql& mysql, Shape shape)
        : context_(context), mysql_(mysql), shape_(std::move(shape)) {}

    void make_stage();
    /// The stage is filled: a table that was there must take every row as it is.
    void prepare_target();
    /// Returns the quoted name of the table of observations beside the target.
    std::string prepare_observations();

private:
    [[nodiscard]] std::string definitions() const;
    [[nodiscard]] std::string slice_definition() const;
    bool make(const std::string& name, const std::string& columns, const std::string& keys);
    /// "add column ..., ..." for what the table lacks; "" = nothing.
    std::string missing_columns(const std::map<std::string, std::string>& present) const;
    void check_fit(const std::map<std::string, std::string>& present);
    std::map<std::string, std::string> columns_in(const std::string& name);  // small name -> type
    bool has_unique_key();
    std::int64_t number(const std::string& sql);

    task::TaskContext& context_;
    connect::Mysql& mysql_;
    const Shape shape_;
};

/// `a`, `b`, with a prefix "t." before each if given.
std::string mysql_list(const std::vector<std::string>& names, const std::string& prefix = "");

}  // namespace sluice::extract
