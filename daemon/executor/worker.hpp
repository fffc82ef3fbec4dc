// worker.hpp — the other end of the protocol: `sluice worker` runs one process operator and ends.
#pragma once

#include <vector>

#include "task/operator.hpp"

namespace sluice::executor {

/// The descriptor that a worker inherits its socket on.
inline constexpr int worker_fd = 3;

/// Reads the start message from `fd`, runs the operator, sends its result; never returns normally
/// to a caller that goes on: the exit code is 0 once a result was sent. The working folder is the
/// attempt's scratch folder. When the daemon's end closes, the worker ends its whole group.
int worker_main(int fd, const std::vector<task::Operator>& operators);

}  // namespace sluice::executor
