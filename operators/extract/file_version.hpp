// file_version.hpp — tells one version of a file from another.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/extract/progress.hpp"

namespace sluice::extract {

/// Whether another slice has read the file as it is now; if not, its fingerprint is put into
/// `left`. Looks inside only if size and time say nothing: a file that was merely touched is known.
bool is_known(
    const FilesRead& known,
    const std::filesystem::path& path,
    const std::string& name,
    nlohmann::json& left
);

}  // namespace sluice::extract
