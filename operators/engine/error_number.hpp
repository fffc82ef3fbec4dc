// error_number.hpp — the error class of what the operating system says.
#pragma once

#include "model/run.hpp"

namespace sluice::engine {

/// A full disk, a quota, no memory, too many open files: resource. Refused: auth. What is gone,
/// busy or damaged may be there later: transient. Else permanent.
ErrorClass class_of_errno(int number);

}  // namespace sluice::engine
