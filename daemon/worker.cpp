// worker.cpp — the verb worker: one process operator at the end of an inherited socket. Started by
// the executor, never by a user.
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "executor/worker.hpp"
#include "operators/operators.hpp"
#include "wiring.hpp"

namespace sluice {

void add_worker(CLI::App& app) {
    auto* verb = app.add_subcommand("worker", "one task of a daemon (started by it)");
    verb->group("");  // not listed
    verb->callback([] {
        // Nothing of a worker may run on: its result is already sent.
        ::_exit(executor::worker_main(executor::worker_fd, ops::all_operators()));
    });
}

}  // namespace sluice
