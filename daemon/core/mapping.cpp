// mapping.cpp — mapped tasks: how many instances a mapping has, and what happens to all of a
// task's instances at once. What a million of them share is decided once, not a million times.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {

/// Looks at instances of a task again after an upstream changed. A key without a map index means
/// all of them.
void Scheduler::Impl::evaluate(Run& run, const TaskKey& key) {
    if (run.row.state != RunState::running) return;
    if (run.moved == turn_no_) return hold_over(run, key);
    if (run.clearing) return;
    Family& family = run.family(key.task);
    if (family.is_expanded() && key.map_index == unmapped)
        evaluate_all(run, family);
    else  // one that is not expanded yet looks at its upstreams' instances all together
        evaluate_one(run, family.is_expanded() ? key : run.key(key.task));
}

void Scheduler::Impl::evaluate_one(Run& run, const TaskKey& key) {
    if (run.state(key) != TaskState::none || key.map_index >= run.family(key.task).size()) return;
    // A list that became known after the end was decided: nothing begins any more but teardowns.
    if (run.ending && !run.ending->stop && !run.task(key.task).is_teardown)
        return mark_by_rule(run, key, {Verdict::Kind::mark, TaskState::skipped});
    const Verdict verdict = verdict_of(run, key, key.map_index);
    switch (verdict.kind) {
        case Verdict::Kind::wait:
            stop_asking(run, key);
            unready(run, key);
            return;
        case Verdict::Kind::run:
            if (key.map_index == unmapped && run.family(key.task).mapping != no_map)
                expand_or_ask(run, run.family(key.task));
            else if (run.family(key.task).nest == nullptr || is_listed(run, key))
                make_ready(run, key);
            return;
        case Verdict::Kind::mark:
            stop_asking(run, key);
            mark_by_rule(run, key, verdict);
            return;
    }
}

void Scheduler::Impl::mark_by_rule(Run& run, const TaskKey& key, const Verdict& verdict) {
    auto& instance = run.at(key);
    if (instance.touched == turn_no_) {
        hold_over(run, key);
        return;
    }
    instance.row.end_date = now_;
    change(run, instance, verdict.state, {verdict.branch ? "branch" : "trigger_rule"});
}

/// Decided once for all while what is known of the upstreams stays the same.
void Scheduler::Impl::evaluate_all(Run& run, Family& family) {
    const TaskNo task = family.one.row.key.task;
    const auto signature = family.up.signature();
    if (family.seen == signature) return;
    family.seen = signature;
    if (is_judged_by_index(run, task)) {
        for (MapIndex i = 0; i < family.length(); ++i)
            if (family.state(i) == TaskState::none) evaluate_one(run, run.key(task, i));
        return;
    }
    const Verdict verdict = verdict_of(run, run.key(task), 0);
    switch (verdict.kind) {
        case Verdict::Kind::wait:
            for (MapIndex i = family.next_ready(0); i != unmapped; i = family.next_ready(i + 1))
                if (family.state(i) == TaskState::none) unready(run, run.key(task, i));
            return;
        case Verdict::Kind::run:
            family.ready_since = now_;
            for (MapIndex i = 0; i < family.length(); ++i)
                if (family.state(i) == TaskState::none) make_ready(run, run.key(task, i));
            return;
        case Verdict::Kind::mark:
            each_range(
                run,
                {task, 0, family.length() - 1},
                [](TaskState state) { return state == TaskState::none; },
                [&](const MapRange& range) {
                    const auto* cause = verdict.branch ? "branch" : "trigger_rule";
                    change_range(run, range, verdict.state, {cause}, "");
                },
                [&](MapIndex i) { mark_by_rule(run, run.key(task, i), verdict); }
            );
            return;
    }
}

// ---- how many

/// The dependencies of a mapped task are met: it gets its instances, or their number is asked for.
void Scheduler::Impl::expand_or_ask(Run& run, Family& family) {
    const TaskNo task = family.one.row.key.task;
    const MapNo map = top_of(*run.plan->dag, family.mapping);
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    const auto& mapping = run.plan->dag->mappings[static_cast<std::size_t>(map)];
    if (known.length > 0 && map != family.mapping) {
        open_nest(run, family.mapping);
    } else if (known.length > 0) {
        expand(run, family, known.length);
    } else if (known.length == 0) {
        mark_by_rule(run, run.key(task), {Verdict::Kind::mark, TaskState::skipped});
    } else if (mapping.length) {
        set_length(run, map, *mapping.length, 0, "{}");
    } else if (known.asked_by == no_task) {
        known.asked_by = task;
        known.serial = last_seq_.value + 1;
        ++run.waiting;
        auto& order = turn_->expands.emplace_back();
        order.run_key = run.row.key;
        order.map = map;
        order.serial = known.serial;
        order.dag = run.plan->dag;
        if (!run.shared) run.shared = std::make_shared<const DagRun>(run.row);
        order.run = run.shared;
    }
}

/// The task that asked waits again, or needs no answer: whoever still does asks anew.
void Scheduler::Impl::stop_asking(Run& run, const TaskKey& key) {
    const TaskNo task = key.task;
    if (run.family(task).mapping == no_map) return;
    if (key.map_index != unmapped) return stop_asking_list(run, key);
    const MapNo map = top_of(*run.plan->dag, run.family(task).mapping);
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    if (known.asked_by != task) return;
    known.asked_by = no_task;
    --run.waiting;
    check_later(run);
    each_mapped(*run.plan->dag, map, [&](TaskNo other) {
        if (other != task) unsettled_.push(run, run.key(other));
    });
}

void Scheduler::Impl::set_length(
    Run& run, MapNo map, std::int32_t length, std::int64_t serial, std::string shape
) {
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    known.length = length;
    touch(run);
    std::erase_if(turn_->map_lengths, [&](const MapLength& old) {
        return old.run == run.row.key && old.map == map;
    });
    turn_->map_lengths.push_back({run.row.key, map, length, serial, std::move(shape)});
    for (const TaskNo task : run.plan->dag->mappings[static_cast<std::size_t>(map)].tasks) {
        auto& family = run.family(task);
        if (length > 0 && !family.is_expanded() && family.one.row.state == TaskState::none)
            expand(run, family, length);
        unsettled_.push(run, run.key(task));
    }
    const auto& mappings = run.plan->dag->mappings;
    for (std::size_t inside = 0; inside < mappings.size(); ++inside)
        if (mappings[inside].outer == map) open_nest(run, static_cast<MapNo>(inside));
}

void Scheduler::Impl::expand(Run& run, Family& family, std::int32_t length) {
    const TaskNo task = family.one.row.key.task;
    // Rows of a mapping before: a longer one's are removed, and come back when it is long again.
    for (MapIndex i = 0; i < family.end_of_rows(); ++i) {
        const bool is_removed = family.state(i) == TaskState::removed;
        if (!family.has_row(i) || is_removed != (i < length)) continue;
        auto& instance = run.at(run.key(task, i));
        if (is_removed) wipe(run, instance);
        change(run, instance, is_removed ? TaskState::none : TaskState::removed, {"mapping"});
    }
    family.expand(length);
    count_instances(run, task, length - 1);
    unsettled_.push(run, run.key(task));
}

/// The task has that many more instances, all in `none`.
void Scheduler::Impl::count_instances(Run& run, TaskNo task, std::int32_t more) {
    run.unfinished += more;
    for (const TaskNo down : run.task(task).downstream) {
        if (reach_of(run, task, down) == Kin::none) run.family(down).up.total += more;
        run.family(down).seen.reset();
        unsettled_.push(run, run.key(down));
    }
}

/// Every instance was cleared: how many there are is found out anew.
void Scheduler::Impl::forget_length(Run& run, MapNo map) {
    if (map == no_map) return;
    const Dag& dag = *run.plan->dag;
    if (const MapNo top = top_of(dag, map); top != map) {
        forget_lists(run, map);
        map = top;
    }
    const auto& mapping = run.plan->dag->mappings[static_cast<std::size_t>(map)];
    auto& known = run.expansions[static_cast<std::size_t>(map)];
    if (mapping.length || known.length < 0) return;
    bool all = true;
    each_mapped(dag, map, [&](TaskNo task) {
        const auto& family = run.family(task);
        all = all && !(family.is_expanded() && family.count(TaskState::none) < family.present());
    });
    if (!all) return;
    known.length = -1;
    std::erase_if(turn_->map_lengths, [&](const MapLength& old) {
        return old.run == run.row.key && old.map == map;
    });
    turn_->map_lengths.push_back({run.row.key, map, -1, 0, "{}"});
    touch(run);
    each_mapped(dag, map, [&](TaskNo task) {
        auto& family = run.family(task);
        if (family.is_expanded()) {
            for (MapIndex i = family.next_ready(0); i != unmapped; i = family.next_ready(i + 1))
                unready(run, run.key(task, i));
            SLUICE_CHECK(family.count(TaskState::none) == family.present());
            count_instances(run, task, 1 - family.present());
            family.fold();
        }
        unsettled_.push(run, run.key(task));
    });
    for (std::size_t inside = 0; inside < dag.mappings.size(); ++inside)
        if (dag.mappings[inside].outer == map) close_nest(run, static_cast<MapNo>(inside));
}

Taken Scheduler::Impl::on(const Expanded& event) {
    Run* run = find_run(event.run);
    if (run == nullptr || run->tasks.empty() || run->row.state != RunState::running)
        return Taken::yes;
    if (event.outer != unmapped) return take_list(*run, event);
    auto& known = run->expansions[static_cast<std::size_t>(event.map)];
    if (known.asked_by == no_task || known.serial != event.serial) return Taken::yes;
    if (is_touched(*run)) return Taken::next_turn;
    const TaskNo task = known.asked_by;
    known.asked_by = no_task;
    --run->waiting;
    check_later(*run);
    if (event.length) {
        set_length(*run, event.map, *event.length, event.serial, event.shape);
        return Taken::yes;
    }
    // Another task of the group that may run asks for itself.
    each_mapped(*run->plan->dag, event.map, [&](TaskNo other) {
        if (other != task) unsettled_.push(*run, run->key(other));
    });
    auto& instance = run->family(task).one;
    if (instance.row.state != TaskState::none) return Taken::yes;
    instance.row.end_date = now_;
    instance.row.error = event.error;
    instance.row.error_class = event.error_class;
    change(*run, instance, TaskState::failed, {"expand"});
    fail_fast(*run, instance);
    return Taken::yes;
}

// ---- ranges

/// Goes over the instances whose state is wanted: those without rows range by range, the others
/// one by one.
void Scheduler::Impl::each_range(
    Run& run,
    const Indexes& over,
    const std::function<bool(TaskState)>& wanted,
    const std::function<void(const MapRange&)>& range,
    const std::function<void(MapIndex)>& single
) {
    Family& family = run.family(over.task);
    MapIndex i = over.lo;
    while (i <= over.hi) {
        const TaskState state = family.state(i);
        if (!wanted(state)) {
            ++i;
            continue;
        }
        const auto alike = [&](MapIndex other) {
            return family.state(other) == state && !family.has_row(other) &&
                   (state == TaskState::none || is_finished(state));
        };
        MapIndex end = i;
        while (end <= over.hi && alike(end)) ++end;
        if (end - i < 2) {
            single(i++);
            continue;
        }
        MapRange found;
        found.run = run.row.key;
        found.task = over.task;
        found.lo = i;
        found.hi = end - 1;
        found.state = state;
        range(found);
        i = end;
    }
}

/// `change` for many at once: one row and one line in the log.
void Scheduler::Impl::change_range(
    Run& run, MapRange range, TaskState to, const Cause& cause, const std::string& note
) {
    const TaskState from = range.state;
    SLUICE_CHECK(legal(from, to));
    Family& family = run.family(range.task);
    const auto count = range.hi - range.lo + 1;
    for (MapIndex i = family.next_ready(range.lo); i != unmapped && i <= range.hi;
         i = family.next_ready(i + 1))
        unready(run, run.key(range.task, i));
    for (auto at = family.live().lower_bound(range.lo);
         at != family.live().end() && at->first <= range.hi;)
        at = family.live().erase(at);
    run.unfinished +=
        count * (static_cast<int>(is_finished(from)) - static_cast<int>(is_finished(to)));
    for (const TaskNo down : run.task(range.task).downstream) {
        auto& below = run.family(down);
        if (reach_of(run, range.task, down) != Kin::none)
            below.seen.reset();
        else
            below.up.move(from, to, count, family.nest != nullptr);
        unsettled_.push(run, run.key(down));
    }
    look_beyond(run, range.task);
    check_later(run);
    if (to == TaskState::none && !run.deadlines.empty()) foresee_later(run, now_);
    touch(run);
    put_transition(run, range.task, static_cast<int>(from), static_cast<int>(to), cause);
    auto& log = turn_->transitions.back();
    log.map_lo = range.lo;
    log.map_hi = range.hi;
    range.seq = log.seq;
    range.state = to;
    range.at = now_;
    range.note = note;
    family.set_range(range);
    turn_->map_ranges.push_back(std::move(range));
}

}  // namespace sluice::core
