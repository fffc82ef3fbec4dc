// lake_service.hpp — answers what the `lake` operator asks of the ledger, and says where a
// generation's files lie.
#pragma once

#include <string>

#include "model/attempt.hpp"
#include "store/lake_store.hpp"

namespace sluice {

/// "raw/customers/dt=2026-01-05/g=000123-<attempt>", relative to the lake's root: new for every
/// attempt, so that nobody ever writes into a folder that a reader may have open.
std::string generation_folder(
    const store::SliceKey& key, std::int64_t generation, const AttemptKey& attempt
);

/// `question` and the answer are JSON; operators/lake/ledger.cpp is the other end. `now` is the
/// wall clock's: a run of the past asks as of its interval's end. Throws Error.
std::string answer_lake(
    store::LakeStore& lake, const AttemptOrder& order, const std::string& question, Instant now
);

}  // namespace sluice
