// From the tree to SQL, and what can be told of a tree.
#include <algorithm>

#include "base/check.hpp"
#include "operators/expression/expression.hpp"
#include "operators/expression/functions.hpp"

namespace sluice::expression {

namespace {

using engine::Dialect;

class Renderer {
public:
    explicit Renderer(Dialect dialect) : dialect_(dialect) {}

    std::string sql(const Node& node) {
        switch (node.kind) {
            case NodeKind::null:
                return "null";
            case NodeKind::boolean:
            case NodeKind::number:
                return node.text;
            case NodeKind::string:
                return engine::literal(node.text);
            case NodeKind::typed:
                return "cast(" + engine::literal(node.text) + " as " + type(node.name) + ")";
            case NodeKind::column:
                return (node.qualifier.empty() ? "" : node.qualifier + ".") +
                       engine::quote(node.name);
            case NodeKind::star:
                return "*";
            case NodeKind::unary:
                return "(" + node.name + " " + sql(*node.children[0]) + ")";
            case NodeKind::binary:
                return binary(node);
            case NodeKind::is_null:
                return "(" + sql(*node.children[0]) +
                       (node.negated ? " is not null)" : " is null)");
            case NodeKind::in:
                return "(" + sql(*node.children[0]) + (node.negated ? " not in (" : " in (") +
                       list(node, 1) + "))";
            case NodeKind::between:
                return "(" + sql(*node.children[0]) +
                       (node.negated ? " not between " : " between ") + sql(*node.children[1]) +
                       " and " + sql(*node.children[2]) + ")";
            case NodeKind::cast:
                return cast(node);
            case NodeKind::call:
                return call(node);
            case NodeKind::case_:
                return case_(node);
        }
        unreachable();
    }

private:
    std::string type(const std::string& name) { return engine::type_name(dialect_, name); }

    std::string list(const Node& node, std::size_t from) {
        std::string out;
        for (std::size_t i = from; i < node.children.size(); ++i)
            out += (i > from ? ", " : "") + sql(*node.children[i]);
        return out;
    }

    std::string binary(const Node& node) {
        const std::string left = sql(*node.children[0]);
        const std::string right = sql(*node.children[1]);
        if (dialect_ == Dialect::postgres) {
            // Division is that of real numbers, and by nothing it gives null: as DuckDB has it.
            if (node.name == "/")
                return "((" + left + ")::double precision / nullif((" + right +
                       ")::double precision, 0))";
            if (node.name == "%") return "(" + left + " % nullif(" + right + ", 0))";
        }
        return "(" + left + " " + node.name + " " + right + ")";
    }

    std::string cast(const Node& node) {
        const std::string value = sql(*node.children[0]);
        if (!node.lenient) return "cast(" + value + " as " + type(node.name) + ")";
        if (dialect_ == Dialect::postgres)
            throw Error(ErrorCode::invalid, "try_cast is not known to the warehouse");
        return "try_cast(" + value + " as " + type(node.name) + ")";
    }

    std::string call(const Node& node) {
        const Function* function = find_function(node.name);
        SLUICE_CHECK(function != nullptr);
        const std::string_view form =
            dialect_ == Dialect::duckdb ? function->duckdb : function->postgres;
        const std::string all = (node.distinct ? "distinct " : "") + list(node, 0);
        if (form.empty()) return node.name + "(" + all + ")";
        std::string out;
        for (std::size_t i = 0; i < form.size(); ++i) {
            if (form[i] != '$') {
                out += form[i];
            } else if (form[++i] == '*') {
                out += all;
            } else if (form[i] == ',') {  // "$,2": a comma and the second argument, if it is there
                const auto index = static_cast<std::size_t>(form[++i] - '1');
                if (index < node.children.size()) out += ", " + sql(*node.children[index]);
            } else {
                out += sql(*node.children[static_cast<std::size_t>(form[i] - '1')]);
            }
        }
        return out;
    }

    std::string case_(const Node& node) {
        std::string out = "case";
        const std::size_t pairs = node.children.size() / 2;
        for (std::size_t i = 0; i < pairs; ++i)
            out +=
                " when " + sql(*node.children[2 * i]) + " then " + sql(*node.children[2 * i + 1]);
        if (node.has_else) out += " else " + sql(*node.children.back());
        return out + " end";
    }

    Dialect dialect_;
};

enum class Want { all, visible };

void collect(const Node& node, Want want, std::vector<ColumnName>& out) {
    if (node.kind == NodeKind::column) {
        const ColumnName column{node.qualifier, node.name, node.position};
        if (std::ranges::find(out, column) == out.end()) out.push_back(column);
        return;
    }
    if (want == Want::visible) {
        if (node.kind == NodeKind::is_null) return;
        if (node.kind == NodeKind::call && (node.name == "count" || node.name == "count_if"))
            return;
        if (node.kind == NodeKind::case_) {
            const std::size_t pairs = node.children.size() / 2;
            for (std::size_t i = 0; i < pairs; ++i) collect(*node.children[2 * i + 1], want, out);
            if (node.has_else) collect(*node.children.back(), want, out);
            return;
        }
    }
    for (const NodePtr& child : node.children) collect(*child, want, out);
}

bool has_aggregate(const Node& node) {
    if (node.kind == NodeKind::call && find_function(node.name)->scope == Scope::aggregate)
        return true;
    return std::ranges::any_of(node.children, [](const NodePtr& c) { return has_aggregate(*c); });
}

}  // namespace

std::string Expression::sql(Dialect dialect) const { return Renderer(dialect).sql(*root_); }

std::vector<ColumnName> Expression::columns() const {
    std::vector<ColumnName> out;
    collect(*root_, Want::all, out);
    return out;
}

std::vector<ColumnName> Expression::visible_columns() const {
    std::vector<ColumnName> out;
    collect(*root_, Want::visible, out);
    return out;
}

bool Expression::aggregates() const { return has_aggregate(*root_); }

std::optional<ColumnName> Expression::only_column() const {
    if (root_->kind != NodeKind::column) return std::nullopt;
    return ColumnName{root_->qualifier, root_->name, root_->position};
}

std::string sql(const std::vector<OrderItem>& order, Dialect dialect) {
    std::string out;
    for (const OrderItem& item : order)
        out += (out.empty() ? "" : ", ") + item.value.sql(dialect) +
               (item.descending ? " desc" : " asc") +
               (item.nulls_first ? " nulls first" : " nulls last");
    return out;
}

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace sluice::expression
