// nesting.cpp — mappings inside mapped groups: each outer instance has a list, which is found out
// when a task of the mapping may run for it, and again when all that was made of it is cleared.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"
#include "model/expansion.hpp"

namespace sluice::core {
namespace {

/// The places of all lists are one mapping's.
bool has_places(const Expansion& known, MapIndex outer, std::int32_t length) {
    return known.length + std::int64_t{length} - known.nest->part(outer).places <= map_length;
}

}  // namespace

/// Whoever of a task downstream has to do with the instance is looked at.
void Scheduler::Impl::look_at_kin(Run& run, const TaskKey& key, TaskNo down, Kin reach) {
    Family& below = run.family(down);
    // One that ends before it has instances counts for all of its downstream's.
    if (key.map_index == unmapped) {
        below.seen.reset();
        return unsettled_.push(run, run.key(down));
    }
    if (reach == Kin::same || !below.is_expanded())
        return unsettled_.push(run, run.key(down, key.map_index));
    const MapIndex outer = run.family(key.task).outer_of(key.map_index);
    if (below.nest == nullptr) return unsettled_.push(run, run.key(down, outer));
    below.nest->each(outer, [&](MapIndex i) { unsettled_.push(run, run.key(down, i)); });
}

/// Whether verdicts on those who look at all instances of an outer one may differ for the change.
bool Scheduler::Impl::changes_part(
    const Run& run, const TaskKey& key, TaskState from, TaskState to
) {
    const Family& family = run.family(key.task);
    if (!family.is_expanded() || key.map_index == unmapped) return true;
    const auto& now = family.of_outer(family.outer_of(key.map_index));
    UpstreamCounts before = now;
    before.move(to, from, 1, true);
    return before.signature() != now.signature();
}

/// Rows of lists are written once, when the turn is sealed: many may become known in one.
void Scheduler::Impl::put_list(const Run& run, MapNo map, MapIndex outer, MapLength row) {
    row.run = run.row.key;
    row.map = map;
    row.outer = outer;
    list_rows_[{run.row.key, map, outer}] = std::move(row);
}

/// The mapped group around it has instances: each has a place now, and asks for its list with it.
void Scheduler::Impl::open_nest(Run& run, MapNo map) {
    const Mapping& mapping = run.plan->dag->mappings[static_cast<std::size_t>(map)];
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    const auto outers = run.expansions[static_cast<std::size_t>(mapping.outer)].length;
    if (outers > 0 && !known.nest) {
        known.nest = std::make_unique<Nest>(outers);
        known.length = outers;
        touch(run);
        put_list(run, map, unmapped, {.length = outers});
    }
    for (const TaskNo task : mapping.tasks) {
        auto& family = run.family(task);
        if (known.nest && !family.is_expanded() && family.one.row.state == TaskState::none) {
            family.nest = known.nest.get();
            expand(run, family, known.length);
        }
        unsettled_.push(run, run.key(task));
    }
}

/// The mapped group around it forgets how many instances it has; its tasks are folded already.
void Scheduler::Impl::close_nest(Run& run, MapNo map) {
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    if (!known.nest) return;
    for (MapIndex outer = 0; const auto& part : known.nest->parts) {
        if (part.asked_by != no_task) --run.waiting;
        if (part.length >= 0 || !part.blocks.empty()) put_list(run, map, outer, {.length = -1});
        ++outer;
    }
    put_list(run, map, unmapped, {.length = -1});
    known.nest.reset();
    known.length = -1;
    touch(run);
    check_later(run);
}

/// Whether the instance may start: its list is known and has it. If it is not known, it is asked
/// for; what no list has is skipped, or no longer there.
bool Scheduler::Impl::is_listed(Run& run, const TaskKey& key) {
    const MapNo map = run.family(key.task).mapping;
    const Nest& nest = *run.expansions[static_cast<std::size_t>(map)].nest;
    const auto place = nest.place(key.map_index);
    const auto length = nest.part(place.outer).length;
    if (place.inner < length) return true;
    if (length >= 0) {
        const auto state = place.inner == 0 ? TaskState::skipped : TaskState::removed;
        mark_by_rule(run, key, {Verdict::Kind::mark, state});
        return false;
    }
    const auto& literal = run.plan->dag->mappings[static_cast<std::size_t>(map)].length;
    MapLength list;
    list.map = map;
    list.outer = place.outer;
    if (!literal) {
        ask_list(run, key);
        return false;
    }
    list.length = *literal;
    if (!has_places(run.expansions[static_cast<std::size_t>(map)], place.outer, list.length))
        fail_list(run, key, {});
    else if (can_set_list(run, list))
        set_list(run, list);
    else
        hold_over(run, key);
    return false;
}

/// No list: the instance that needed it fails. Without an error there would be too many.
void Scheduler::Impl::fail_list(Run& run, const TaskKey& key, const Expanded& event) {
    if (run.state(key) != TaskState::none) return;
    auto& instance = run.at(key);
    if (instance.touched == turn_no_) return hold_over(run, key);
    instance.row.end_date = now_;
    instance.row.error = event.error;
    instance.row.error_class = event.error_class;
    if (event.error.empty())
        instance.row.error =
            fmt::format("the mapping has more instances than map_length allows ({})", map_length);
    change(run, instance, TaskState::failed, {"expand"});
    fail_fast(run, instance);
}

void Scheduler::Impl::ask_list(Run& run, const TaskKey& key) {
    const MapNo map = run.family(key.task).mapping;
    Nest& nest = *run.expansions[static_cast<std::size_t>(map)].nest;
    const MapIndex outer = nest.place(key.map_index).outer;
    auto& part = nest.part(outer);
    if (part.asked_by != no_task) return;
    part.asked_by = key.task;
    part.asked_at = key.map_index;
    part.serial = last_seq_.value + 1;
    ++run.waiting;
    auto& order = turn_->expands.emplace_back();
    order.run_key = run.row.key;
    order.map = map;
    order.outer = outer;
    order.serial = part.serial;
    order.dag = run.plan->dag;
    if (!run.shared) run.shared = std::make_shared<const DagRun>(run.row);
    order.run = run.shared;
}

/// As `stop_asking`, for a list.
void Scheduler::Impl::stop_asking_list(Run& run, const TaskKey& key) {
    const Family& family = run.family(key.task);
    if (family.nest == nullptr) return;
    auto& known = run.expansions[static_cast<std::size_t>(family.mapping)];
    const MapIndex outer = family.outer_of(key.map_index);
    auto& part = known.nest->part(outer);
    if (part.asked_by != key.task || part.asked_at != key.map_index) return;
    part.asked_by = no_task;
    --run.waiting;
    check_later(run);
    for (const TaskNo other :
         run.plan->dag->mappings[static_cast<std::size_t>(family.mapping)].tasks)
        known.nest->each(outer, [&](MapIndex i) {
            if (run.key(other, i) != key) unsettled_.push(run, run.key(other, i));
        });
}

/// An instance changes once a turn: those that come or go with the list have not yet.
bool Scheduler::Impl::can_set_list(const Run& run, const MapLength& list) const {
    const auto& known = run.expansions[static_cast<std::size_t>(list.map)];
    const auto& part = known.nest->part(list.outer);
    const auto more = std::max(list.length, 1) - part.places;
    const auto& tasks = run.plan->dag->mappings[static_cast<std::size_t>(list.map)].tasks;
    return std::ranges::none_of(tasks, [&](TaskNo task) {
        const Family& family = run.family(task);
        bool busy = false;
        const auto look = [&](MapIndex i) {
            const auto live = family.live().find(i);
            busy = busy || (live != family.live().end() && live->second.touched == turn_no_);
        };
        if (family.nest == nullptr || family.live().empty()) return false;
        if (more < 0) known.nest->each(list.outer, look);
        for (MapIndex i = known.length; i < known.length + more; ++i) look(i);
        return busy;
    });
}

/// The list of an outer instance is known: what it needs has a place, what it no longer has goes.
void Scheduler::Impl::set_list(Run& run, const MapLength& list) {
    auto& known = run.expansions[static_cast<std::size_t>(list.map)];
    Nest& nest = *known.nest;
    auto& part = nest.part(list.outer);
    const auto needed = std::max(list.length, 1);
    if (needed > part.places) grow(run, list.map, list.outer, needed - part.places);
    part.length = list.length;
    touch(run);
    MapLength row = list;
    row.blocks = part.blocks;
    put_list(run, list.map, list.outer, std::move(row));
    for (const TaskNo task : run.plan->dag->mappings[static_cast<std::size_t>(list.map)].tasks) {
        Family& family = run.family(task);
        if (family.nest == nullptr) continue;
        std::int32_t inner = 0;
        nest.each(list.outer, [&](MapIndex i) {
            const bool is_removed = family.state(i) == TaskState::removed;
            if ((inner++ < needed) == is_removed) {
                auto& instance = run.at(run.key(task, i));
                if (is_removed) wipe(run, instance);
                const auto to = is_removed ? TaskState::none : TaskState::removed;
                change(run, instance, to, {"mapping"});
            }
            unsettled_.push(run, run.key(task, i));
        });
    }
}

/// Places at the end. Rows of a mapping before may be there.
void Scheduler::Impl::grow(Run& run, MapNo map, MapIndex outer, std::int32_t more) {
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    const MapIndex first = known.length;
    known.nest->add(outer, first, more);
    known.length += more;
    put_list(run, map, unmapped, {.length = known.length});
    for (const TaskNo task : run.plan->dag->mappings[static_cast<std::size_t>(map)].tasks) {
        Family& family = run.family(task);
        if (family.nest == nullptr) continue;
        const auto end = std::min(known.length, family.end_of_rows());
        for (MapIndex i = first; i < end; ++i) {
            if (!family.has_row(i) || family.state(i) != TaskState::removed) continue;
            auto& instance = run.at(run.key(task, i));
            wipe(run, instance);
            change(run, instance, TaskState::none, {"mapping"});
        }
        family.grow(known.length);
        run.unfinished += more;
        for (const TaskNo down : run.task(task).downstream) {
            const Kin reach = reach_of(run, task, down);
            if (reach == Kin::same) continue;
            if (reach != Kin::none) {
                look_at_kin(run, run.key(task, outer), down, reach);
                continue;
            }
            run.family(down).up.total += more;
            run.family(down).seen.reset();
            unsettled_.push(run, run.key(down));
        }
    }
}

/// Lists of which every instance was cleared are made anew; until then the instances wait.
void Scheduler::Impl::forget_lists(Run& run, MapNo map) {
    const auto& mapping = run.plan->dag->mappings[static_cast<std::size_t>(map)];
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    if (mapping.length || !known.nest) return;
    for (MapIndex outer = 0; outer < static_cast<MapIndex>(known.nest->parts.size()); ++outer) {
        auto& part = known.nest->part(outer);
        bool any = part.length >= 0;
        for (std::size_t i = 0; any && i < mapping.tasks.size(); ++i) {
            const Family& family = run.family(mapping.tasks[i]);
            if (family.nest == nullptr) continue;
            const auto& counts = family.of_outer(outer);
            any = counts.done() == 0;
            if (!any) break;
            known.nest->each(outer, [&](MapIndex place) {
                const TaskState state = family.state(place);
                any = any && (state == TaskState::none || state == TaskState::removed);
            });
        }
        if (!any) continue;
        part.length = -1;
        touch(run);
        MapLength row;
        row.blocks = part.blocks;
        put_list(run, map, outer, std::move(row));
        for (const TaskNo task : mapping.tasks)
            known.nest->each(outer, [&](MapIndex i) {
                if (run.family(task).nest == nullptr) return;
                unready(run, run.key(task, i));
                unsettled_.push(run, run.key(task, i));
            });
    }
}

/// The answer to an order for a list.
Taken Scheduler::Impl::take_list(Run& run, const Expanded& event) {
    auto& known = run.expansions[static_cast<std::size_t>(event.map)];
    if (!known.nest || static_cast<std::size_t>(event.outer) >= known.nest->parts.size())
        return Taken::yes;
    auto& part = known.nest->part(event.outer);
    if (part.asked_by == no_task || part.serial != event.serial) return Taken::yes;
    if (is_touched(run)) return Taken::next_turn;
    const TaskKey asked = run.key(part.asked_by, part.asked_at);
    part.asked_by = no_task;
    --run.waiting;
    check_later(run);
    if (event.length && has_places(known, event.outer, *event.length)) {
        MapLength list{run.row.key, event.map, *event.length, event.serial, event.shape};
        list.outer = event.outer;
        set_list(run, list);
        return Taken::yes;
    }
    // Another task of the group that may run asks for itself.
    for (const TaskNo other : run.plan->dag->mappings[static_cast<std::size_t>(event.map)].tasks)
        known.nest->each(event.outer, [&](MapIndex i) {
            if (run.key(other, i) != asked) unsettled_.push(run, run.key(other, i));
        });
    fail_list(run, asked, event);
    return Taken::yes;
}

}  // namespace sluice::core
