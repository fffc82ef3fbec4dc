#include "operators/binding/run_inputs.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::binding {

Relation RunInputs::open(const nlohmann::json& parameter) {
    const task::InputQuery query = lake::query_of(parameter);
    if (!in_lake(query.dataset))
        throw Error(
            ErrorCode::invalid,
            query.dataset +
                " is a table of a warehouse; only data sets of the lake can be read here"
        );
    const lake::Source source = lake::read(context_, database_, query);
    for (const task::InputSlice& slice : source.slices) {
        const std::string key = slice.dataset + "|" + slice.partition + "|" + slice.slice;
        if (!seen_.insert(key).second) continue;
        slices_.push_back(slice);
        rows_ += slice.rows;
    }
    const DatasetSpec& spec = context_.dataset(query.dataset);
    Relation out;
    // The types are those of the files; classes and origins come from the contract.
    out.columns = of_engine(query.dataset, source.columns);
    const Columns declared = with_origins(spec);
    for (ColumnSpec& column : out.columns)
        if (const ColumnSpec* contract = find(declared, column.name)) {
            column.pii_class = contract->pii_class;
            column.origins = contract->origins;
            column.parse = contract->parse;
            column.not_null = contract->not_null;
        }
    out.declared = spec.columns;
    const bool hashed = std::ranges::any_of(source.columns, [](const engine::ColumnInfo& c) {
        return c.name == "_sluice_row_hash";
    });
    const std::string hash = hashed ? "_sluice_row_hash" : "''::varchar as _sluice_row_hash";
    out.sql = "select " + engine::quoted_list(names(out.columns)) + ", " + hash + " from " +
              source.relation;
    return out;
}

void RunInputs::open_as(const std::string& alias, const nlohmann::json& parameter) {
    const Relation relation = open(parameter);
    database_.execute(
        "create or replace temp view " + engine::quote(alias) + " as select " +
        engine::quoted_list(names(relation.columns)) + " from (" + relation.sql + ")"
    );
    columns_[alias] = relation.columns;
}

void RunInputs::open_names(const std::vector<std::string>& all) {
    for (const std::string& name : all) {
        if (columns_.contains(name)) continue;
        const Relation relation = open(nlohmann::json(name));
        database_.execute(
            "create schema if not exists " + engine::quote(tier_of(name)) +
            "; create or replace view " + engine::quoted_name(name) + " as select " +
            engine::quoted_list(names(relation.columns)) + " from (" + relation.sql + ")"
        );
        columns_[name] = relation.columns;
    }
}

Columns RunInputs::columns_of(const std::string& name) {
    const auto found = columns_.find(name);
    if (found == columns_.end())
        throw Error(ErrorCode::not_found, "the data set " + name + " has not been opened");
    return found->second;
}

}  // namespace sluice::binding
