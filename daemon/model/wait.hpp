// wait.hpp — tasks that have looked ("poked") and must wait: what an operator asks for, what the
// next poke is told, and the row that keeps it over a restart. No wait holds a thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "base/instant.hpp"

namespace sluice {

// Stored values: never renumber.
enum class WaitKind : std::uint8_t {
    reschedule = 0,  // looks again later: up_for_reschedule
    deferred = 1,    // until something happens or a time comes: deferred
    input = 2,       // until somebody answers: awaiting_input
};

/// What an operator asks for when it ends its poke with "not yet".
struct WaitOrder {
    WaitKind kind{WaitKind::reschedule};
    std::optional<Instant> until;  // the next poke is then; none = only when the event comes
    std::string event;             // wakes it earlier; "" = none; see run_event, date_event
    /// The transition log had come this far when the operator looked: what ended since wakes it.
    Seq seen;
    std::string resume{"null"};  // JSON, given to the next poke
};

/// What a poke knows of those before it.
struct PokeInfo {
    Instant first_at;  // of the first one, over retries
    int pokes{0};      // since the daemon started or the wait began
    std::string resume{"null"};
};

/// The stored wait of an instance: written at the first "not yet", and when it is over.
struct WaitRow {
    TaskKey key;
    WaitKind kind{WaitKind::reschedule};
    Instant first_at;
    std::optional<Instant> until;
    std::string event;
    std::string resume{"null"};
    bool over{false};  // answers of people are kept, other rows go
};

/// The end of a run, or of one of its tasks. The second word of an event's name is the DAG.
inline std::string run_event(const std::string& dag_id, const std::string& run_id) {
    return "run " + dag_id + ' ' + run_id;
}
/// The same for the run of a logical date, whatever its id.
inline std::string date_event(const std::string& dag_id, Instant logical_date) {
    return "date " + dag_id + ' ' + format_z(logical_date);
}

}  // namespace sluice
