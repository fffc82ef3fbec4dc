// physical.hpp — SQL for a warehouse with the schemas that a run really writes to.
#pragma once

#include <string>

#include "task/context.hpp"

namespace sluice::binding {

/// Replaces every schema name that stands before a dot by the run's physical schema (in
/// `dags test` a throw-away one); texts, quoted names and comments are left alone.
std::string physical_sql(const task::TaskContext& context, const std::string& sql);
/// "sales.dim_date" as a quoted physical name.
std::string physical_name(const task::TaskContext& context, const std::string& table);

}  // namespace sluice::binding
