// embedded.hpp — files that are part of the binary (migrations, the dashboard); made by
// cmake/embed.cmake.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

struct EmbeddedFile {
    std::string_view path;
    std::string_view content;
};

}  // namespace sluice
