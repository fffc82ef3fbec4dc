#include "tests/sim/why_check.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/waits.hpp"
#include "tests/sim/broken.hpp"
#include "tests/sim/texts.hpp"

namespace sluice::sim {
namespace {

constexpr int plenty = 1'000'000;

/// What may be taken by others in the very step in which it comes free.
bool is_shared(const std::string& condition) {
    static const std::set<std::string> shared{
        "parallelism",
        "max_active_tasks_per_run",
        "max_active_tis_per_dagrun",
        "max_active_tasks_per_dag",
        "max_active_tis_per_dag",
        "pool",
        "pool_reserved",
        "run_queued",
        "max_active_runs",
        "backfill_max_active_runs",
        "backfill_order"
    };
    return shared.contains(condition);
}

/// How an upstream must end for the rule to let the task go.
TaskState wanted_end(TriggerRule rule) {
    switch (rule) {
        case TriggerRule::all_failed:
        case TriggerRule::one_failed:
            return TaskState::failed;
        case TriggerRule::all_skipped:
            return TaskState::skipped;
        case TriggerRule::all_success:
        case TriggerRule::all_done:
        case TriggerRule::all_done_min_one_success:
        case TriggerRule::one_success:
        case TriggerRule::one_done:
        case TriggerRule::none_failed:
        case TriggerRule::none_failed_min_one_success:
        case TriggerRule::none_skipped:
        case TriggerRule::always:
        case TriggerRule::all_done_setup_success:
            return TaskState::success;
    }
    unreachable();
}

/// The copy: what is removed is removed from its snapshot, its settings and its clock.
class Twin {
public:
    Twin(Standing world, const DagRun& run, Histogram& histogram)
        : world_(std::move(world)), run_(run), histogram_(histogram) {}

    void remove(
        const core::Reasons& reasons, const std::vector<TaskInstance>& rows, const TaskKey& key
    );
    /// It is the first that gets what it needs beside others.
    void prefer(TaskNo task);
    /// Throws Broken unless it goes on.
    void check(const std::optional<TaskKey>& key, const core::Reasons& reasons);

private:
    void remove(
        const core::Reason& reason, const std::vector<TaskInstance>& rows, const TaskKey& key
    );
    bool remove_limit(const core::Reason& reason, TaskNo task);
    bool remove_from_run(const core::Reason& reason);
    void end_upstream(
        const core::Reason& reason, const std::vector<TaskInstance>& rows, TaskNo task
    );
    void mend_past(const core::Reason& reason);
    void end_well(const DagRun& run, TaskNo task);
    void mend_facts(PastRun& previous) const;
    void free_pool(const std::string& name);
    void set_state(const TaskKey& key, TaskState state);
    Dag& edit(VersionId version);
    [[nodiscard]] VersionId current() const;
    [[nodiscard]] bool goes_on(const std::optional<TaskKey>& key) const;
    void turn(std::vector<core::Event> events);
    void turns(const std::optional<TaskKey>& key);

    Standing world_;
    DagRun run_;
    Histogram& histogram_;
    std::map<VersionId, std::shared_ptr<Dag>> edited_;
    std::set<std::pair<std::string, std::string>> past_;  // run id and task id that went well
    std::optional<core::Scheduler> scheduler_;
    std::vector<core::Event> next_;
    std::set<TaskKey> pokes_;
    std::vector<std::string> made_;  // "dag.run." of runs that are new
    bool started_{false};            // somebody
};

Dag& Twin::edit(VersionId version) {
    auto& dag = edited_[version];
    if (!dag)
        for (const auto& known : world_.snapshot.versions)
            if (known->version == version) dag = std::make_shared<Dag>(*known);
    SLUICE_CHECK(dag != nullptr);
    return *dag;
}

VersionId Twin::current() const {
    for (const auto& dag : world_.snapshot.dags)
        if (dag.dag_id == run_.dag_id) return dag.current;
    unreachable();
}

void Twin::prefer(TaskNo task) {
    auto& wanted = edit(run_.version).tasks[static_cast<std::size_t>(task)];
    wanted.weight_rule = WeightRule::absolute;
    wanted.priority_weight = plenty;
}

void Twin::set_state(const TaskKey& key, TaskState state) {
    auto& rows = world_.snapshot.instances;
    auto row = std::ranges::find(rows, key, &TaskInstance::key);
    if (row == rows.end()) {
        row = rows.insert(rows.end(), TaskInstance{});
        row->key = key;
    }
    row->state = state;
    row->end_date = world_.now;
    row->next_try_at.reset();
    std::erase_if(world_.snapshot.waits, [&](const WaitRow& wait) { return wait.key == key; });
}

void Twin::free_pool(const std::string& name) {
    if (name == "cpu") world_.settings.cpu = plenty;
    if (name == "memory_mb") world_.settings.memory_mb = plenty;
    if (name == "cpu" || name == "memory_mb") return;
    auto& pools = world_.snapshot.pools;
    auto pool = std::ranges::find(pools, name, &Pool::name);
    if (pool == pools.end()) {
        pool = pools.insert(pools.end(), Pool{});
        pool->name = name;
    }
    pool->slots = -1;
}

/// "dag.run.task" or "dag.run.task[3]": its unfinished instances end as the task needs it.
void Twin::end_upstream(
    const core::Reason& reason, const std::vector<TaskInstance>& rows, TaskNo task
) {
    const Dag& dag = edit(run_.version);
    auto id = reason.object.substr(run_.dag_id.size() + run_.run_id.size() + 2);
    std::optional<MapIndex> index;
    if (const auto bracket = id.find('['); bracket != std::string::npos) {
        index = std::stoi(id.substr(bracket + 1));
        id.resize(bracket);
    }
    const TaskNo up = find_task(dag, id);
    SLUICE_CHECK(up != no_task);
    const auto rule = dag.tasks[static_cast<std::size_t>(task)].trigger_rule;
    const auto end = reason.condition == "setup" ? TaskState::success : wanted_end(rule);
    for (const auto& row : rows)
        if (row.key.task == up && !is_finished(row.state) &&
            (!index || row.key.map_index == *index))
            set_state(row.key, end);
}

/// "dag.run.task" of the run before; what of it has ended is told when the twin asks.
void Twin::mend_past(const core::Reason& reason) {
    const auto task_at = reason.object.rfind('.') + 1;
    const auto begin = run_.dag_id.size() + 1;
    if (task_at <= begin + 1) return;  // still being read
    const auto run_id = reason.object.substr(begin, task_at - 1 - begin);
    const auto task_id = reason.object.substr(task_at);
    past_.emplace(run_id, task_id);
    for (const auto& run : world_.snapshot.open_runs)
        if (run.dag_id == run_.dag_id && run.run_id == run_id)
            if (const TaskNo task = find_task(edit(run.version), task_id); task != no_task)
                end_well(run, task);
}

/// All instances of the task in an open run.
void Twin::end_well(const DagRun& run, TaskNo task) {
    const MapNo map = edit(run.version).tasks[static_cast<std::size_t>(task)].mapping;
    std::int32_t length = 0;
    for (const auto& known : world_.snapshot.map_lengths)
        if (known.run == run.key && known.map == map && known.outer == unmapped)
            length = known.length;
    const auto& rows = world_.snapshot.instances;
    const auto end = [&](MapIndex index) {
        const TaskKey key{run.key, task, index};
        const auto row = std::ranges::find(rows, key, &TaskInstance::key);
        if (row == rows.end() || row->state != TaskState::skipped)
            set_state(key, TaskState::success);
    };
    // One that ended before its number was known never got its instances.
    const auto one = std::ranges::find(rows, TaskKey{run.key, task, unmapped}, &TaskInstance::key);
    const bool is_one =
        map == no_map || length <= 0 || (one != rows.end() && one->state != TaskState::none);
    if (is_one) return end(unmapped);
    for (MapIndex i = 0; i < length; ++i) end(i);
}

bool Twin::remove_limit(const core::Reason& reason, TaskNo task) {
    const auto& name = reason.condition;
    if (name == "parallelism") {
        world_.settings.parallelism = plenty;
    } else if (name == "max_active_runs") {
        edit(current()).max_active_runs = plenty;
    } else if (name == "max_active_tasks_per_run") {
        edit(run_.version).max_active_tasks_per_run = plenty;
    } else if (name == "max_active_tasks_per_dag") {
        edit(current()).max_active_tasks_per_dag.reset();
    } else if (name == "max_active_tis_per_dagrun") {
        edit(run_.version).tasks[static_cast<std::size_t>(task)].max_active_tis_per_dagrun.reset();
    } else if (name == "max_active_tis_per_dag") {
        const auto id = edit(run_.version).tasks[static_cast<std::size_t>(task)].id;
        for (const auto& version : world_.snapshot.versions)
            if (const TaskNo no = find_task(*version, id);
                version->dag_id == run_.dag_id && no != no_task)
                edit(version->version)
                    .tasks[static_cast<std::size_t>(no)]
                    .max_active_tis_per_dag.reset();
    } else if (name == "pool") {
        free_pool(reason.object);
    } else if (name == "pool_reserved") {
        world_.settings.reserve_after = std::chrono::hours{100'000};
    } else {
        return false;
    }
    return true;
}

bool Twin::remove_from_run(const core::Reason& reason) {
    const auto& name = reason.condition;
    auto& backfills = world_.snapshot.backfills;
    const auto backfill = std::ranges::find_if(backfills, [&](const Backfill& other) {
        return run_.backfill && other.id == *run_.backfill;
    });
    if (name == "dag_paused") {
        std::ranges::find(world_.snapshot.dags, run_.dag_id, &DagState::dag_id)->is_paused = false;
    } else if (name == "backfill_paused") {
        backfill->is_paused = false;
    } else if (name == "backfill_max_active_runs") {
        backfill->max_active_runs = plenty;
    } else if (name == "backfill_order") {
        std::erase_if(world_.snapshot.open_runs, [&](const DagRun& other) {
            return other.backfill == run_.backfill && other.state == RunState::queued &&
                   other.backfill_ordinal < run_.backfill_ordinal;
        });
    } else {
        // Others say what keeps the run queued.
        return name == "run_queued";
    }
    return true;
}

void Twin::remove(
    const core::Reason& reason, const std::vector<TaskInstance>& rows, const TaskKey& key
) {
    const auto& name = reason.condition;
    ++histogram_[{"why", name}];
    if (remove_from_run(reason) || remove_limit(reason, key.task)) return;
    if (name == "run_after" || name == "retry_delay" || name == "poke_interval")
        world_.now = std::max(world_.now, reason.until.value_or(world_.now));
    else if (name == "trigger_rule" || name == "setup")
        end_upstream(reason, rows, key.task);
    else if (name == "depends_on_past")
        mend_past(reason);
    else if (name == "restarting")
        std::erase_if(world_.alive, [&](const AttemptKey& attempt) { return attempt.task == key; });
    else
        // After a restart it looks again at once; the number of items is asked for again.
        must(
            name == "event" || name == "input" || name == "expansion",
            "why: nobody knows how to remove " + name
        );
}

void Twin::remove(
    const core::Reasons& reasons, const std::vector<TaskInstance>& rows, const TaskKey& key
) {
    for (const auto& reason : reasons) remove(reason, rows, key);
}

void Twin::mend_facts(PastRun& previous) const {
    for (const auto& [run_id, task_id] : past_) {
        const TaskNo task = find_task(*previous.dag, task_id);
        if (previous.run.run_id != run_id || task == no_task) continue;
        auto end = std::ranges::find(previous.tasks, task, &PastRun::TaskEnd::task);
        if (end == previous.tasks.end()) end = previous.tasks.insert(end, {task});
        end->good = 1;
        end->other = 0;
    }
}

void Twin::turn(std::vector<core::Event> events) {
    Turn turn;
    if (!scheduler_) {
        for (auto& version : world_.snapshot.versions) {
            const auto other = edited_.find(version->version);
            if (other == edited_.end()) continue;
            SLUICE_CHECK(link_tasks(*other->second).empty());
            version = other->second;
        }
        scheduler_.emplace(world_.settings, world_.snapshot);
        scheduler_->recover(world_.alive, world_.now, turn);
    }
    next_.clear();
    for (auto& event : events)
        if (scheduler_->step(event, world_.now, turn) != core::Taken::yes) next_.push_back(event);
    scheduler_->dispatch(world_.now, turn);
    started_ = started_ || !turn.starts.empty() || !turn.runs.empty();
    for (const auto& change : turn.runs)
        if (change.row == RowIs::fresh)
            made_.push_back(fmt::format("{}.{}.", change.run.dag_id, change.run.run_id));
    for (const auto& order : turn.starts)
        if (order.key.poke != 0) pokes_.insert(order.key.task);
    for (const auto& question : turn.past_questions) {
        auto facts = world_.past(question);
        if (facts.previous) mend_facts(*facts.previous);
        next_.emplace_back(std::move(facts));
    }
    for (const auto& order : turn.expands) {
        core::Expanded expanded;
        expanded.run = order.run_key;
        expanded.map = order.map;
        expanded.serial = order.serial;
        expanded.outer = order.outer;
        expanded.length = 1;
        if (order.run_key == run_.key) next_.emplace_back(expanded);
    }
}

/// Dispatched, or no longer waiting.
bool Twin::goes_on(const std::optional<TaskKey>& key) const {
    const DagRun* run = scheduler_->find_open_run(run_.key);
    if (run == nullptr) return true;
    if (!key) return run->state == RunState::running;
    if (pokes_.contains(*key)) return true;
    for (const auto& row : scheduler_->instances(run_.key))
        if (row.key == *key) return row.state == TaskState::running || is_finished(row.state);
    return true;  // it has become several
}

/// The step, which the core may make in several turns.
void Twin::turns(const std::optional<TaskKey>& key) {
    turn({});
    for (int i = 0; i < 100 && !goes_on(key); ++i) {
        const auto wakeup = scheduler_->next_wakeup();
        // After a restart what is to look again does so a moment later.
        const auto moment = std::chrono::milliseconds{1};
        if (next_.empty() && (!wakeup || *wakeup > world_.now + moment)) return;
        if (wakeup && *wakeup <= world_.now + moment) world_.now = std::max(world_.now, *wakeup);
        turn(std::vector<core::Event>{next_});
    }
}

void Twin::check(const std::optional<TaskKey>& key, const core::Reasons& reasons) {
    turns(key);
    const std::string result = "what why named was removed";
    if (goes_on(key)) {
        ++histogram_[{result, "it went on"}];
        return;
    }
    const auto after = key ? scheduler_->why(*key) : scheduler_->why(run_.key);
    // Others may have taken what it did not lack before; a queued run has not read its past yet.
    const bool reads = std::ranges::any_of(reasons, [](const core::Reason& reason) {
        return reason.condition == "depends_on_past" &&
               reason.object.find("..") != std::string::npos;
    });
    const bool overtaken =
        started_ && after && !after->empty() &&
        std::ranges::all_of(*after, [&](const core::Reason& reason) {
            const bool before = std::ranges::any_of(reasons, [&](const core::Reason& other) {
                return other.condition == reason.condition && other.object == reason.object &&
                       reason.condition != "run_queued";
            });
            if (reason.condition == "depends_on_past")
                return reads || std::ranges::any_of(made_, [&](const std::string& run) {
                           return reason.object.starts_with(run);
                       });
            // Runs that failed at once may have paused it again.
            if (reason.condition == "dag_paused")
                return edit(current()).max_consecutive_failed_dag_runs > 0;
            return is_shared(reason.condition) && !before;
        });
    must(
        overtaken,
        fmt::format(
            "why does not tell all of {} {}{}: removed{}\n  then{}",
            run_.dag_id,
            run_.run_id,
            key ? fmt::format(" task {}[{}]", key->task, key->map_index) : "",
            words(reasons),
            words(after.value_or(core::Reasons{}))
        )
    );
    ++histogram_[{result, "others were before it"}];
}

}  // namespace

void check_why(
    Standing world,
    const DagRun& run,
    const std::vector<TaskInstance>& rows,
    const TaskInstance& instance,
    const core::Reasons& reasons,
    Histogram& histogram
) {
    Twin twin{std::move(world), run, histogram};
    twin.prefer(instance.key.task);
    twin.remove(reasons, rows, instance.key);
    twin.check(instance.key, reasons);
}

void check_why(
    Standing world, const DagRun& run, const core::Reasons& reasons, Histogram& histogram
) {
    Twin twin{std::move(world), run, histogram};
    twin.remove(reasons, {}, {run.key, no_task, unmapped});
    twin.check(std::nullopt, reasons);
}

}  // namespace sluice::sim
