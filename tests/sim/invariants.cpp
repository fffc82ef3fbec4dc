// invariants.cpp — what must hold after every turn. Slow and plain on purpose: it shares no code
// with core but the table of legal transitions and the DAG.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/waits.hpp"
#include "tests/sim/broken.hpp"
#include "tests/sim/callbacks.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/texts.hpp"
#include "tests/sim/world.hpp"

namespace sluice::sim {
namespace {

bool holds(TaskState state) {
    return state == TaskState::running || state == TaskState::restarting;
}

bool same(const TaskInstance& a, const TaskInstance& b) {
    return a.state == b.state && a.try_number == b.try_number && a.max_tries == b.max_tries &&
           a.starts == b.starts && a.lost_in_a_row == b.lost_in_a_row &&
           a.attempts_since_clear == b.attempts_since_clear && a.start_date == b.start_date &&
           a.end_date == b.end_date && a.next_try_at == b.next_try_at && a.error == b.error;
}

}  // namespace

/// What is taken by the rows, and by pokes, of which no row speaks.
Usage World::in_use() const {
    Usage usage = count_usage(journal_, versions_, settings_, at_work_);
    for (const auto& poke : pokes_) {
        const auto& run = journal_.runs().at(poke.task.run);
        const auto& task =
            versions_.at(run.version)->tasks[static_cast<std::size_t>(poke.task.task)];
        ++usage.attempts;
        ++usage.by_run[run.key];
        ++usage.by_dag[run.dag_id];
        ++usage.by_run_task[{run.key, task.id}];
        ++usage.by_dag_task[{run.dag_id, task.id}];
        if (task.max_active_tis_per_dag) ++usage.by_limited[{run.dag_id, task.id}];
        for (const auto& [pool, amount] : demand(task, settings_)) usage.pools[pool] += amount;
    }
    return usage;
}

/// Follows the transition log: it alone must give the states that are stored.
void World::check_turn(const Turn& turn) {
    for (const auto& backfill : turn.backfills)
        if (backfill.completed_at)
            at_work_.erase(backfill.id);
        else
            at_work_.insert(backfill.id);
    for (const auto& row : turn.transitions) {
        if (row.task == no_task) {
            const auto known = run_states_.find(row.run);
            must((known == run_states_.end() ? -1 : known->second) == row.from, "run history torn");
            if (row.from >= 0)
                must(
                    legal(static_cast<RunState>(row.from), static_cast<RunState>(row.to)),
                    "illegal transition of a run"
                );
            run_states_[row.run] = row.to;
            const auto from = row.from < 0 ? "-" : name(static_cast<RunState>(row.from));
            const auto to = name(static_cast<RunState>(row.to));
            ++histogram_[{fmt::format("run {}", from), std::string{to}}];
            must(row.cause != "deadlock", "nothing moves any more in " + stored_text(row.run));
            ++histogram_[{"decision", row.cause}];
            const DagRun& run = journal_.runs().at(row.run);
            if (row.to == static_cast<int>(RunState::running))
                count_run_start(*versions_.at(run.version), run, histogram_);
            tell(fmt::format("  run {}: {} -> {} ({})", row.run.value, from, to, row.cause));
            continue;
        }
        const auto from = static_cast<TaskState>(row.from);
        const auto to = static_cast<TaskState>(row.to);
        for (MapIndex i = row.map_lo; i <= row.map_hi; ++i) {
            const TaskKey each{row.run, row.task, i};
            auto& known = states_.try_emplace(each, TaskState::none).first->second;
            must(known == from, "history of an instance is torn: " + text(each));
            must(legal(from, to), "illegal transition: " + text(each));
            known = to;
        }
        const TaskKey key{row.run, row.task, row.map_lo};
        if (row.map_lo != row.map_hi) ++histogram_[{"a range of instances", "changed"}];
        ++histogram_[{std::string{name(from)}, std::string{name(to)}}];
        ++histogram_[{"decision", row.cause}];
        tell(fmt::format("  {}: {} -> {} ({})", text(key), name(from), name(to), row.cause));
    }
    for (const auto& list : turn.map_lengths)
        if (list.outer != unmapped)
            ++histogram_[{
                "a list of a nested mapping",
                list.length < 0    ? "forgotten"
                : list.length == 0 ? "empty"
                                   : "known"
            }];
    for (const auto& change : turn.tasks) {
        const auto& row = change.instance;
        must(states_[row.key] == row.state, "log and row differ: " + text(row.key));
        must(row.try_number <= row.max_tries + 1, "more attempts than allowed: " + text(row.key));
        must(row.starts >= row.try_number, "attempts without a start: " + text(row.key));
    }
    for (const auto& change : turn.runs)
        must(
            run_states_[change.run.key] == static_cast<int>(change.run.state),
            "log and row of a run differ"
        );
    for (const RunKey run : turn.runs_deleted) {
        ++histogram_[{"a run", "deleted"}];
        must(!journal_.runs().contains(run), "deleted, but still stored");
        must(run_states_.at(run) != static_cast<int>(RunState::running), "deleted while it ran");
        run_states_.erase(run);
        run_versions_.erase(run);
        std::erase_if(states_, [&](const auto& entry) { return entry.first.run == run; });
    }
    check_deleted(turn);
    for (const auto& row : turn.clearings)
        ++histogram_[{"a clear over turns", row.over ? "ended" : "went on"}];
    for (const auto& cancel : turn.cancels) pokes_.erase(cancel.key);
    for (const auto& order : turn.starts) {
        const auto state = states_[order.key.task];
        must(
            order.key.poke == 0 ? state == TaskState::running : core::is_poked(state),
            "started, but not running"
        );
        if (order.key.poke != 0) pokes_.insert(order.key);
        const auto task = static_cast<std::size_t>(order.key.task.task);
        if (order.key.poke == 0) count_task_start(order.dag->tasks[task], histogram_);
        for (const auto& [key, attempt] : live_)
            must(
                key.task != order.key.task || attempt.cancelled || attempt.reported,
                "two live attempts: " + text(key.task)
            );
    }
    for (const auto& due : turn.callbacks)
        ++histogram_[{"callback", std::string{name(due.callback.on)}}];
    check_moves(turn);
    check_callbacks(turn, journal_.runs(), moved_, versions_, journal_.callbacks());
    deadlines_.check(turn, now_, journal_, versions_);
    for (const auto& row : turn.deadlines) {
        if (!row.at) ++histogram_[{"deadline", "too few runs"}];
        if (row.missed_at == now_) ++histogram_[{"deadline", "missed"}];
        if (row.predicted_at == now_) ++histogram_[{"deadline", "predicted"}];
    }
    check_assets(turn);
    check_limits(turn);
}

/// A DAG that is deleted had nothing open; once it is removed, nothing of it is stored.
void World::check_deleted(const Turn& turn) {
    for (const auto& dag : turn.dags_removed) {
        ++histogram_[{"a DAG", "removed"}];
        removed_.insert(dag.dag_id);
        for (auto at = run_states_.begin(); at != run_states_.end();) {
            if (journal_.runs().contains(at->first)) {
                ++at;
                continue;
            }
            run_versions_.erase(at->first);
            std::erase_if(states_, [&](const auto& entry) { return entry.first.run == at->first; });
            at = run_states_.erase(at);
        }
        std::erase_if(taken_events_, [&](const auto& taken) { return taken.first == dag.dag_id; });
    }
    for (const auto& dag : turn.dags_deleted) {
        ++histogram_[{"a DAG", "deleted"}];
        tell("  deleted: " + dag.dag_id);
        for (const auto& [key, run] : journal_.runs())
            must(run.dag_id != dag.dag_id || is_finished(run.state), "deleted with an open run");
        for (const auto& [key, seen] : marks_)
            must(
                key.first != dag.dag_id || std::ranges::any_of(
                                               turn.asset_marks,
                                               [&](const auto& row) {
                                                   return row.forgotten &&
                                                          row.dag_id == key.first &&
                                                          row.asset == key.second;
                                               }
                                           ),
                "a deleted DAG waits for assets"
            );
    }
}

/// A run that goes on with another version keeps its task numbers; what is gone is removed.
void World::check_moves(const Turn& turn) {
    for (const auto& change : turn.runs) {
        const auto [known, fresh] = run_versions_.emplace(change.run.key, change.run.version);
        if (fresh || known->second == change.run.version) continue;
        const Dag& before = *versions_.at(std::exchange(known->second, change.run.version));
        const Dag& after = *versions_.at(change.run.version);
        must(after.tasks.size() >= before.tasks.size(), "a version without tasks that rows have");
        moved_.insert(change.run.key);
        ++histogram_[{"a run", "moved"}];
        for (std::size_t i = 0; i < before.tasks.size(); ++i) {
            must(after.tasks[i].id == before.tasks[i].id, "a task's number changed");
            if (!after.tasks[i].gone) continue;
            ++histogram_[{"a task", "removed"}];
            for (const auto& [key, row] : journal_.instances())
                must(
                    key.run != change.run.key || key.task != static_cast<TaskNo>(i) ||
                        row.state == TaskState::removed,
                    "of a task that is gone, but not removed: " + text(key)
                );
        }
    }
}

/// Whatever starts must fit; a limit lowered later stops nobody who runs.
void World::check_limits(const Turn& turn) {
    for (const auto& pool : turn.pools) pools_[pool.name] = pool;
    for (const auto& name : turn.pools_removed) pools_.erase(name);
    if (turn.starts.empty()) return;
    const Usage usage = in_use();
    must(usage.attempts <= settings_.parallelism, "more attempts than parallelism");
    for (const auto& order : turn.starts) {
        const Task& task = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)];
        const auto& run = *order.run;
        must(
            order.key.poke != 0 || !journal_.clearings().contains(run.key),
            "started while its run is being cleared: " + text(order.key.task)
        );
        must(
            past_is_met(journal_, versions_, run, *order.dag, order.key.task.task) ||
                order.key.poke != 0 || journal_.instances().at(order.key.task).starts > 1,
            "started before the past: " + text(order.key.task)
        );
        const auto what = fmt::format("{} of {}", text(order.key.task), run.dag_id);
        must(run.run_after <= now_, "started before run_after: " + what);
        for (const auto& [pool, amount] : demand(task, settings_)) {
            const auto slots = slots_of(pool, pools_, settings_);
            if (slots >= 0)
                must(
                    usage.pools.at(pool) <= slots,
                    fmt::format(
                        "pool {} is overdrawn, {} of {}: {}",
                        pool,
                        usage.pools.at(pool),
                        slots,
                        what
                    )
                );
        }
        must(
            usage.by_run.at(run.key) <= order.dag->max_active_tasks_per_run,
            "max_active_tasks_per_run: " + what
        );
        const auto& current = *current_or(run.dag_id, order.dag);
        if (current.max_active_tasks_per_dag)
            must(
                usage.by_dag.at(run.dag_id) <= *current.max_active_tasks_per_dag,
                "max_active_tasks_per_dag: " + what
            );
        if (task.max_active_tis_per_dagrun)
            must(
                usage.by_run_task.at({run.key, task.id}) <= *task.max_active_tis_per_dagrun,
                "max_active_tis_per_dagrun: " + what
            );
        const TaskNo now = find_task(current, task.id);
        const auto most = now == no_task
                              ? std::nullopt
                              : current.tasks[static_cast<std::size_t>(now)].max_active_tis_per_dag;
        if (most && task.max_active_tis_per_dag)
            must(
                usage.by_limited.at({run.dag_id, task.id}) <= *most,
                "max_active_tis_per_dag: " + what
            );
    }
    check_active_runs(turn, usage);
}

/// A run that starts stays within max_active_runs of the DAG's current version.
void World::check_active_runs(const Turn& turn, const Usage& usage) {
    for (const auto& change : turn.runs) {
        const auto& run = change.run;
        const bool starts = run.state == RunState::running && change.from != RunState::running &&
                            run.start_date == turn.now;
        if (!starts || (run.backfill && at_work_.contains(*run.backfill))) continue;
        must(
            usage.running_runs(run.dag_id) <= current_or(run.dag_id, nullptr)->max_active_runs,
            "max_active_runs of " + run.dag_id
        );
    }
}

DagPtr World::current_or(const std::string& dag_id, const DagPtr& other) const {
    const auto found = current_.find(dag_id);
    return found == current_.end() ? other : found->second;
}

/// Memory and journal say the same of every open run.
void World::check_memory() {
    for (const std::string dag_id : {"d0", "d1", "d2", "d3", "d4"}) {
        must(
            journal_.dags().contains(dag_id) == (scheduler_->find_dag(dag_id) != nullptr),
            "a DAG is in one place only"
        );
        must(
            journal_.deleted_dags().contains(dag_id) == scheduler_->is_being_removed(dag_id),
            "memory and journal differ about what is deleted"
        );
    }
    std::size_t open = 0;
    for (const auto& [key, run] : journal_.runs()) {
        const DagRun* memory = scheduler_->find_open_run(key);
        must(is_finished(run.state) == (memory == nullptr), "open in one place only");
        if (memory == nullptr) continue;
        ++open;
        must(memory->state == run.state, "a run's state differs in memory");
        must(memory->note == run.note, "a run's note differs in memory");
        for (const auto& row : scheduler_->instances(key)) {
            const auto stored = journal_.instances().find(row.key);
            if (stored == journal_.instances().end())
                must(
                    row.state == journal_.state_of(row.key).value_or(TaskState::none),
                    "not stored: " + text(row.key)
                );
            else
                must(same(row, stored->second), "differs in memory: " + text(row.key));
        }
    }
    for (const auto& [key, clearing] : journal_.clearings())
        must(scheduler_->find_open_run(key) != nullptr, "a run that is not open is being cleared");
    for (const auto& [key, ending] : journal_.endings())
        must(scheduler_->find_open_run(key) != nullptr, "a run that has ended is to end yet");
    must(scheduler_->counts().open_runs == open, "memory holds runs that are not open");
    const auto waits = std::ranges::count_if(journal_.waits(), [](const auto& entry) {
        return !entry.second.over;
    });
    must(
        static_cast<std::size_t>(waits) == scheduler_->counts().waits,
        "memory and journal differ about who waits"
    );
}

/// When nothing is due, nothing that could go on may be waiting.
void World::check_nothing_waits() {
    check_no_asset_waits();
    Deadlines::check_quiet(now_, journal_, versions_);
    const Usage usage = in_use();
    for (const auto& [key, run] : journal_.runs()) {
        if (is_finished(run.state)) continue;
        const DagPtr held = dag_of(run);
        const Dag& dag = *held;
        if (run.state == RunState::queued) {
            const auto* state = scheduler_->find_dag(run.dag_id);
            if (run.run_after > now_ || state->is_paused) continue;
            if (run.backfill && at_work_.contains(*run.backfill)) continue;
            const auto why = scheduler_->why(key);
            must(why && !why->empty(), "nobody can say why a run is queued");
            must(
                usage.running_runs(run.dag_id) >= current_.at(run.dag_id)->max_active_runs,
                fmt::format(
                    "run {} of {} waits for nothing: {} of {} runs are active",
                    key.value,
                    run.dag_id,
                    usage.running_runs(run.dag_id),
                    current_.at(run.dag_id)->max_active_runs
                )
            );
            continue;
        }
        const auto rows = scheduler_->instances(key);
        const auto choices = journal_.branches(key);
        const Places places(journal_, key, dag);
        const bool ends = journal_.endings().contains(key);
        for (const auto& row : rows) {
            const bool teardown = dag.tasks[static_cast<std::size_t>(row.key.task)].is_teardown;
            must(
                !ends || teardown || is_finished(row.state),
                "its end is decided, but a task goes on: " + text(row.key)
            );
            if (is_finished(row.state) || row.state == TaskState::running) continue;
            const auto why = scheduler_->why(row.key);
            must(
                why && !why->empty(),
                fmt::format("nobody can say why it waits: {}, {}", text(row.key), name(row.state))
            );
            if (holds(row.state)) continue;
            const Task& task = dag.tasks[static_cast<std::size_t>(row.key.task)];
            const auto verdict = judge_slowly(dag, places, rows, choices, row.key);
            if (row.state == TaskState::none) {
                const bool past = past_is_met(journal_, versions_, run, dag, row.key.task);
                const bool may_wait = task.wait_for_past_depends_before_skipping && !past;
                must(
                    verdict != Fate::mark || may_wait,
                    fmt::format(
                        "not marked: {}, {}", text(row.key), rule_text(dag, rows, row.key.task)
                    )
                );
                if (verdict != Fate::run || !past) continue;
                if (task.mapping != no_map && row.key.map_index == unmapped) {
                    const MapNo top = top_in(dag, task.mapping);
                    const bool asked = std::ranges::any_of(asked_, [&](const auto& order) {
                        return order.run_key == key && order.map == top;
                    });
                    must(asked, "nobody asked how many there are: " + text(row.key) + words(*why));
                    continue;
                }
                if (task.mapping != no_map && top_in(dag, task.mapping) != task.mapping) {
                    const auto outer = places.outer(task.mapping, row.key.map_index);
                    const auto list = journal_.map_length(key, task.mapping, outer);
                    const bool asked = std::ranges::any_of(asked_, [&](const auto& order) {
                        return order.run_key == key && order.map == task.mapping &&
                               order.outer == outer;
                    });
                    const bool known = list && list->length >= 0;
                    must(
                        known || asked, "nobody asked for its list: " + text(row.key) + words(*why)
                    );
                    if (!known) continue;
                }
            }
            if (row.next_try_at && *row.next_try_at > now_) continue;
            if (core::is_poked(row.state)) continue;  // for a time that only core knows
            must(
                is_held_back(usage, run, dag, row.key.task),
                "ready, fits, and does not start: " + text(row.key) + ": " + words(*why)
            );
        }
        const bool over = std::ranges::all_of(rows, [](const TaskInstance& row) {
            return is_finished(row.state);
        });
        must(!over, "a run whose tasks have all ended goes on");
    }
}

/// At most so many slots of the pool are those of deferred tasks.
std::int64_t World::deferred_in(const std::string& pool) const {
    const auto found = pools_.find(pool);
    if (found == pools_.end() || !found->second.include_deferred) return 0;
    std::int64_t slots = 0;
    for (const auto& [key, state] : states_) {
        if (state != TaskState::deferred) continue;
        const auto& dag = *versions_.at(journal_.runs().at(key.run).version);
        const auto& task = dag.tasks[static_cast<std::size_t>(key.task)];
        if (task.pool == pool) slots += task.pool_slots;
    }
    return slots;
}

/// The DAG as the run sees it: of a backfill of some tasks without the edges of the others.
DagPtr World::dag_of(const DagRun& run) const {
    const DagPtr whole = versions_.at(run.version);
    const auto subset = run.backfill ? journal_.subset(*run.backfill) : std::vector<std::string>{};
    if (subset.empty()) return whole;
    const auto chosen = [&](TaskNo no) {
        const auto& id = whole->tasks[static_cast<std::size_t>(no)].id;
        return std::ranges::find(subset, id) != subset.end();
    };
    auto cut = std::make_shared<Dag>(*whole);
    for (TaskNo no = 0; no < static_cast<TaskNo>(cut->tasks.size()); ++no)
        std::erase_if(cut->tasks[static_cast<std::size_t>(no)].upstream, [&](TaskNo up) {
            return !chosen(no) || !chosen(up);
        });
    SLUICE_CHECK(link_tasks(*cut).empty());
    return cut;
}

bool World::is_held_back(const Usage& usage, const DagRun& run, const Dag& dag, TaskNo no) const {
    const Task& task = dag.tasks[static_cast<std::size_t>(no)];
    if (settings_.reserve_after < std::chrono::hours{1}) return true;
    if (usage.attempts >= settings_.parallelism) return true;
    for (const auto& [pool, amount] : demand(task, settings_)) {
        const auto slots = slots_of(pool, pools_, settings_);
        if (slots >= 0 && usage.used(pool) + deferred_in(pool) + amount > slots) return true;
    }
    const auto full = [](int used, std::optional<int> most) { return most && used >= *most; };
    const auto& current = *current_.at(run.dag_id);
    return full(usage.run(run.key), dag.max_active_tasks_per_run) ||
           full(usage.dag(run.dag_id), current.max_active_tasks_per_dag) ||
           full(usage.run_task(run.key, task.id), task.max_active_tis_per_dagrun) ||
           (task.max_active_tis_per_dag && usage.dag_task(run.dag_id, task.id) > 0);
}

/// Every command that a turn took is answered in that turn, once.
void World::check_answers(const Turn& turn, const std::vector<core::Event>& taken) {
    std::multiset<RequestId> asked;
    for (const auto& event : taken)
        std::visit(
            [&](const auto& what) {
                if constexpr (requires { what.request; }) asked.insert(what.request);
            },
            event
        );
    std::multiset<RequestId> answered;
    for (const auto& answer : turn.answers) {
        answered.insert(answer.id);
        if (answer.backfill) backfills_.insert(answer.backfill->id);
        ++histogram_[{"a command", answer.error ? "was refused" : "was done"}];
        if (answer.error) tell("  refused: " + answer.message);
    }
    must(asked == answered, "a command has no answer, or two");
}

}  // namespace sluice::sim
