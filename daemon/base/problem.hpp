// problem.hpp — makes a Problem of its parts.
#pragma once

#include <string>

#include "base/error.hpp"

namespace sluice {

/// An error at `pointer`, a JSON pointer; file and line are filled in by who read the file.
Problem problem(
    std::string code, std::string pointer, std::string message, std::string suggestion = {}
);

}  // namespace sluice
