// spool_folder.hpp — where an extract keeps what it has read until it is all there: a folder of
// the task instance, which outlives its attempts.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "task/context.hpp"

namespace sluice::extract {

struct SpoolFolder {
    std::filesystem::path root;    // of all task instances
    std::filesystem::path folder;  // of this one; it exists
};

/// What is older is not gone on with: the source may be another.
inline constexpr std::chrono::hours oldest_spool{6};

/// Makes the folder, in the lake's folder `_spool` (lake::local_home), where raw data may lie; what
/// tasks left there that never ran to their end goes.
SpoolFolder open_spool_folder(task::TaskContext& context);
/// All is written elsewhere.
void remove_spool_folder(const SpoolFolder& spool) noexcept;
/// Throws Failure: resource if the disk is full, else transient.
[[noreturn]] void fail_to_write(const std::filesystem::path& path);

}  // namespace sluice::extract
