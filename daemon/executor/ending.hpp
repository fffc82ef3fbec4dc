// ending.hpp — how an attempt ended: what it left, the outcome that a cancel makes of it, and what
// the log and the daemon are told. Pure but for the log; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/artefacts.hpp"
#include "executor/executor.hpp"
#include "executor/task_log.hpp"

namespace sluice::executor {

/// What an attempt left; no outcome = it never began.
struct Ending {
    std::optional<Outcome> outcome;
    std::vector<XcomValue> xcoms;
    std::vector<OutputCommit> outputs;
    std::string metrics;  // JSON; "" = it measured nothing
    std::string rendered;
    bool checkpointed{false};
};

/// The outcome of an attempt that was cancelled before its work was done.
/// `own` is what the operator said when it was told to end.
Outcome cancelled_outcome(
    CancelReason reason, const AttemptOrder& order, const std::optional<Outcome>& own
);
/// What the task says of its XComs: do_xcom_push and multiple_outputs. `artefacts` may be null.
/// Throws Error when a part cannot be stored.
std::vector<XcomValue> kept_xcoms(
    const AttemptOrder& order, std::vector<XcomValue> xcoms, Artefacts* artefacts
);
/// Writes how it ended into the log, and closes it.
void note_end(const Outcome& outcome, TaskLog& log);
/// What a task that waits gives its next poke is stored: not without limit.
void keep_small(Outcome& outcome, std::string resume);
/// Cut to the limit of error texts, at a character.
std::string bounded(std::string text);

}  // namespace sluice::executor
