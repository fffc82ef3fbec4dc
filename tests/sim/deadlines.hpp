// deadlines.hpp — a plain second opinion on deadlines: when they are due by past runs, and that
// each is missed when it is, once.
#pragma once

#include <map>
#include <vector>

#include "core/event.hpp"
#include "store/memory_journal.hpp"
#include "tests/sim/callbacks.hpp"

namespace sluice::sim {

class Deadlines {
public:
    /// What the runtime answers; keeps what each deadline should be by it.
    core::RuntimesKnown answer(
        store::MemoryJournal& journal, const Versions& versions, const RuntimeQuestion& question
    );
    /// The rows of a committed turn, and what it tells. Throws Broken.
    void check(
        const Turn& turn, Instant now, const store::MemoryJournal& journal, const Versions& versions
    ) const;
    /// When nothing is due any more. Throws Broken.
    static void check_quiet(
        Instant now, const store::MemoryJournal& journal, const Versions& versions
    );

private:
    using Usual = std::map<std::pair<TaskNo, int>, std::optional<Duration>>;
    std::map<RunKey, std::vector<Usual>> answers_;
};

}  // namespace sluice::sim
