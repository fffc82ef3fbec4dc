// table_slice.hpp — which rows of a table outside of the lake an attempt replaces: those of its
// interval (of all, if the table is replaced), and of these an instance of a mapped task those of
// its item.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "task/context.hpp"

namespace sluice::lake {

class TableSlice {
public:
    /// `whole`: the table is replaced, whatever the interval.
    TableSlice(task::TaskContext& context, bool whole);

    /// "2026-01-05T00:00:00+00:00/2026-01-06T00:00:00+00:00#{"region":"eu"}"; "" = the whole table.
    [[nodiscard]] const std::string& name() const { return name_; }
    /// The same without the item of an instance.
    [[nodiscard]] const std::string& base() const { return base_; }
    [[nodiscard]] bool mapped() const { return items_ != unmapped; }
    /// Of the other live slices that are base() or begin with base() and '#': those of no instance
    /// any more, and those from before the task was mapped or unmapped. `sure` looks even if there
    /// are no more slices than items.
    [[nodiscard]] std::vector<std::string> gone(const std::vector<std::string>& others, bool sure)
        const;

private:
    static constexpr std::int64_t unmapped = -2;
    task::TaskContext& context_;
    std::string base_;
    std::string name_;
    std::int64_t items_{unmapped};  // of the mapping; -1 = not all are known
};

}  // namespace sluice::lake
