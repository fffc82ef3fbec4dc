// waits.hpp — a task that has poked and waits. Its first "not yet" is written; later pokes and what
// they say live in memory, and begin anew after a restart.
#pragma once

#include "model/states.hpp"
#include "model/wait.hpp"

namespace sluice::core {

struct Wait {
    WaitRow row;
    Seq seen;                // what the last poke had seen of the log
    int pokes{0};            // that ended
    std::int64_t poke{0};    // the one that is on a thread, by its AttemptKey; 0 = none
    std::int64_t last{0};    // number of the last one
    bool in_pool{false};     // its pool knows it as deferred
    bool answered{false};    // input: somebody did
    bool registered{false};  // for its event
};

/// up_for_reschedule, deferred, awaiting_input: ends with a poke, not with an attempt.
inline bool is_poked(TaskState state) {
    return state == TaskState::up_for_reschedule || state == TaskState::deferred ||
           state == TaskState::awaiting_input;
}

}  // namespace sluice::core
