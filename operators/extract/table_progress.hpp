// table_progress.hpp — how far a table has been read, told while its rows come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "operators/lake/progress.hpp"

namespace sluice::extract {

/// One thread's.
class TableProgress {
public:
    /// `estimated` rows in all, as the server believes; 0 = unknown.
    TableProgress(task::TaskContext& context, std::int64_t estimated)
        : progress_(context, "reading"), estimated_(estimated) {}

    /// So many rows until now; so many bytes more.
    void add(std::int64_t rows, std::size_t bytes) {
        bytes_ += static_cast<std::int64_t>(bytes);
        // Called for every row: the clock is not asked each time.
        if (++calls_ % 256 != 0) return;
        std::optional<double> share;
        // The estimate may be too low: it is over when it is over.
        if (estimated_ > 0)
            share = std::min(0.99, static_cast<double>(rows) / static_cast<double>(estimated_));
        progress_.reach(rows, bytes_, share);
    }

private:
    lake::Progress progress_;
    const std::int64_t estimated_;
    std::int64_t bytes_{0};
    std::uint64_t calls_{0};
};

}  // namespace sluice::extract
