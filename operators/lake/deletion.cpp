#include "operators/lake/deletion.hpp"

#include <algorithm>

#include "base/fault.hpp"

namespace sluice::lake {
namespace {

constexpr std::size_t batch = 200;  // generations a step: what a crash leaves to be finished

std::vector<Generation> delete_some(const Task& task, std::vector<Deletion> deletions) {
    Ledger ledger(task.context);
    // A row that says deleted already stays as it is.
    const auto marked = std::ranges::stable_partition(deletions, [](const Deletion& one) {
        return one.generation.state != "deleted";
    });
    const std::vector<Deletion> unmarked(deletions.begin(), marked.begin());
    const auto done = ledger.remove(unmarked);
    fault_point("lake_before_removal");
    std::vector<Generation> removed;
    for (std::size_t i = 0; i < deletions.size(); ++i) {
        const Generation& one = deletions[i].generation;
        if (i < done.size() && !done[i]) {
            task.context.info(told(one) + " changed meanwhile: it stays");
            continue;
        }
        task.storage.remove_folder(one.folder);
        task.context.info(told(one) + " deleted: " + deletions[i].reason);
        removed.push_back(one);
    }
    fault_point("lake_after_removal");
    ledger.files_removed(removed);
    return removed;
}

}  // namespace

std::vector<Generation> delete_all(const Task& task, const std::vector<Deletion>& deletions) {
    std::vector<Generation> gone;
    for (std::size_t begin = 0; begin < deletions.size(); begin += batch) {
        const std::size_t end = std::min(begin + batch, deletions.size());
        auto removed = delete_some(
            task,
            {deletions.begin() + static_cast<std::ptrdiff_t>(begin),
             deletions.begin() + static_cast<std::ptrdiff_t>(end)}
        );
        std::ranges::move(removed, std::back_inserter(gone));
    }
    return gone;
}

}  // namespace sluice::lake
