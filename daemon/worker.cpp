// worker.cpp — the verb worker: one process operator at the end of an inherited socket. Started by
// the executor, never by a user.
#include "executor/worker.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "executor/check_process.hpp"
#include "executor/warm_process.hpp"
#include "operators/operators.hpp"
#include "wiring.hpp"

namespace sluice {

void add_worker(CLI::App& app, char** argv) {
    auto* verb = app.add_subcommand("worker", "one task of a daemon (started by it)");
    verb->group("");  // not listed
    const auto check = std::make_shared<bool>(false);
    verb->add_flag("--check", *check, "check a DAG version read from standard input");
    const auto warm = std::make_shared<bool>(false);
    verb->add_flag("--warm", *warm, "make workers from the orders of a daemon");
    verb->callback([check, warm, argv] {
        if (*check) ::_exit(executor::check_main(ops::all_operators()));
        // main's argument after the verb is the flag, as nothing else may stand there.
        if (*warm)
            executor::warm_main(
                executor::worker_fd, ops::all_operators(), ops::prepare_worker, argv[2]
            );
        // Nothing of a worker may run on: its result is already sent.
        ::_exit(executor::worker_main(executor::worker_fd, ops::all_operators()));
    });
}

}  // namespace sluice
