// clearing.cpp — making instances run again: which ones a clear means, and what it does to them.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

/// Of a task: nothing, some map indexes, or all there is.
struct Chosen {
    bool all{false};
    std::set<MapIndex> some;

    /// False if that adds nothing.
    bool add(const Chosen& other) {
        if (all) return false;
        if (other.all) {
            all = true;
            return true;
        }
        const auto before = some.size();
        some.insert(other.some.begin(), other.some.end());
        return some.size() > before;
    }
};

/// The run has it already; a task that its plan will bring has no instances yet.
bool has_family(const Run& run, TaskNo task) {
    return static_cast<std::size_t>(task) < run.tasks.size();
}

/// The instances of `to` that the chosen ones of `from` lead to, by the mappings that they share.
Chosen led_to(const Run& run, TaskNo from, TaskNo to, const Chosen& chosen, bool same) {
    if (chosen.all) return chosen;
    const Family& family = run.family(to);
    Chosen reached;
    for (const MapIndex index : chosen.some) {
        const MapIndex outer = run.family(from).outer_of(index);
        if (same)
            reached.some.insert(index);
        else if (family.nest != nullptr)
            family.nest->each(outer, [&](MapIndex i) { reached.some.insert(i); });
        else
            reached.some.insert(outer);
    }
    return reached;
}

/// Adds everything reachable from the chosen tasks over `next`; within a mapped group an index
/// leads to the same index.
void add_reachable(
    const Run& run,
    const Dag& dag,
    std::vector<Chosen>& chosen,
    const std::vector<TaskNo> Task::* next
) {
    std::vector<TaskNo> open;
    for (std::size_t i = 0; i < chosen.size(); ++i)
        if (chosen[i].all || !chosen[i].some.empty()) open.push_back(static_cast<TaskNo>(i));
    while (!open.empty()) {
        const TaskNo from = open.back();
        open.pop_back();
        const auto& task = dag.tasks[static_cast<std::size_t>(from)];
        for (const TaskNo to : task.*next) {
            const bool down = next == &Task::downstream;
            const Kin reach = reach_of(dag, down ? from : to, down ? to : from);
            const bool by_index = reach != Kin::none && has_family(run, to) &&
                                  run.family(to).is_expanded() && has_family(run, from) &&
                                  run.family(from).is_expanded();
            Chosen reached{true, {}};
            if (by_index)
                reached = led_to(
                    run, from, to, chosen[static_cast<std::size_t>(from)], reach == Kin::same
                );
            if (chosen[static_cast<std::size_t>(to)].add(reached)) open.push_back(to);
        }
    }
}

/// Work is done again between its setups and their teardowns: all instances of these come along.
template <class Which>
void add_setups(const Run& run, const Dag& dag, std::vector<Which>& which) {
    if (std::ranges::none_of(dag.tasks, &Task::is_setup)) return;
    std::set<TaskNo> along;
    for (const auto& [task, lo, hi] : which)
        for (const TaskNo other : setups_and_teardowns(dag, task)) along.insert(other);
    for (const TaskNo task : along) {
        if (!has_family(run, task)) continue;
        std::erase_if(which, [&](const Which& one) { return one.task == task; });
        const auto& family = run.family(task);
        const auto born = [&](MapIndex index) {
            const TaskState state = family.state(index);
            return state != TaskState::none && state != TaskState::removed;
        };
        if (!family.is_expanded() && born(unmapped)) which.push_back({task, unmapped, unmapped});
        for (MapIndex i = 0; i < family.length(); ++i)
            if (born(i)) which.push_back({task, i, i});
    }
    std::ranges::sort(which, {}, [](const Which& one) { return std::pair(one.task, one.lo); });
}

}  // namespace

/// The keys as ranges of map indexes; one without index means all of a mapped task. All of the run
/// if none is named.
std::vector<Scheduler::Impl::Indexes> Scheduler::Impl::named(
    const Run& run, const std::vector<TaskKey>& tasks
) {
    std::vector<Indexes> result;
    const auto add = [&](TaskNo task, MapIndex index) {
        const auto& family = run.family(task);
        if (index != unmapped || !family.is_expanded())
            result.push_back({task, index, index});
        else
            result.push_back({task, 0, family.length() - 1});
    };
    for (const TaskKey& key : tasks) add(key.task, key.map_index);
    if (tasks.empty())
        for (const auto& family : run.tasks) add(family.one.row.key.task, unmapped);
    return result;
}

/// The instances that a clear means, in order; all of the run's if none is named. `plan` is the
/// run's, or the one that it will have.
std::vector<Scheduler::Impl::Indexes> Scheduler::Impl::select(
    const Run& run, const Plan& plan, const std::vector<TaskKey>& tasks, const Scope& scope
) {
    const Dag& dag = *plan.dag;
    std::vector<Chosen> chosen(dag.tasks.size());
    for (std::size_t i = 0; i < chosen.size(); ++i)
        chosen[i].all = tasks.empty() && !plan.is_outside(static_cast<TaskNo>(i));
    for (const TaskKey& key : tasks) {
        auto& of_task = chosen[static_cast<std::size_t>(key.task)];
        if (key.map_index == unmapped)
            of_task.all = true;
        else
            of_task.some.insert(key.map_index);
    }
    auto above = chosen;
    if (scope.upstream) add_reachable(run, dag, above, &Task::upstream);
    if (scope.downstream) add_reachable(run, dag, chosen, &Task::downstream);
    std::vector<Indexes> result;
    const auto look = [&](TaskNo task, MapIndex index) {
        const TaskState state = run.family(task).state(index);
        if (state == TaskState::none || state == TaskState::removed) return;
        if (scope.only_failed && !is_failure(state)) return;
        if (scope.only_running && !holds_slots(state)) return;
        if (!result.empty() && result.back().task == task && result.back().hi + 1 == index)
            ++result.back().hi;
        else
            result.push_back({task, index, index});
    };
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        (void)chosen[i].add(above[i]);
        const auto task = static_cast<TaskNo>(i);
        if (!has_family(run, task) || dag.tasks[i].gone) continue;
        const auto& family = run.family(task);
        if (chosen[i].all && !family.is_expanded()) look(task, unmapped);
        for (MapIndex index = 0; chosen[i].all && index < family.length(); ++index)
            look(task, index);
        if (chosen[i].all) continue;
        for (const MapIndex index : chosen[i].some)
            if (index < family.length()) look(task, index);
    }
    const bool everything = tasks.empty() && !scope.only_failed && !scope.only_running;
    if (!everything) add_setups(run, dag, result);
    return result;
}

/// The instances in the answer: the first of very many.
void Scheduler::Impl::show(const Run& run, const std::vector<Indexes>& which, Answer& reply) {
    constexpr std::size_t most = 10'000;
    for (const auto& [task, lo, hi] : which) {
        reply.affected += hi - lo + 1;
        for (MapIndex i = lo; i <= hi && reply.instances.size() < most; ++i)
            reply.instances.push_back(run.family(task).row(i));
    }
}

void Scheduler::Impl::clear(Run& run, const Indexes& which, const Cause& cause) {
    clear_rows(run, which, cause);
    clear_done(run, which.task);
}

void Scheduler::Impl::clear_rows(Run& run, const Indexes& which, const Cause& cause) {
    drop_ending(run);
    each_range(
        run,
        which,
        [](TaskState state) { return state != TaskState::none && state != TaskState::removed; },
        [&](const MapRange& range) { change_range(run, range, TaskState::none, cause, ""); },
        [&](MapIndex i) { clear_instance(run, run.at(run.key(which.task, i)), cause); }
    );
}

void Scheduler::Impl::clear_done(Run& run, TaskNo task) {
    // Ranges are evaluated as a whole.
    run.family(task).seen.reset();
    unsettled_.push(run, run.key(task));
    forget_length(run, run.family(task).mapping);
}

void Scheduler::Impl::clear_all(Run& run, const Cause& cause) {
    for (const auto& which : named(run, {}))
        if (!run.plan->is_outside(which.task)) clear(run, which, cause);
}

/// None if every key names a task of the run; else what is wrong.
std::optional<std::string> Scheduler::Impl::bad_key(
    const Run& run, const std::vector<TaskKey>& tasks
) {
    for (const TaskKey& key : tasks) {
        // A mapping of before may have had more instances.
        const bool is_there = run.has(key) && (key.map_index == unmapped ||
                                               key.map_index < run.family(key.task).length());
        if (!is_there) return "run \"" + run.row.run_id + "\" has no such task instance";
    }
    return std::nullopt;
}

/// The instance has all its tries again, and remembers nothing.
void Scheduler::Impl::renew(Run& run, Instance& instance) {
    auto& row = instance.row;
    row.max_tries = row.try_number + run.task(row.key.task).retries;
    forget_choice(run, row.key);
    row.attempts_since_clear = 0;
    if (row.starts > 0) turn_->checkpoints_dropped.push_back(row.key);
    row.lost_in_a_row = 0;
}

/// Before an instance begins anew: what is known of its attempt goes to history, and from its row.
void Scheduler::Impl::wipe(Run& run, Instance& instance) {
    auto& row = instance.row;
    renew(run, instance);
    if (row.start_date) {
        const bool stopped = holds_slots(row.state);
        put_record(instance, stopped ? TaskState::restarting : row.state, false);
    }
    row.scheduled_at.reset();
    row.queued_at.reset();
    row.start_date.reset();
    row.end_date.reset();
    row.next_try_at.reset();
    row.error_class = ErrorClass::none;
    row.error.clear();
    row.note.clear();
}

void Scheduler::Impl::clear_instance(Run& run, Instance& instance, const Cause& cause) {
    auto& row = instance.row;
    if (row.state == TaskState::none || row.state == TaskState::restarting) return;
    if (holds_slots(row.state)) {
        renew(run, instance);
        // Its attempt is ended first; the slot stays taken until it has.
        turn_->cancels.push_back({{row.key, row.starts}, CancelReason::user});
        change(run, instance, TaskState::restarting, cause);
        return;
    }
    wipe(run, instance);
    change(run, instance, TaskState::none, cause);
    unsettled_.push(run, row.key);
}

/// A finished run is queued again. It starts in a later turn: its row changes once a turn.
void Scheduler::Impl::reopen(Run& run, const Cause& cause) {
    SLUICE_CHECK(is_finished(run.row.state));
    ++run.row.clear_number;
    run.row.start_date.reset();
    run.row.end_date.reset();
    run.row.reason.clear();
    run.row.queued_at = now_;
    run.cleared = turn_no_;
    change_run(run, RunState::queued, cause);
    if (run.row.type == RunType::scheduled) ++run.dag->open_automated;
    if (run.row.type == RunType::asset_triggered) ++run.dag->open_asset_runs;
    enqueue(run);
    watch_deadlines(run);
    past_changed(run, no_task);
}

/// The keys, and those of tasks that only `plan` has; none if a name is not known at all.
std::optional<std::vector<TaskKey>> Scheduler::Impl::keys_of(
    const Run& run, const Plan& plan, const ClearTasks& event
) {
    std::vector<TaskKey> keys = event.tasks;
    for (const auto& id : event.new_tasks) {
        const TaskNo task = find_task(*plan.dag, id);
        if (task == no_task) return std::nullopt;
        keys.push_back(run.key(task));
    }
    return keys;
}

Taken Scheduler::Impl::on(const ClearTasks& event) {
    const auto no = [&](std::string why) {
        refuse(event.request, ErrorCode::not_found, std::move(why));
        return Taken::yes;
    };
    Run* run = find_or_load(event.run, event.stored);
    if (run == nullptr) return no("no such DAG run");
    if (is_touched(*run)) return Taken::next_turn;
    if (run->tasks.empty()) make_instances(*run);
    if (const auto wrong = bad_key(*run, event.tasks)) return no(*wrong);
    Plan& plan = event.onto ? plan_of(event.onto, *run->dag, run->row) : *run->plan;
    // A form that was made for a look only has no other owner.
    const auto drop_plan = [&, at = &plan] { forget_plan(at, *run->dag); };
    const auto keys = keys_of(*run, plan, event);
    if (!keys) {
        drop_plan();
        return no("run \"" + run->row.run_id + "\" has no such task instance");
    }
    const Scope scope{event.upstream, event.downstream, event.only_failed, event.only_running};
    std::vector<Indexes> chosen;
    if (!event.only_new) chosen = select(*run, plan, *keys, scope);
    const bool moves = &plan != run->plan && (!chosen.empty() || brings_tasks(*run, plan));
    auto& reply = answer(event.request);
    if (event.dry_run) {
        show(*run, chosen, reply);
        reply.run = run->row;
        drop_plan();
        return Taken::yes;
    }
    const Cause cause{"clear", event.actor.user};
    if (moves)
        move_onto(*run, plan, cause);
    else
        drop_plan();
    const bool changed = moves || !chosen.empty();
    const bool reopens = is_finished(run->row.state) && event.reset_dag_runs && changed;
    // A run that stays ended is forgotten with the turn: then all is done in it.
    if (is_finished(run->row.state) && !reopens)
        for (const auto& which : chosen) clear(*run, which, cause);
    else
        clear_many(*run, chosen, scope, cause);
    if (reopens) reopen(*run, cause);
    show(*run, chosen, reply);
    reply.run = run->row;
    audit(
        event.actor,
        "clear",
        {run->row.dag_id, run->row.run_id},
        fmt::format(
            R"({{"cleared":{},"only_failed":{},"only_running":{},"upstream":{},"downstream":{},)"
            R"("moved_to_version":{}}})",
            reply.affected,
            event.only_failed,
            event.only_running,
            event.upstream,
            event.downstream,
            moves ? std::to_string(run->plan->dag->version_number) : "null"
        )
    );
    return Taken::yes;
}

}  // namespace sluice::core
