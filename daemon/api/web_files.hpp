// web_files.hpp — the dashboard's built files (web/dist), embedded by cmake/embed.cmake.
#pragma once

#include <span>

#include "base/embedded.hpp"

namespace sluice::web {

/// Sorted by path: "index.html", "static/app-HASH.js", "static/app-HASH.js.gz", ... Empty when the
/// program was built without the dashboard.
std::span<const EmbeddedFile> files();

}  // namespace sluice::web
