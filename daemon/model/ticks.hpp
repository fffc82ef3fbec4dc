// ticks.hpp — the instants at which a schedule fires: of crons, of a delta or of a list, less what
// a calendar closes. One fixed set: `next` and `previous` agree everywhere.
#pragma once

#include <optional>
#include <vector>

#include "model/cron.hpp"
#include "model/dag.hpp"
#include "model/zone.hpp"

namespace sluice {

/// Keeps the later one; an absent value counts for nothing.
inline void raise(std::optional<Instant>& most, std::optional<Instant> candidate) {
    if (candidate && (!most || *candidate > *most)) most = candidate;
}

class Ticks {
public:
    /// `anchor`: a delta's first tick. The crons must be right (`schedule_problem`).
    Ticks(const Schedule& schedule, const Zone& zone, Instant anchor);

    /// The first tick later than `after`, the last one earlier than `before`; none if there is none
    /// within 50 years.
    [[nodiscard]] std::optional<Instant> next(Instant after) const;
    [[nodiscard]] std::optional<Instant> previous(Instant before) const;

private:
    using Day = Calendar::Day;

    // Without the calendar.
    [[nodiscard]] std::optional<Instant> next_plain(Instant after) const;
    [[nodiscard]] std::optional<Instant> previous_plain(Instant before) const;
    [[nodiscard]] Instant delta_after(Instant after) const;

    [[nodiscard]] Day day_of(Instant at) const;
    [[nodiscard]] Instant begin_of(Day day) const;
    [[nodiscard]] Instant end_of(Day day) const;
    [[nodiscard]] bool is_smooth(Day day) const;
    [[nodiscard]] Instant moved(Instant tick, Day to) const;
    [[nodiscard]] std::optional<Instant> first_moved(Day to, Instant after) const;
    [[nodiscard]] std::optional<Instant> last_moved(Day to, Instant before) const;
    [[nodiscard]] std::optional<Instant> next_open(Instant after) const;
    [[nodiscard]] std::optional<Instant> previous_open(Instant before) const;

    std::vector<Cron> crons_;
    Duration delta_{};
    Instant anchor_;
    std::vector<Instant> events_;  // sorted
    Calendar calendar_;
    Zone zone_;
};

}  // namespace sluice
