#include "operators/load/inputs.hpp"

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

}  // namespace sluice::load
