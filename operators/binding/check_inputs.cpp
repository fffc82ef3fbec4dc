#include "operators/binding/check_inputs.hpp"

#include <nlohmann/json.hpp>

#include "operators/engine/sql.hpp"

namespace sluice::binding {

namespace {

std::string name_of(const nlohmann::json& dataset) {
    return dataset.is_string() ? dataset.get<std::string>()
                               : dataset.at("dataset").get<std::string>();
}

}  // namespace

CheckInputs::CheckInputs(const task::CheckInput& input)
    : input_(input), binder_(input.dag.timezone) {}

const DatasetSpec& CheckInputs::dataset(const std::string& name) {
    reads_.insert(name);
    const DatasetSpec* found = input_.dataset(name);
    if (found == nullptr)
        throw Error(ErrorCode::not_found, "nobody writes or declares the data set " + name);
    return *found;
}

Relation CheckInputs::open(const nlohmann::json& parameter) {
    const DatasetSpec& spec = dataset(name_of(parameter));
    if (spec.columns.empty())
        throw Error(
            ErrorCode::invalid,
            "the columns of " + spec.name + " are not known: declare them under `datasets`"
        );
    binder_.add(spec);
    Relation out;
    out.columns = with_origins(spec);
    out.declared = spec.columns;
    out.sql = "select " + engine::quoted_list(names(out.columns)) +
              ", ''::varchar as _sluice_row_hash from " + engine::quoted_name(spec.name);
    return out;
}

void CheckInputs::open_names(const std::vector<std::string>& all) {
    for (const std::string& name : all) open(nlohmann::json(name));
}

void CheckInputs::open_as(const std::string& alias, const nlohmann::json& parameter) {
    const Relation relation = open(parameter);
    aliases_[alias] = name_of(parameter);
    database().execute(
        "create or replace temp view " + engine::quote(alias) + " as select " +
        engine::quoted_list(names(relation.columns)) + " from (" + relation.sql + ")"
    );
}

Columns CheckInputs::columns_of(const std::string& name) {
    const auto alias = aliases_.find(name);
    return with_origins(dataset(alias == aliases_.end() ? name : alias->second));
}

}  // namespace sluice::binding
