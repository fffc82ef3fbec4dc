// actions.cpp — what users and the DAG folder do, at random, sensible or not.
#include "core/pace.hpp"
#include "tests/sim/dag_maker.hpp"
#include "tests/sim/world.hpp"

namespace sluice::sim {

using namespace std::chrono_literals;

template <class Command>
Command World::command() {
    Command event;
    event.request = {++last_request_};
    event.actor.user = "ada";
    return event;
}

void World::load_dag(
    const std::string& dag_id, std::vector<core::Event>& events, const std::string& without
) {
    Dag dag = make_dag(random_, dag_id, now_);
    dag.version = {++last_version_};
    if (const TaskNo task = find_task(dag, without); task != no_task)
        dag.tasks[static_cast<std::size_t>(task)].id += "x" + std::to_string(last_version_);
    auto loaded = std::make_shared<const Dag>(std::move(dag));
    versions_[loaded->version] = loaded;
    events.emplace_back(core::DagLoaded{loaded, random_.chance(50)});
    if (core::needs_paces(*loaded)) events.emplace_back(paces_of(dag_id));
}

/// An open run, or a finished one of late.
std::optional<RunKey> World::some_run() {
    std::vector<RunKey> keys;
    const auto& runs = journal_.runs();
    for (auto at = runs.rbegin(); at != runs.rend() && keys.size() < 12; ++at)
        keys.push_back(at->first);
    for (const auto& row : runs)
        if (!is_finished(row.second.state) && keys.size() < 24) keys.push_back(row.first);
    if (keys.empty()) return std::nullopt;
    return random_.pick(keys);
}

std::vector<TaskKey> World::some_tasks(RunKey run) {
    const auto& dag = *versions_.at(journal_.runs().at(run).version);
    std::vector<TaskKey> keys;
    const int count = random_.between(1, 3);
    for (int i = 0; i < count; ++i) {
        TaskKey key{run, random_.between(0, static_cast<int>(dag.tasks.size()) - 1), unmapped};
        const bool mapped = dag.tasks[static_cast<std::size_t>(key.task)].mapping != no_map;
        if (mapped && random_.chance(60)) key.map_index = random_.between(0, 4);
        keys.push_back(key);
    }
    return keys;
}

std::optional<core::Event> World::run_action() {
    const auto run = some_run();
    if (!run) return std::nullopt;
    switch (random_.between(0, 6)) {
        case 0:
        case 1:
        case 2: {
            auto clear = command<core::ClearTasks>();
            clear.run = *run;
            if (random_.chance(60)) clear.tasks = some_tasks(*run);
            clear.upstream = random_.chance(20);
            clear.downstream = random_.chance(50);
            clear.only_failed = random_.chance(30);
            clear.only_running = random_.chance(10);
            clear.reset_dag_runs = random_.chance(90);
            clear.dry_run = random_.chance(10);
            clear.on_latest = random_.chance(30);
            clear.only_new = clear.on_latest && random_.chance(20);
            return clear;
        }
        case 3: {
            auto mark = command<core::SetTaskState>();
            mark.tasks = some_tasks(*run);
            mark.state = random_.pick(
                std::vector<TaskState>{TaskState::success, TaskState::failed, TaskState::skipped}
            );
            return mark;
        }
        case 4: {
            auto set = command<core::SetRunState>();
            set.run = *run;
            set.state = random_.pick(
                std::vector<RunState>{RunState::success, RunState::failed, RunState::queued}
            );
            return set;
        }
        case 5: {
            auto gone = command<core::DeleteRun>();
            gone.run = *run;
            return gone;
        }
        default: {
            auto note = command<core::SetRunNote>();
            note.run = *run;
            note.note = "n" + std::to_string(random_.between(0, 9));
            return note;
        }
    }
}

/// An instance in one of the states that few are in at a time.
std::optional<TaskKey> World::someone_rare(const std::set<TaskState>& too) {
    std::map<TaskState, std::vector<TaskKey>> found;
    for (const auto& [key, state] : states_) {
        const bool is_rare =
            !is_finished(state) && state != TaskState::none && state != TaskState::running;
        if (is_rare || too.contains(state)) found[state].push_back(key);
    }
    if (found.empty()) return std::nullopt;
    const auto size = static_cast<int>(found.size());
    return whims_.pick(std::next(found.begin(), whims_.between(0, size - 1))->second);
}

/// All instances of a mapping of some run: how many there are is found out anew.
std::optional<core::Event> World::clear_mapping() {
    std::vector<std::pair<RunKey, MapNo>> found;
    for (const auto& [key, run] : journal_.runs())
        for (MapNo map = 0; const auto& mapping : versions_.at(run.version)->mappings) {
            const auto known = journal_.map_length(key, map);
            if (!mapping.length && known && known->length > 0) found.emplace_back(key, map);
            ++map;
        }
    if (found.empty()) return std::nullopt;
    const auto [run, map] = whims_.pick(found);
    auto clear = command<core::ClearTasks>();
    clear.run = run;
    const auto& mappings = versions_.at(journal_.runs().at(run).version)->mappings;
    const auto& chosen = mappings[static_cast<std::size_t>(map)];
    // Whoever waits for a list sees the next one.
    clear.downstream = chosen.outer != no_map;
    for (const auto& mapping : mappings)
        if (&mapping == &chosen || mapping.outer == map)
            for (const TaskNo task : mapping.tasks) clear.tasks.push_back({run, task, unmapped});
    return clear;
}

/// What happens seldom by itself.
std::optional<core::Event> World::rare_action() {
    if (whims_.chance(25)) return clear_mapping();
    auto key = someone_rare({TaskState::running, TaskState::upstream_failed, TaskState::removed});
    if (!key) return std::nullopt;
    // Few are restarting at a time.
    for (const auto& [other, state] : states_)
        if (state == TaskState::restarting && whims_.chance(30)) key = other;
    if (whims_.chance(40)) {
        auto clear = command<core::ClearTasks>();
        clear.run = key->run;
        clear.tasks = {*key};
        return clear;
    }
    auto mark = command<core::SetTaskState>();
    mark.tasks = {*key};
    mark.state = whims_.pick(
        std::vector<TaskState>{TaskState::success, TaskState::failed, TaskState::skipped}
    );
    return mark;
}

/// A new version without a task that a run has, and the run moves to it.
void World::move_action(std::vector<core::Event>& events) {
    const auto key = someone_rare({TaskState::running, TaskState::upstream_failed});
    if (!key) return;
    const auto run = journal_.runs().find(key->run);
    if (run == journal_.runs().end() || !current_.contains(run->second.dag_id)) return;
    if (states_.at(*key) == TaskState::running && whims_.chance(30)) {
        // Its attempt is being stopped when the run moves, in the next turn.
        auto clear = command<core::ClearTasks>();
        clear.run = key->run;
        clear.tasks = {*key};
        events.emplace_back(std::move(clear));
    }
    const auto& tasks = versions_.at(run->second.version)->tasks;
    load_dag(run->second.dag_id, events, tasks[static_cast<std::size_t>(key->task)].id);
    auto clear = command<core::ClearTasks>();
    clear.run = key->run;
    clear.on_latest = true;
    if (whims_.chance(50))
        clear.only_new = true;
    else
        clear.tasks = {*key};
    events.emplace_back(std::move(clear));
}

core::Event World::backfill_action() {
    if (!backfills_.empty() && random_.chance(60)) {
        auto patch = command<core::PatchBackfill>();
        patch.backfill = *std::next(
            backfills_.begin(), random_.between(0, static_cast<int>(backfills_.size()) - 1)
        );
        patch.action = static_cast<core::PatchBackfill::Action>(random_.between(0, 2));
        return patch;
    }
    auto create = command<core::CreateBackfill>();
    auto& wanted = create.backfill;
    wanted.dag_id = "d" + std::to_string(random_.between(0, 4));
    wanted.from_date = now_ - std::chrono::minutes{random_.between(0, 400)};
    wanted.to_date = wanted.from_date + std::chrono::minutes{random_.between(-10, 300)};
    wanted.reprocess = static_cast<ReprocessBehavior>(random_.between(0, 2));
    wanted.max_active_runs = random_.between(1, 3);
    wanted.run_backwards = random_.chance(30);
    wanted.on_latest = random_.chance(40);
    const auto dag = current_.find(wanted.dag_id);
    if (dag != current_.end() && random_.chance(40))
        for (const auto& task : dag->second->tasks)
            if (random_.chance(40)) wanted.tasks.push_back(task.id);
    return create;
}

core::Event World::pool_action() {
    if (random_.chance(25)) {
        auto remove = command<core::RemovePool>();
        remove.name = random_.chance(50) ? "p1" : "p2";
        return remove;
    }
    auto put = command<core::PutPool>();
    put.pool.name = random_.pick(std::vector<std::string>{"p1", "p2", "default_pool", "cpu"});
    put.pool.slots = random_.between(-1, 4);
    put.pool.include_deferred = random_.chance(50);
    return put;
}

/// Somebody answers the first question that nobody has answered.
std::optional<core::Event> World::answer_action() {
    for (const auto& [key, wait] : journal_.waits()) {
        if (wait.over || wait.kind != WaitKind::input) continue;
        if (states_[key] != TaskState::awaiting_input || wait.resume.starts_with("{")) continue;
        auto say = command<core::AnswerInput>();
        say.task = key;
        say.answer = "{}";
        return say;
    }
    return std::nullopt;
}

core::Event World::asset_action(const std::string& dag_id) {
    const std::string asset = "raw.a" + std::to_string(random_.between(0, 4));
    if (random_.chance(75)) {
        auto push = command<core::CreateAssetEvent>();
        push.asset = asset;
        return push;
    }
    auto forget = command<core::ForgetAssetEvents>();
    if (random_.chance(60)) forget.dag_id = dag_id;
    if (random_.chance(60)) forget.asset = asset;
    return forget;
}

/// Mostly of a DAG that has nothing open.
core::Event World::delete_action() {
    std::set<std::string> busy;
    for (const auto& [key, run] : journal_.runs())
        if (!is_finished(run.state)) busy.insert(run.dag_id);
    std::vector<std::string> idle;
    for (const auto& [dag_id, dag] : current_)
        if (!busy.contains(dag_id)) idle.push_back(dag_id);
    auto gone = command<core::DeleteDag>();
    gone.dag_id = idle.empty() || deletions_.chance(10)
                      ? "d" + std::to_string(deletions_.between(0, 4))
                      : deletions_.pick(idle);
    return gone;
}

/// The store has removed what was left of a deleted DAG, and may say so twice; its file comes again
/// before or after that.
void World::remove_deleted(std::vector<core::Event>& events) {
    for (const auto& [dag_id, number] : journal_.deleted_dags()) {
        if (deletions_.one_in(8)) load_dag(dag_id, events);
        if (!deletions_.one_in(5)) continue;
        events.emplace_back(core::DagRemoved{{dag_id, number}});
        if (deletions_.one_in(2)) events.emplace_back(core::DagRemoved{{dag_id, number}});
        if (deletions_.one_in(2)) load_dag(dag_id, events);
    }
}

void World::user_action(std::vector<core::Event>& events) {
    const std::string dag_id = "d" + std::to_string(random_.between(0, 4));
    if (whims_.one_in(10))
        if (auto event = rare_action()) events.push_back(std::move(*event));
    if (whims_.one_in(30)) move_action(events);
    switch (random_.between(0, 12)) {
        case 12:
            events.push_back(asset_action(dag_id));
            return;
        case 0:
        case 1:
        case 2:
        case 3: {
            auto trigger = command<core::TriggerRun>();
            trigger.dag_id = dag_id;
            if (random_.chance(30)) trigger.run_id = "r" + std::to_string(random_.between(0, 99));
            if (random_.chance(30))
                trigger.logical_date = std::chrono::floor<std::chrono::minutes>(now_);
            if (random_.chance(10)) trigger.run_after = now_ + 10min;
            events.emplace_back(std::move(trigger));
            return;
        }
        case 4:
        case 5: {
            auto pause = command<core::PauseDag>();
            pause.dag_id = dag_id;
            pause.paused = random_.chance(40);
            events.emplace_back(std::move(pause));
            return;
        }
        case 6:
            if (random_.chance(40)) events.emplace_back(backfill_action());
            return;
        case 7:
            events.emplace_back(pool_action());
            if (auto said = answer_action()) events.push_back(std::move(*said));
            return;
        case 8:
            if (random_.chance(30))
                load_dag(dag_id, events);
            else if (current_.contains(dag_id) && random_.chance(20))
                events.emplace_back(core::DagGone{dag_id});
            return;
        default:
            if (auto event = run_action()) events.push_back(std::move(*event));
            return;
    }
}

}  // namespace sluice::sim
