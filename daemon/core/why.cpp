// why.cpp — what keeps a DAG, a run or an instance from going on, by the predicates that the
// scheduler itself uses.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

constexpr std::size_t most_holders = 5;

std::string_view limit_name(const Gate& gate, const Run& run) {
    switch (gate.kind) {
        case Origin::run_gate:
            return "max_active_tasks_per_run";
        case Origin::run_task_gate:
            return "max_active_tis_per_dagrun";
        case Origin::dag_gate:
            return &gate == &run.dag->tasks_gate ? "max_active_tasks_per_dag"
                                                 : "max_active_tis_per_dag";
        case Origin::ready:
            break;
    }
    return "";
}

std::string instance_name(const Run& run, const TaskKey& key) {
    auto name = fmt::format("{}.{}.{}", run.row.dag_id, run.row.run_id, run.task(key.task).id);
    return key.map_index == unmapped ? name : fmt::format("{}[{}]", name, key.map_index);
}

/// "its list": of what is mapped inside a mapped group, whose list.
std::string list_name(const Family& family, MapIndex index) {
    if (family.nest == nullptr) return "its list of items";
    return fmt::format("the list of items of index {} of its group", family.outer_of(index));
}

bool is_being_listed(const Run& run, const Family& family, MapIndex index) {
    if (family.mapping == no_map) return false;
    if (!family.is_expanded())
        return run.expansions[static_cast<std::size_t>(top_of(*run.plan->dag, family.mapping))]
                   .asked_by != no_task;
    return family.nest != nullptr && index != unmapped &&
           family.nest->part(family.outer_of(index)).asked_by != no_task;
}

/// "3 of its 5 instances"; "" of a task that has only one.
std::string unfinished_part(const Family& family) {
    if (!family.is_expanded()) return {};
    std::int32_t open = 0;
    for (MapIndex i = 0; i < family.length(); ++i) open += is_finished(family.state(i)) ? 0 : 1;
    return fmt::format(" ({} of its {} instances)", open, family.present());
}

/// The same of those of an outer instance.
std::string unfinished_part(const Family& family, MapIndex outer) {
    const auto& counts = family.of_outer(outer);
    return fmt::format(
        " ({} of its {} instances of index {})", counts.total - counts.done(), counts.total, outer
    );
}

}  // namespace

/// Up to five attempts and pokes that hold slots and of which `counts` says that they matter.
std::string Scheduler::Impl::holders(const std::function<bool(const Run&, TaskNo)>& counts) const {
    struct Holder {
        Instant since;
        const Run* run;
        TaskKey key;
    };
    std::vector<Holder> found;
    const auto holds = [this](const TaskInstance& row) {
        if (!is_poked(row.state)) return holds_slots(row.state);
        const auto wait = waits_.find(row.key);
        return wait != waits_.end() && wait->second.poke != 0;
    };
    for (const auto& [key, run] : runs_) {
        if (run->active == 0) continue;
        run->each_live([&, &run = *run](const Instance& instance) {
            const auto& row = instance.row;
            if (holds(row) && counts(run, row.key.task))
                found.push_back({row.start_date.value_or(now_), &run, row.key});
        });
    }
    const auto shown = std::min(found.size(), most_holders);
    std::ranges::partial_sort(
        found,
        found.begin() + static_cast<std::ptrdiff_t>(shown),
        {},
        [](const Holder& holder) { return std::pair(holder.since, holder.key); }
    );
    std::string text;
    for (std::size_t i = 0; i < shown; ++i)
        text += (i == 0 ? "" : ", ") + instance_name(*found[i].run, found[i].key);
    if (found.size() > shown) text += fmt::format(", and {} more", found.size() - shown);
    return text;
}

Reasons Scheduler::Impl::why_dag(const DagEntry& dag) const {
    Reasons reasons;
    const auto add = [&](std::string condition, std::string text) -> Reason& {
        return reasons.emplace_back(
            Reason{std::move(condition), std::move(text), dag.state.dag_id, {}, {}}
        );
    };
    if (dag.current == nullptr) {
        add("no_definition", "no definition of the DAG can be read");
        return reasons;
    }
    const Dag& version = *dag.current->dag;
    if (dag.state.is_paused) add("dag_paused", "the DAG is paused: un-pause it");
    if (dag.state.is_stale) add("dag_stale", "the DAG's file is gone: no new runs are made");
    if (version.schedule.assets) why_assets(dag, reasons);
    if (version.schedule.kind == ScheduleKind::none) {
        if (version.schedule.assets) return reasons;
        add("no_schedule", "the DAG has no schedule: its runs are triggered");
        return reasons;
    }
    const auto& next = dag.state.next_run_after;
    if (!next && dag.timetable->kind() != ScheduleKind::continuous)
        add("no_next_run", "the schedule has no further run (see start_date and end_date)");
    if (next && *next > now_) {
        auto& reason = add("run_after", fmt::format("the next run is due at {}", format_z(*next)));
        reason.until = next;
    }
    if (!has_room_for_automated(dag))
        add("max_active_runs",
            fmt::format(
                "{} scheduled runs are open, of at most {} (max_active_runs)",
                dag.open_automated,
                most_automated(dag)
            ));
    return reasons;
}

Reasons Scheduler::Impl::why_run(const Run& run) const {
    Reasons reasons;
    const DagEntry& dag = *run.dag;
    const auto add = [&](std::string condition, std::string text, std::string object) -> Reason& {
        return reasons.emplace_back(
            Reason{std::move(condition), std::move(text), std::move(object), run.row.queued_at, {}}
        );
    };
    if (run.row.state != RunState::queued) return reasons;
    if (dag.current == nullptr)
        add("no_definition", "no definition of the DAG can be read", dag.state.dag_id);
    if (dag.state.is_paused) add("dag_paused", "the DAG is paused: un-pause it", dag.state.dag_id);
    const auto at = run.row.backfill ? backfills_.find(*run.row.backfill) : backfills_.end();
    if (at != backfills_.end()) {
        const auto& backfill = at->second;
        const auto name = fmt::format("backfill {}", at->first.value);
        // Nothing but pause and unpause changes a backfill that is at work.
        if (backfill.row.is_paused)
            add("backfill_paused", name + " is paused", name).since = backfill.row.updated_at;
        if (!has_room(backfill))
            add("backfill_max_active_runs",
                fmt::format(
                    "{} runs of {} are active, of at most {}",
                    backfill.running,
                    name,
                    backfill.row.max_active_runs
                ),
                name);
        const auto first = backfill.queued.begin()->first;
        if (const int before = run.row.backfill_ordinal - first; before > 0)
            add("backfill_order", fmt::format("{} starts its runs in order", name), name);
    }
    if (run.clearing) add("clearing", "its task instances are being cleared", run.row.run_id);
    if (!is_due(run)) {
        add("run_after",
            fmt::format("its time comes at {}", format_z(run.row.run_after)),
            run.row.run_id)
            .until = run.row.run_after;
    }
    if (at == backfills_.end() && dag.current != nullptr && !has_room(dag))
        add("max_active_runs",
            fmt::format(
                "{} runs of the DAG are active, of at most {} (max_active_runs)",
                dag.running_runs,
                dag.current->dag->max_active_runs
            ),
            dag.state.dag_id);
    return reasons;
}

/// The slots and limits that an attempt of the instance would not fit into now. What the instance
/// itself holds it would have back.
void Scheduler::Impl::why_slots(Run& run, const TaskKey& key, Reasons& reasons) {
    Family& family = run.family(key.task);
    const auto* live = family.find_live(key.map_index);
    std::optional<Instant> since;
    if (family.is_ready(key.map_index))
        since = live != nullptr && live->ready_since != Instant{} ? live->ready_since
                                                                  : ready_since(run, key);
    const auto add = [&](std::string condition, std::string text, std::string object) {
        reasons.push_back({std::move(condition), std::move(text), std::move(object), since, {}});
    };
    const int own = holds_slots(run.state(key)) ? 1 : 0;
    if (!has_room(own))
        add("parallelism",
            fmt::format(
                "{} attempts run, of at most {} (parallelism)", running_, settings_.parallelism
            ),
            "");
    for (const Gate* full : gates_of(run, key.task)) {
        if (full == nullptr || !full->is_full(own)) continue;
        const Gate& gate = *full;
        const bool of_run = gate.kind == Origin::run_gate || gate.kind == Origin::run_task_gate;
        const bool of_task = &gate != &run.gate && &gate != &run.dag->tasks_gate;
        const auto who = holders([&](const Run& other, TaskNo task) {
            return other.dag == run.dag && (!of_run || &other == &run) &&
                   (!of_task || other.task(task).id == run.task(key.task).id);
        });
        add(std::string{limit_name(gate, run)},
            fmt::format(
                "{} of at most {} attempts run ({}): {}",
                gate.active,
                *gate.most,
                limit_name(gate, run),
                who
            ),
            of_run ? run.row.run_id : run.row.dag_id);
    }
    why_pools(run, key, add);
}

void Scheduler::Impl::why_pools(Run& run, const TaskKey& key, const AddReason& add) {
    const auto lane_of = [](const Run& of, TaskNo task) {
        return of.plan->tasks[static_cast<std::size_t>(task)].lane;
    };
    const Demand& demand = queue_.demand(lane_of(run, key.task));
    const auto wait = waits_.find(key);
    const bool deferred = wait != waits_.end() && wait->second.in_pool;
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i) {
        const auto& part = demand.parts[i];
        const auto& entry = pools_.all()[static_cast<std::size_t>(part.pool)];
        const bool own =
            holds_slots(run.state(key)) || (deferred && i == 0 && entry.pool.include_deferred);
        if (!entry.exists) {
            add("pool",
                fmt::format("there is no pool \"{}\": make it", entry.pool.name),
                entry.pool.name);
        } else if (!pools_.fits(Demand::Part{part.pool, own ? 0 : part.amount})) {
            const auto who = holders([&](const Run& other, TaskNo task) {
                const auto& taken = queue_.demand(lane_of(other, task));
                return std::any_of(
                    taken.parts.begin(),
                    taken.parts.begin() + taken.size,
                    [&](auto& p) { return p.pool == part.pool; }
                );
            });
            const bool never = entry.pool.slots >= 0 && !own && part.amount > entry.pool.slots;
            add("pool",
                never ? fmt::format(
                            "pool \"{}\" has only {} slots, {} are needed: make it larger",
                            entry.pool.name,
                            entry.pool.slots,
                            part.amount
                        )
                      : fmt::format(
                            "pool \"{}\" has {} of {} slots free, {} are needed: {}",
                            entry.pool.name,
                            entry.pool.slots - entry.in_use(),
                            entry.pool.slots,
                            part.amount,
                            who
                        ),
                entry.pool.name);
        } else if (reserved_.contains(part.pool)) {
            add("pool_reserved",
                fmt::format(
                    "the slots that come free in pool \"{}\" are kept for a task that has waited "
                    "for several of them",
                    entry.pool.name
                ),
                entry.pool.name);
        }
    }
}

/// The upstreams that its trigger rule waits for.
void Scheduler::Impl::why_upstreams(Run& run, const TaskKey& key, Reasons& reasons) const {
    const Task& task = run.task(key.task);
    for (const TaskNo up : task.upstream) {
        const Family& family = run.family(up);
        const bool expanded = family.is_expanded() && key.map_index != unmapped;
        const Kin reach = expanded ? reach_of(run, up, key.task) : Kin::none;
        const bool by_index = reach == Kin::same || reach == Kin::outer;
        const MapIndex outer = run.family(key.task).outer_of(key.map_index);
        const MapIndex index = reach == Kin::outer ? outer : key.map_index;
        const TaskKey one{run.row.key, up, by_index ? index : unmapped};
        const bool is_one = by_index || !family.is_expanded();
        const auto state = is_one               ? fmt::format(" ({})", name(run.state(one)))
                           : reach == Kin::part ? unfinished_part(family, outer)
                                                : unfinished_part(family);
        const bool open = is_one ? !is_finished(run.state(one)) : !state.starts_with(" (0 ");
        if (!open) continue;
        reasons.push_back(
            {"trigger_rule",
             fmt::format(
                 "its rule {} waits for the end of {}{}",
                 name(task.trigger_rule),
                 run.task(up).id,
                 state
             ),
             instance_name(run, one),
             run.row.start_date,
             {}}
        );
    }
}

/// What a sensor, a deferred task or a question to people waits for.
void Scheduler::Impl::why_wait(const Run& run, const TaskKey& key, Reasons& reasons) const {
    const auto at = waits_.find(key);
    if (at == waits_.end()) return;
    const Wait& wait = at->second;
    const auto add = [&](std::string condition, std::string text) {
        reasons.push_back(
            {std::move(condition),
             std::move(text),
             instance_name(run, key),
             wait.row.first_at,
             wait.row.until}
        );
    };
    if (wait.poke != 0) {
        add("poke", "it is looking right now whether it may go on");
        return;
    }
    if (!wait.row.event.empty()) add("event", "it waits for the end of " + wait.row.event);
    if (wait.row.kind == WaitKind::input) add("input", "it waits for somebody's answer");
    if (wait.row.until && wait.row.event.empty() && wait.row.kind != WaitKind::input)
        add("poke_interval", "it looks again at " + format_z(*wait.row.until));
    if (reasons.empty()) add("poke", "it looks again in the next turn");
}

/// What an unfinished instance waits for before it may ask for slots.
void Scheduler::Impl::why_state(Run& run, const TaskKey& key, Reasons& reasons) const {
    const TaskState state = run.state(key);
    Family& family = run.family(key.task);
    if (run.clearing)
        reasons.push_back(
            {"clearing", "the run's task instances are being cleared", run.row.run_id, {}, {}}
        );
    if (family.is_ready(key.map_index)) return;
    const auto* live = family.find_live(key.map_index);
    if (state == TaskState::up_for_retry && live != nullptr && live->row.next_try_at)
        reasons.push_back(
            {"retry_delay",
             fmt::format(
                 "try {} failed; the next one is due at {}",
                 live->row.try_number,
                 format_z(*live->row.next_try_at)
             ),
             instance_name(run, key),
             live->row.end_date,
             live->row.next_try_at}
        );
    if (state == TaskState::restarting && live != nullptr)
        reasons.push_back(
            {"restarting",
             "it was cleared while it ran: its attempt is being ended first",
             instance_name(run, key),
             live->row.start_date,
             {}}
        );
    if (is_poked(state)) why_wait(run, key, reasons);
    if (state != TaskState::none && state != TaskState::restarting) return;
    if (is_being_listed(run, family, key.map_index))
        reasons.push_back(
            {"expansion",
             list_name(family, key.map_index) + " is being made",
             instance_name(run, key),
             {},
             {}}
        );
    why_upstreams(run, key, reasons);
    why_setups(run, key, reasons);
    why_past(run, key, reasons);
}

Reasons Scheduler::Impl::why_task(Run& run, const TaskKey& key) {
    Reasons reasons;
    if (run.has(key) && (is_finished(run.state(key)) || run.state(key) == TaskState::running))
        return reasons;
    if (run.row.state == RunState::queued) {
        reasons.push_back(
            {"run_queued", "its run is queued", run.row.run_id, run.row.queued_at, std::nullopt}
        );
        std::ranges::move(why_run(run), std::back_inserter(reasons));
    }
    if (!run.has(key)) return reasons;  // a run that has not begun has no instances
    why_state(run, key, reasons);
    const auto wait = waits_.find(key);
    const bool looks = wait != waits_.end() && wait->second.poke != 0;
    if (!looks) why_slots(run, key, reasons);
    return reasons;
}

/// Of a mapped task: what is in the way of its instances, told once. Of very many that wait in the
/// same state some are looked at.
Reasons Scheduler::Impl::why_instances(Run& run, TaskNo task) {
    constexpr int most = 32;
    std::map<TaskState, int> looked;
    Reasons all;
    const Family& family = run.family(task);
    for (MapIndex i = 0; i < family.length(); ++i) {
        const TaskState state = family.state(i);
        if (is_finished(state) || state == TaskState::running || ++looked[state] > most) continue;
        for (auto& reason : why_task(run, run.key(task, i))) {
            const bool told = std::ranges::any_of(all, [&](const Reason& other) {
                return other.condition == reason.condition && other.text == reason.text;
            });
            if (!told) all.push_back(std::move(reason));
        }
    }
    return all;
}

std::optional<Reasons> Scheduler::Impl::why(const std::string& dag_id) const {
    const auto at = dag_numbers_.find(dag_id);
    if (at == dag_numbers_.end()) return std::nullopt;
    return why_dag(*dags_[static_cast<std::size_t>(at->second)]);
}

std::optional<Reasons> Scheduler::Impl::why(RunKey key) const {
    const auto at = runs_.find(key);
    if (at == runs_.end()) return std::nullopt;
    return why_run(*at->second);
}

std::optional<Reasons> Scheduler::Impl::why(const TaskKey& key) {
    Run* run = find_run(key.run);
    if (run == nullptr) return std::nullopt;
    if (run->tasks.empty()) return why_task(*run, key);
    if (!run->has(key)) return std::nullopt;
    if (key.map_index == unmapped && run->family(key.task).is_expanded())
        return why_instances(*run, key.task);
    return why_task(*run, key);
}

}  // namespace sluice::core
