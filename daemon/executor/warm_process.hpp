// warm_process.hpp — `sluice worker --warm`: a process that has done once what every worker would
// begin with (dynamic linking, loading and opening the engine) and makes workers by copying itself.
// It runs no task. A worker is a child of the daemon, not of this process (CLONE_PARENT): it is
// waited for, signalled and limited like one that was started anew, and outlives this process.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "task/operator.hpp"

namespace sluice::executor {

/// Without an order for so long the process ends: an idle daemon keeps no memory for it.
inline constexpr std::chrono::seconds warm_idle{60};

/// Calls `prepare`, then takes orders from the socket `fd`: for each a worker, which goes on as
/// worker_main. Ends when the daemon's end closes or after `idle`. `flag` is the argument that
/// made this a warm process; a worker blanks it, so that lists of processes tell them apart.
[[noreturn]] void warm_main(
    int fd,
    const std::vector<task::Operator>& operators,
    const std::function<void()>& prepare,
    char* flag,
    std::chrono::milliseconds idle = warm_idle
);

}  // namespace sluice::executor
