// command.hpp — what shell and python share: the environment and context file of a command, its
// output into the log, its end as an outcome.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/attempt.hpp"
#include "task/context.hpp"

namespace sluice::ops {

/// The keys that both operators have; `with` names them.
struct CommandOrder {
    std::vector<std::string> argv;
    std::string input;
    std::string cwd;
    nlohmann::json* env{nullptr};  // object of strings
    bool append_env{true};         // to the daemon's allow-listed environment
    std::vector<int> exit_ok{0};
    int skip_on_exit_code{99};  // -1 = none
    std::string code{};         // what it runs, for the ledger
};

/// Runs it: lines of both streams go to the log as they come, the last line of standard output
/// becomes the return value (as JSON if it is JSON). SLUICE_CONTEXT names a file with ids,
/// interval, params and the data sets of the lake that the task declares (handover.hpp). Ends
/// within 1 s of a cancel.
Outcome run_command(task::TaskContext& ctx, CommandOrder order);

}  // namespace sluice::ops
