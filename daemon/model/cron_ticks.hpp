// cron_ticks.hpp — the instants at which a cron expression fires in a zone.
// One fixed set of instants: next and previous agree with each other at every DST switch.
//   Hour field `*`: every instant whose wall-clock time matches; a repeated hour fires twice, a
//   missing one not at all.
//   Otherwise: every matching wall-clock time once; a repeated one at its second occurrence, a
//   missing one shifted forward by the gap.
#pragma once

#include <optional>

#include "model/cron.hpp"
#include "model/zone.hpp"

namespace sluice {

/// The first tick later than `after`; none if there is none in the next 50 years.
std::optional<Instant> next_tick(const Cron& cron, const Zone& zone, Instant after);
/// The last tick earlier than `before`; none if there is none in the 50 years before.
std::optional<Instant> previous_tick(const Cron& cron, const Zone& zone, Instant before);

}  // namespace sluice
