#include "operators/load/inputs.hpp"

#include <nlohmann/json.hpp>

#include "operators/load/stage.hpp"

namespace sluice::load {

lake::Source read_source(task::TaskContext& context, engine::Database& database, const Plan& plan) {
    if (plan.spine) return date_spine(database, *plan.spine);
    lake::Source source = lake::read(context, database, *plan.from);
    if (plan.where.empty()) return source;
    source.relation = "(select * from " + source.relation + " where " + plan.where + ")";
    source.rows = database.integer("select count(*) from " + source.relation);
    return source;
}

std::string inputs_json(const lake::Source& source) {
    nlohmann::json list = nlohmann::json::array();
    for (const task::InputSlice& slice : source.slices) {
        list.push_back(
            {{"dataset", slice.dataset},
             {"partition", slice.partition},
             {"slice", slice.slice},
             {"generation", slice.generation}}
        );
    }
    return list.dump();
}

}  // namespace sluice::load
