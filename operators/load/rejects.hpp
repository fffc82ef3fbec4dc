// rejects.hpp — `max_rejects`: rows that the target would refuse are set aside in the warehouse's
// table of rejects, and the rest is loaded in the same transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operators/load/target.hpp"

namespace sluice::load {

/// SQL that is true of a value of `column` (type `from`) that a column of type `to` does not take
/// as it is; none if the types have nothing to do with each other. Types as format_type() has them.
std::optional<std::string> too_much(
    const std::string& column, const std::string& from, const std::string& to
);

/// In the transaction, before anything is written: finds by a few statements over the stage what
/// the target would refuse, takes it out of the stage and puts it into the table of rejects, where
/// no classified value is readable. Returns the number of rows.
/// Throws Failure(data_quality) if they are more than the plan allows.
std::int64_t set_aside(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    Stage& stage,
    const std::vector<Dimension>& dimensions
);

/// In the transaction, when it is known what this load replaces: its older rejects go.
void drop_old_rejects(Warehouse& warehouse);

}  // namespace sluice::load
