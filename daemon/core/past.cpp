// past.cpp — what a run waits for in the run before it (semantics 8). That run is either open, then
// its instances in memory count; or it has ended, then a fact that the runtime reads once, when the
// run begins, and that is renewed whenever an open run between the two ends.
#include <algorithm>
#include <atomic>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "core/impl.hpp"

namespace sluice::core {
namespace {

bool is_good(TaskState state) { return state == TaskState::success || state == TaskState::skipped; }

/// The worst that instances of the task are, apart from success and skipped.
TaskState worst_of(const Family& family) {
    TaskState worst = TaskState::none;
    for (int state = 0; state < task_state_count; ++state) {
        const auto what = static_cast<TaskState>(state);
        if (family.nest != nullptr && what == TaskState::removed) continue;
        if (!is_good(what) && family.count(what) > 0) worst = what;
    }
    return worst;
}

/// An open or loaded run as the next one sees it.
PastRun past_of(const Run& run) {
    PastRun past;
    past.run = run.row;
    past.dag = run.plan->dag;
    for (const auto& family : run.tasks) {
        auto& end = past.tasks.emplace_back();
        end.task = family.one.row.key.task;
        end.good = family.count(TaskState::success) + family.count(TaskState::skipped);
        end.other = family.present() - end.good;
        end.worst = worst_of(family);
    }
    return past;
}

/// How a task of the earlier run ended; none if its version has no such task.
struct PastEnd {
    bool good{false};
    TaskState worst{TaskState::none};
};

std::optional<PastEnd> end_in(const PastRun& past, std::string_view task_id) {
    const TaskNo no = find_task(*past.dag, task_id);
    if (no == no_task) return std::nullopt;
    const auto found = std::ranges::find(past.tasks, no, &PastRun::TaskEnd::task);
    if (found == past.tasks.end()) return PastEnd{};
    return PastEnd{found->other == 0 && found->good > 0, found->worst};
}

std::optional<PastEnd> end_in(const Run& past, const Plan& asking, TaskNo task) {
    const bool same = past.plan == &asking;
    const TaskNo no =
        same ? task
             : find_task(*past.plan->dag, asking.dag->tasks[static_cast<std::size_t>(task)].id);
    if (no == no_task) return std::nullopt;
    if (past.tasks.empty()) return PastEnd{};
    const Family& family = past.family(no);
    const auto good = family.count(TaskState::success) + family.count(TaskState::skipped);
    return PastEnd{good == family.present(), worst_of(family)};
}

/// By logical date; of two with the same one the run that was made later.
bool comes_after(const DagRun& run, const DagRun& other) {
    return std::pair(*run.logical_date, run.key) > std::pair(*other.logical_date, other.key);
}

bool counts_as_past(const DagRun& run, const Run& asking) {
    return !(asking.plan->dag->catchup && run.type == RunType::manual);
}

}  // namespace

/// A number that no other question has while the process lives, also after a reload.
std::int64_t Scheduler::Impl::next_question() {
    static std::atomic<std::int64_t> last{0};
    return ++last;
}

/// What has ended before this run is asked for once; until the answer comes its tasks wait.
void Scheduler::Impl::ask_past(Run& run) {
    if (run.plan->past_tasks.empty() || !run.row.logical_date || run.past.asked) return;
    run.past.asked = true;
    auto& question = turn_->past_questions.emplace_back();
    question.run = run.row.key;
    question.number = run.past.question = next_question();
    question.dag_id = run.row.dag_id;
    question.before = *run.row.logical_date;
    question.scheduled_only = run.plan->dag->catchup;
    for (const TaskNo task : run.plan->past_tasks)
        for (const TaskNo other : run.plan->tasks[static_cast<std::size_t>(task)].past)
            question.tasks.push_back(run.task(other).id);
}

/// A run of the DAG was deleted: who looked at it has another past, or none.
void Scheduler::Impl::ask_past_again(const DagEntry& dag) {
    if (dag.past_runs == 0) return;
    for (const auto& [date, key] : dag.open_dates) {
        Run& run = *runs_.at(key);
        if (run.deleted || !run.past.asked) continue;
        run.past = {};
        ask_past(run);
    }
}

Taken Scheduler::Impl::on(const PastFacts& event) {
    Run* run = find_run(event.run);
    if (run == nullptr || run->past.known) return Taken::yes;
    // Asked before the run moved to another version, or the run before it was deleted.
    if (event.number != run->past.question) return Taken::yes;
    auto& past = run->past;
    past.known = true;
    past.seen.insert(past.seen.end(), event.seen.begin(), event.seen.end());
    // What was taken over from a run that ended meanwhile is newer.
    if (event.previous && (!past.run || comes_after(event.previous->run, past.run->run)))
        past.run = event.previous;
    for (const TaskNo task : run->plan->past_tasks) unsettle(*run, task);
    check_later(*run);
    return Taken::yes;
}

const Run* Scheduler::Impl::open_previous(const Run& run) const {
    const auto& dates = run.dag->open_dates;
    const Run* found = nullptr;
    auto at = dates.lower_bound(*run.row.logical_date);
    while (at != dates.begin()) {
        --at;
        if (found != nullptr && at->first < *found->row.logical_date) break;
        const Run& other = *runs_.at(at->second);
        if (!counts_as_past(other.row, run)) continue;
        if (found == nullptr || comes_after(other.row, found->row)) found = &other;
    }
    return found;
}

/// No run before this one has the task, whether it ended or not.
bool Scheduler::Impl::is_first(const Run& run, const std::string& task_id) const {
    const auto& [seen, ended] = std::tie(run.past.seen, run.past.run);
    if (std::ranges::find(seen, task_id) != seen.end()) return false;
    if (ended && find_task(*ended->dag, task_id) != no_task) return false;
    const auto& dates = run.dag->open_dates;
    return std::none_of(
        dates.begin(),
        dates.lower_bound(*run.row.logical_date),
        [&](const auto& entry) {
            return find_task(*runs_.at(entry.second)->plan->dag, task_id) != no_task;
        }
    );
}

/// Goes over what of the past keeps the task from running, until `use` says false.
template <class Use>
void Scheduler::Impl::each_past_block(const Run& run, TaskNo task, const Use& use) const {
    const auto& planned = run.plan->tasks[static_cast<std::size_t>(task)];
    if (!planned.needs_past() || !run.row.logical_date) return;
    if (run.row.backfill && run.row.backfill_ordinal == 1) return;
    const Run* open = open_previous(run);
    const auto& ended = run.past.run;
    const bool is_open = open != nullptr && (!ended || !comes_after(ended->run, open->row));
    if (!run.past.known) {
        use(PastBlock{});
        return;
    }
    if (!is_open && !ended) return;
    const DagRun& previous = is_open ? open->row : ended->run;
    const Dag& dag = *run.plan->dag;
    if (dag.catchup && dag.start_date && *previous.logical_date < *dag.start_date) return;
    const auto end_of = [&](TaskNo no) {
        return is_open ? end_in(*open, *run.plan, no) : end_in(*ended, run.task(no).id);
    };
    const auto goes_on = [&](TaskNo no, TaskState state, bool is_absent) {
        return use(PastBlock{previous.key, previous.run_id, run.task(no).id, state, is_absent});
    };
    for (const TaskNo no : planned.past) {
        const auto end = end_of(no);
        if (end && !end->good && !goes_on(no, end->worst, false)) return;
        if (end) continue;
        if (run.task(task).ignore_first_depends_on_past && is_first(run, run.task(no).id)) continue;
        if (!goes_on(no, TaskState::none, true)) return;
    }
    for (const TaskNo no : planned.past_downstream)
        if (const auto end = end_of(no); end && !end->good && !goes_on(no, end->worst, false))
            return;
}

/// What of the past keeps the task from running; none if nothing does.
std::optional<PastBlock> Scheduler::Impl::past_block(const Run& run, TaskNo task) const {
    std::optional<PastBlock> first;
    each_past_block(run, task, [&](PastBlock block) {
        first = std::move(block);
        return false;
    });
    return first;
}

/// The open runs that may have this one before them, in order.
template <class Use>
void Scheduler::Impl::each_next(const Run& run, const Use& use) {
    if (run.dag->past_runs == 0 || !run.row.logical_date) return;
    const auto& dates = run.dag->open_dates;
    std::optional<Instant> last;
    for (auto at = dates.upper_bound(*run.row.logical_date); at != dates.end(); ++at) {
        if (last && at->first > *last) return;
        Run& next = *runs_.at(at->second);
        use(next);
        // It stands between this run and the later ones; a manual one only for some.
        if (next.row.type != RunType::manual) last = at->first;
    }
}

/// A task of the run ended, or ended no longer, or the run is new (no_task): whoever waits for it
/// in the next runs is looked at again.
void Scheduler::Impl::past_changed(const Run& run, TaskNo task) {
    each_next(run, [&](Run& next) {
        const Plan& plan = *next.plan;
        if (next.row.state != RunState::running) return;
        const bool same = &plan == run.plan && task != no_task;
        const auto& waiting =
            same ? plan.tasks[static_cast<std::size_t>(task)].past_of : plan.past_tasks;
        for (const TaskNo no : waiting) unsettle(next, no);
        check_later(next);
    });
    if (task != no_task) return;
    each_first(run, nullptr, [&](Run& later, TaskNo first) {
        if (later.row.state != RunState::running) return;
        unsettle(later, first);
        check_later(later);
    });
}

/// The tasks of later open runs, up to the first of the version `stop_at`, that wait for nothing if
/// no run before has what they look at.
template <class Use>
void Scheduler::Impl::each_first(const Run& run, const Plan* stop_at, const Use& use) {
    if (run.dag->past_runs == 0 || !run.row.logical_date) return;
    const auto& dates = run.dag->open_dates;
    for (auto at = dates.upper_bound(*run.row.logical_date); at != dates.end(); ++at) {
        Run& later = *runs_.at(at->second);
        for (const TaskNo task : later.plan->past_tasks)
            if (later.task(task).ignore_first_depends_on_past) use(later, task);
        if (stop_at == later.plan) return;
    }
}

/// The run leaves memory: the runs after it keep what it ended as.
void Scheduler::Impl::hand_over_past(const Run& run) {
    if (run.deleted) return;
    // Those behind a run of the same version have that one, with the same tasks, before them.
    each_first(run, run.plan, [&](Run& later, TaskNo first) {
        for (const TaskNo no : later.plan->tasks[static_cast<std::size_t>(first)].past) {
            auto& seen = later.past.seen;
            const auto& id = later.task(no).id;
            if (find_task(*run.plan->dag, id) == no_task) continue;
            if (std::ranges::find(seen, id) == seen.end()) seen.push_back(id);
        }
    });
    std::optional<PastRun> past;
    each_next(run, [&](Run& next) {
        auto& kept = next.past;
        const bool older = kept.run && comes_after(kept.run->run, run.row);
        if (!kept.asked || older || !counts_as_past(run.row, next)) return;
        if (kept.run)
            for (const TaskNo task : next.plan->past_tasks)
                for (const TaskNo no : next.plan->tasks[static_cast<std::size_t>(task)].past)
                    if (find_task(*kept.run->dag, next.task(no).id) != no_task)
                        kept.seen.push_back(next.task(no).id);
        if (!past) past = past_of(run);
        kept.run = past;
    });
}

void Scheduler::Impl::why_past(const Run& run, const TaskKey& key, Reasons& reasons) const {
    const auto text_of = [](const PastBlock& block) {
        if (block.run_id.empty()) return std::string{"what became of the run before is being read"};
        if (block.is_absent)
            return fmt::format(
                "it waits for {} in the run before, {}, which has no such task: mark this one, or "
                "say ignore_first_depends_on_past",
                block.task_id,
                block.run_id
            );
        return fmt::format(
            "it waits for {} in the run before, {}, where it is {}: clear it there, or mark it "
            "success",
            block.task_id,
            block.run_id,
            name(block.state)
        );
    };
    each_past_block(run, key.task, [&](const PastBlock& block) {
        reasons.push_back(
            {"depends_on_past",
             text_of(block),
             fmt::format("{}.{}.{}", run.row.dag_id, block.run_id, block.task_id),
             run.row.start_date,
             {}}
        );
        return true;
    });
}

/// Something in the run could go on but for the run before: it is not stuck.
bool Scheduler::Impl::waits_for_past(const Run& run) const {
    return std::ranges::any_of(run.plan->past_tasks, [&](TaskNo task) {
        return run.family(task).count(TaskState::none) > 0 && past_block(run, task).has_value();
    });
}

}  // namespace sluice::core
