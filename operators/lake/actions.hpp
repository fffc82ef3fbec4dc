// actions.hpp — what the operator `lake` does, an action each. They log every generation they
// touch and return counts for the task's XCom.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/lake/retention.hpp"
#include "operators/lake/storage.hpp"
#include "task/context.hpp"

namespace sluice::lake {

/// What an action works on.
struct Task {
    task::TaskContext& context;
    Storage& storage;
    Lake lake;
    std::vector<std::string> datasets;  // those of the lake that were chosen, in order
    bool dry_run{false};
};

/// Deletes what has had its time: a row in the ledger first, then the files; and folders that the
/// ledger does not know.
nlohmann::json retain(const Task& task, const Retention& retention);
/// Live slices of several files become slices of one.
nlohmann::json compact(const Task& task);
/// Reads every live slice: files there, sizes, rows and content hash as in the ledger. Throws
/// Failure(data_quality) that names what is wrong.
nlohmann::json verify(const Task& task);
/// In the run's partition, makes another generation live: number `generation`, or so many back if
/// it is negative.
nlohmann::json roll_back(const Task& task, std::int64_t generation);
/// Rows in which every column of `subject` has one of its values go from every slice, and every
/// generation that had them is deleted at once. Data sets on hold are refused, Failure(permanent).
nlohmann::json erase(const Task& task, const nlohmann::json& subject);
/// The lifecycle rules (AWS PutBucketLifecycleConfiguration) that agree with the retention; with
/// `put` they are the bucket's from now on, beside those of others.
nlohmann::json lifecycle(const Task& task, const Retention& retention, bool put);
/// A bucket's configuration with these rules in place of those with the ids `own`.
std::string merged_lifecycle(
    const std::string& xml, const nlohmann::json& rules, const std::set<std::string>& own
);

}  // namespace sluice::lake
