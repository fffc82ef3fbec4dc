// judging.cpp — what is to become of an instance whose upstreams have moved: branches first, then
// setups further up, then the trigger rule, then the past.
#include <algorithm>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/impl.hpp"

namespace sluice::core {
namespace {

constexpr Verdict hold{Verdict::Kind::wait, TaskState::none};

/// The instances of a setup that concern the instance: within a mapped group that of its own index.
template <class Look>
void each_setup_state(const Run& run, TaskNo setup, const TaskKey& key, const Look& look) {
    const MapIndex outer = run.family(key.task).outer_of(key.map_index);
    each_state(run.family(setup), kin_of(run, setup, key.task), outer, key.map_index, look);
}

/// What the setups further up say: `run` if all have succeeded.
Verdict judge_setups(const Run& run, const TaskPlan& planned, const TaskKey& key) {
    Verdict verdict{Verdict::Kind::run, TaskState::none};
    bool failed = false;
    bool skipped = false;
    for (const TaskNo setup : planned.setups)
        each_setup_state(run, setup, key, [&](TaskState state, int) {
            failed = failed || is_failure(state);
            skipped = skipped || state == TaskState::skipped;
            if (state != TaskState::success) verdict = hold;
        });
    if (failed) return {Verdict::Kind::mark, TaskState::upstream_failed};
    if (skipped) return {Verdict::Kind::mark, TaskState::skipped};
    return verdict;
}

/// A branch in a mapped group speaks for its own index, inside the group.
bool speaks_for(const Run& run, const TaskKey& branch, const TaskKey& key) {
    if (branch.map_index == unmapped) return true;
    switch (kin_of(run, branch.task, key.task)) {
        case Kin::same:
            return branch.map_index == key.map_index;
        case Kin::outer:
            return branch.map_index == run.family(key.task).outer_of(key.map_index);
        case Kin::none:
        case Kin::part:
            return false;
    }
    unreachable();
}

/// Counted anew: only a teardown asks, and setups are few.
void count_setups(const Run& run, const TaskKey& key, UpstreamCounts& up) {
    for (const TaskNo other : run.task(key.task).upstream) {
        if (!run.task(other).is_setup) continue;
        each_setup_state(run, other, key, [&up](TaskState state, int count) {
            up.setups += count;
            if (state == TaskState::success) up.setups_success += count;
            if (state == TaskState::skipped) up.setups_skipped += count;
        });
    }
}

}  // namespace

bool Scheduler::Impl::skipped_by_branch(const Run& run, const TaskKey& key) {
    return std::ranges::any_of(run.choices, [&](const auto& entry) {
        const auto& [branch, choice] = entry;
        return speaks_for(run, branch, key) && choice.skips[static_cast<std::size_t>(key.task)] &&
               run.has(branch) && run.state(branch) == TaskState::success;
    });
}

/// `index` is what the rule takes for the map index: that of the key, or any for all at once.
Verdict Scheduler::Impl::verdict_of(const Run& run, const TaskKey& key, MapIndex index) const {
    const Task& task = run.task(key.task);
    const auto& planned = run.plan->tasks[static_cast<std::size_t>(key.task)];
    Verdict verdict;
    if (!run.choices.empty() && skipped_by_branch(run, key)) {
        verdict = {Verdict::Kind::mark, TaskState::skipped, true};
    } else {
        UpstreamCounts up = upstreams_of(run, key);
        if (task.is_teardown) count_setups(run, key, up);
        verdict = judge(task.trigger_rule, up, index);
        if (!planned.setups.empty()) {
            const Verdict setups = judge_setups(run, planned, key);
            const bool decides =
                setups.kind == Verdict::Kind::mark || verdict.kind == Verdict::Kind::run;
            if (decides) verdict = setups;
        }
    }
    const bool skips = verdict.kind == Verdict::Kind::mark && verdict.state == TaskState::skipped;
    const bool asks =
        verdict.kind == Verdict::Kind::run || (skips && task.wait_for_past_depends_before_skipping);
    if (asks && planned.needs_past() && past_block(run, key.task)) return hold;
    return verdict;
}

/// The setups further up that have not succeeded yet.
void Scheduler::Impl::why_setups(const Run& run, const TaskKey& key, Reasons& reasons) const {
    const auto& planned = run.plan->tasks[static_cast<std::size_t>(key.task)];
    for (const TaskNo setup : planned.setups) {
        bool open = false;
        each_setup_state(run, setup, key, [&](TaskState state, int) {
            open = open || state != TaskState::success;
        });
        if (!open) continue;
        reasons.push_back(
            {"setup",
             fmt::format("the setup {} must have succeeded first", run.task(setup).id),
             fmt::format("{}.{}.{}", run.row.dag_id, run.row.run_id, run.task(setup).id),
             run.row.start_date,
             {}}
        );
    }
}

/// Whether instances of the task may fare differently because of their index.
bool Scheduler::Impl::is_judged_by_index(const Run& run, TaskNo task) {
    const auto in_group = [&](TaskNo other) {
        return kin_of(run, other, task) != Kin::none && run.family(other).is_expanded();
    };
    if (run.family(task).nest != nullptr ||
        std::ranges::any_of(run.task(task).upstream, [&](TaskNo up) {
            return reach_of(run, up, task) != Kin::none && run.family(up).is_expanded();
        }))
        return true;
    const auto& planned = run.plan->tasks[static_cast<std::size_t>(task)];
    return std::ranges::any_of(planned.setups, in_group) ||
           std::ranges::any_of(run.choices, [&](const auto& entry) {
               return entry.first.map_index != unmapped &&
                      entry.second.skips[static_cast<std::size_t>(task)];
           });
}

/// All instances of the task are looked at again, whatever its upstreams say.
void Scheduler::Impl::unsettle(Run& run, TaskNo task) {
    if (run.tasks.empty()) return;
    run.family(task).seen.reset();
    unsettled_.push(run, run.key(task));
}

void Scheduler::Impl::keep_choice(
    Run& run, const TaskKey& key, const Branch& branch, std::vector<bool> skips
) {
    for (std::size_t i = 0; i < skips.size(); ++i)
        if (skips[i]) unsettle(run, static_cast<TaskNo>(i));
    run.choices[key] = {branch, std::move(skips)};
    turn_->branches.push_back({key, branch, false});
}

void Scheduler::Impl::forget_choice(Run& run, const TaskKey& key) {
    if (run.choices.erase(key) > 0) turn_->branches.push_back({key, {}, true});
}

}  // namespace sluice::core
