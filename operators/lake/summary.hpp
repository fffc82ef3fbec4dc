// summary.hpp — how a data operator ends: its counts as XCom, log line and metrics,
// and `on_empty`.
#pragma once

#include <chrono>
#include <cstdint>

#include "task/operator.hpp"

namespace sluice::lake {

/// Counts what happens from its making on. Fields below zero are left out of the XCom.
struct Summary {
    std::int64_t rows_in{-1};
    std::int64_t rows_out{-1};
    std::int64_t rows_quarantined{-1};
    std::int64_t rows_released{-1};  // were in quarantine, and are not any more
    std::int64_t rows_rejected{-1};
    std::int64_t rows_deduplicated{-1};
    std::int64_t rows_masked{-1};
    std::int64_t files{-1};
    std::int64_t bytes{-1};
    std::chrono::steady_clock::time_point started{std::chrono::steady_clock::now()};
};

/// Pushes the summary and logs it; success, or what `on_empty` says if there were no rows out.
Outcome finish(task::TaskContext& context, const Summary& summary);

}  // namespace sluice::lake
