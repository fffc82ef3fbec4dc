// file_version.hpp — tells one version of a file from another.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/connect/file_place.hpp"
#include "operators/extract/progress.hpp"

namespace sluice::extract {

/// Whether another slice has read the file as it is now; if not, its fingerprint is put into
/// `left`. Looks inside (`sha256`) only if size and time say nothing: a file that was merely
/// touched is known.
bool is_known(
    const FilesRead& known,
    const connect::PlacedFile& file,
    const std::function<std::string()>& sha256,
    nlohmann::json& left
);

}  // namespace sluice::extract
