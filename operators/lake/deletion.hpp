// deletion.hpp — how generations leave the lake, for whatever reason.
#pragma once

#include <vector>

#include "operators/lake/actions.hpp"

namespace sluice::lake {

/// The ledger first, then the files: what is gone from the disk is never live in the ledger. One
/// that is no longer in the state it was judged in stays, which is logged. Returns those deleted.
std::vector<Generation> delete_all(const Task& task, const std::vector<Deletion>& deletions);

}  // namespace sluice::lake
