// select_flow.hpp — which columns of its inputs each output of a statement may show, by the names
// in its select lists, at any depth. Says too much rather than too little; what it cannot follow it
// calls opaque.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/binding/columns.hpp"
#include "operators/engine/database.hpp"

namespace sluice::binding {

/// What a statement reads, under the name that it uses.
struct NamedColumns {
    std::string name;  // "raw.orders", or an alias of the caller
    Columns columns;
};

class SelectFlow {
public:
    SelectFlow(engine::Database& database, const std::string& sql);

    /// Columns get names that are in no select list: a list of names, * REPLACE or RENAME, COLUMNS,
    /// PIVOT, a function that reads tables.
    [[nodiscard]] bool opaque() const { return opaque_; }
    /// The columns that stand in the expressions called `output`, through subqueries and CTEs.
    [[nodiscard]] std::vector<const ColumnSpec*> sources(
        const std::string& output, const std::vector<NamedColumns>& inputs
    ) const;

private:
    struct Reference {
        std::string of;  // the qualifier; "" = none
        std::string column;
        bool operator<(const Reference& other) const {
            return std::tie(of, column) < std::tie(other.of, other.column);
        }
    };
    void walk(const nlohmann::json& node);
    void add_table(const nlohmann::json& node);
    void add_branches(const nlohmann::json& node);
    void add_item(const std::string& name, const nlohmann::json& item);
    void collect(const nlohmann::json& node, std::set<Reference>& out);
    void follow(
        const std::string& name,
        const std::vector<NamedColumns>& inputs,
        std::set<std::string>& seen,
        std::vector<const ColumnSpec*>& out
    ) const;
    void add_inputs(
        const Reference& reference,
        const std::vector<NamedColumns>& inputs,
        std::vector<const ColumnSpec*>& out
    ) const;

    bool opaque_{false};
    std::map<std::string, std::set<Reference>> items_;         // output -> what it is made of
    std::map<std::string, std::set<std::string>> qualifiers_;  // alias -> data sets
};

}  // namespace sluice::binding
