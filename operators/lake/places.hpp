// places.hpp — the folders of generations below the lake's root.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "operators/lake/ledger.hpp"

namespace sluice::lake {

/// The root of the context's lake.
std::filesystem::path root_of(const task::TaskContext& context);

/// Removes a generation's folder ("raw/orders/dt=.../g=...") and the folders above it that are
/// empty then. One that is not there is fine. Throws Error(internal) for a path that is no
/// generation's, Failure(transient) if the folder cannot be removed.
void remove_folder(const std::filesystem::path& root, const std::string& folder);

/// Folders of generations of this data set that are on the disk and not in `known`, not changed
/// since `before`; relative to the root, in order.
std::vector<std::string> unknown_folders(
    const std::filesystem::path& root,
    const std::string& dataset,
    const std::set<std::string>& known,
    Instant before
);

}  // namespace sluice::lake
