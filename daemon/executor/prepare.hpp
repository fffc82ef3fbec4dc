// prepare.hpp — from an order to the job that the operator sees: parameters rendered, connections
// and secrets looked up, and what may be shown of it.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "executor/executor.hpp"
#include "executor/redactor.hpp"
#include "executor/services.hpp"
#include "model/attempt.hpp"
#include "task/job.hpp"
#include "task/operator.hpp"

namespace sluice::executor {

struct Prepared {
    task::Job job;
    std::string rendered;  // for the store: secrets masked, "" if nothing was rendered
};

/// `schema` is the operator's. Throws Error: a template that cannot be rendered, a connection that
/// is not defined.
Prepared prepare(
    const AttemptOrder& order,
    const task::Operator& op,
    const nlohmann::json& schema,
    const Settings& settings,
    const Services& services,
    Redactor& redactor
);

/// Renders the `expand` of a mapping and keeps its items. Throws Error.
ExpandAnswer expand_now(
    const ExpandOrder& order, const Settings& settings, const Services& services
);
/// The map_index_template of an attempt that has ended; "" if there is none or it cannot be
/// rendered.
std::string map_name(const AttemptOrder& order, const Settings& settings, const Services& services);

/// Ids and times alone; never throws Error.
task::TaskInfo info_of(const AttemptOrder& order, const Settings& settings);
/// "12-3-1": run, task, start; "12-3-m7-1" of a mapped one.
std::string attempt_id(const AttemptKey& key);

}  // namespace sluice::executor
