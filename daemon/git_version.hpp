// git_version.hpp — which commit this program was built from, as `git describe` says it.
#pragma once

namespace sluice {

/// "" when it was built outside git. Written by cmake/git_version.cmake.
const char* git_version();

}  // namespace sluice
