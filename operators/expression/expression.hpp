// expression.hpp — the small expression language of filter, where, derive, checks and measures:
// parsed to a tree at load, rendered as SQL of the engine that runs it. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "operators/engine/sql.hpp"
#include "operators/expression/node.hpp"

namespace sluice::expression {

struct ColumnName {
    std::string qualifier;  // "", "l", "r"
    std::string name;
    std::size_t position{};
    friend bool operator==(const ColumnName& a, const ColumnName& b) {
        return a.qualifier == b.qualifier && a.name == b.name;
    }
};

class Expression {
public:
    explicit Expression(NodePtr root) : root_(std::move(root)) {}
    [[nodiscard]] const Node& root() const { return *root_; }
    [[nodiscard]] std::string sql(engine::Dialect dialect) const;
    /// Every column in it, once, in order.
    [[nodiscard]] std::vector<ColumnName> columns() const;
    /// Those whose values can be seen in the result: not what stands only in `is null`, in a
    /// count, or in the condition of a case.
    [[nodiscard]] std::vector<ColumnName> visible_columns() const;
    /// True if a function of rows (sum, count, ...) is in it.
    [[nodiscard]] bool aggregates() const;
    /// The column, if the expression is nothing but one.
    [[nodiscard]] std::optional<ColumnName> only_column() const;

private:
    NodePtr root_;
};

struct OrderItem {
    Expression value;
    bool descending{false};
    bool nulls_first{false};
};

/// A text as parameters have it: a string, a list of strings (joined by newlines), or what
/// rendering makes of them, {"text": "... $1", "values": [...]}. Unrendered templates read as null.
struct Source {
    std::string text;
    std::string values{"[]"};  // JSON
    bool templated{false};     // there were unrendered templates
};
/// Throws Error(invalid) for anything else.
Source source_of(const nlohmann::json& value);
/// The text with each $n replaced by the value as a typed literal: for statements that take no
/// parameters. Throws Error(invalid).
std::string with_literals(const Source& source);

/// Problems have E-EXPR codes and the column (1-based) in `column`; file and pointer are the
/// caller's to add.
Parsed<Expression> parse(const Source& source);
Parsed<Expression> parse(std::string_view text);
/// "updated_at desc, id": nulls come last unless it says `nulls first`.
Parsed<std::vector<OrderItem>> parse_order(const Source& source);
std::string sql(const std::vector<OrderItem>& order, engine::Dialect dialect);

/// Equal names but for case: how DuckDB sees columns.
bool same_name(std::string_view a, std::string_view b);

}  // namespace sluice::expression
