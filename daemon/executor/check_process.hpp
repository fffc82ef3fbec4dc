// check_process.hpp — runs the data-plane check of a DAG version in a worker process: an engine is
// never opened in the daemon, and a crash of one is a problem of that DAG.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "model/dag.hpp"
#include "task/check.hpp"
#include "task/process.hpp"

namespace sluice::executor {

/// Blocks until the worker has answered. Throws Error: it crashed, took too long or too much
/// memory.
task::CheckReport check_in_worker(
    task::Spawner& spawner,
    const std::string& program,
    const Dag& dag,
    std::chrono::milliseconds patience = std::chrono::seconds{120}
);

/// The other end, `sluice worker --check`: reads the question from standard input, writes the
/// report to standard output. Returns the exit code.
int check_main(const std::vector<task::Operator>& operators);

}  // namespace sluice::executor
