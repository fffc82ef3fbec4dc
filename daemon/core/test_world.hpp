// test_world.hpp — for tests of core: a scheduler, a clock that stands still, and what was decided.
// Every turn is checked: no instance changes twice, seq has no gaps, transitions are legal.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/scheduler.hpp"

namespace sluice::core::test {

using namespace std::chrono_literals;

inline Instant at(std::string_view text) {
    const auto parsed = parse_time(text);
    REQUIRE(parsed);
    return parsed->at;
}

/// One task of a test DAG: "extract", or "load < extract transform" for one with upstreams.
inline Dag make_dag(const std::string& dag_id, const std::vector<std::string>& lines) {
    Dag dag;
    dag.dag_id = dag_id;
    dag.hash = dag_id;
    dag.is_paused_upon_creation = false;
    for (const auto& line : lines) {
        Task task;
        std::string word;
        for (const char c : line + " ") {
            if (c != ' ') {
                word += c;
                continue;
            }
            if (task.id.empty())
                task.id = word;
            else if (!word.empty() && word != "<")
                task.upstream.push_back(find_task(dag, word));
            word.clear();
        }
        dag.tasks.push_back(task);
    }
    REQUIRE(link_tasks(dag).empty());
    return dag;
}

class World {
public:
    explicit World(const Settings& settings = Settings{}, const Snapshot& snapshot = Snapshot{})
        : settings_(settings), scheduler(settings, snapshot) {}

    /// Gives the DAG a version number and loads it.
    DagPtr load(Dag dag) {
        dag.version = {++last_version_};
        dag.hash += std::to_string(last_version_);
        auto ptr = std::make_shared<const Dag>(std::move(dag));
        versions_.push_back(ptr);
        turn({DagLoaded{ptr, true}});
        return ptr;
    }

    /// The same without loading it: a form (model/layout).
    DagPtr keep(Dag dag) {
        dag.version = {++last_version_};
        return versions_.emplace_back(std::make_shared<const Dag>(std::move(dag)));
    }

    /// Turns until nothing is due: events first, then what was put off. Returns the last answer.
    void turn(std::vector<Event> events) {
        int count = 0;
        do {
            Turn turn;
            std::vector<Event> later;
            for (const auto& event : events)
                if (scheduler.step(event, now, turn) == Taken::next_turn) later.push_back(event);
            scheduler.dispatch(now, turn);
            take(turn);
            events = std::move(later);
            for (const auto& question : turn.past_questions) events.emplace_back(answer(question));
            for (const auto& question : turn.runtime_questions)
                events.emplace_back(answer(question));
            REQUIRE(++count < 100);
        } while (!events.empty() || (scheduler.next_wakeup() && *scheduler.next_wakeup() <= now));
    }

    void wait(Duration duration) {
        now += duration;
        turn({Tick{}});
    }

    const Answer& trigger(const std::string& dag_id, const std::string& run_id = "r") {
        TriggerRun event;
        event.request = {++last_request_};
        event.actor.user = "ada";
        event.dag_id = dag_id;
        event.run_id = run_id;
        return ask(event);
    }

    template <class Command>
    const Answer& ask(Command command) {
        command.request = {++last_request_};
        command.actor.user = "ada";
        turn({command});
        const auto found = answers.find(command.request);
        REQUIRE(found != answers.end());
        return found->second;
    }

    /// Ends the live attempt of the task in the only, or the named, run.
    void end(const std::string& task, const Outcome& outcome = {}, const std::string& run = "") {
        AttemptEnded event;
        event.result.key = live_attempt(task, run);
        event.result.end_date = now;
        event.result.outcome = outcome;
        live.erase(event.result.key);
        turn({event});
    }
    void fail(const std::string& task, ErrorClass error_class = ErrorClass::none) {
        Outcome outcome;
        outcome.kind = OutcomeKind::failed;
        outcome.error_class = error_class;
        outcome.message = "no";
        end(task, outcome);
    }

    AttemptKey live_attempt(const std::string& task, const std::string& run = "") const {
        for (const auto& [key, order] : live) {
            const auto& found = order.dag->tasks[static_cast<std::size_t>(key.task.task)];
            if (found.id == task && (run.empty() || order.run->run_id == run)) return key;
        }
        FAIL("no live attempt of " + task);
        return {};
    }

    /// Ids of the tasks that run, in the order of their start.
    [[nodiscard]] std::set<std::string> running() const {
        std::set<std::string> ids;
        for (const auto& [key, order] : live)
            ids.insert(order.dag->tasks[static_cast<std::size_t>(key.task.task)].id);
        return ids;
    }

    [[nodiscard]] std::string state(const std::string& task, const std::string& run = "") const {
        for (const auto& [key, row] : runs) {
            if (!run.empty() && row.run_id != run) continue;
            const TaskNo no = find_task(*version(row.version), task);
            const auto found = instances.find({key, no, unmapped});
            return std::string{
                name(found == instances.end() ? TaskState::none : found->second.state)
            };
        }
        return "no run";
    }
    [[nodiscard]] std::string run_state(const std::string& run = "") const {
        for (const auto& [key, row] : runs)
            if (run.empty() || row.run_id == run) return std::string{name(row.state)};
        return "no run";
    }
    [[nodiscard]] DagRun run(const std::string& run_id = "") const {
        for (const auto& [key, row] : runs)
            if (run_id.empty() || row.run_id == run_id) return row;
        FAIL("no run " + run_id);
        return {};
    }
    [[nodiscard]] TaskInstance instance(const std::string& task) const {
        const auto& row = runs.begin()->second;
        return instances.at({row.key, find_task(*version(row.version), task), unmapped});
    }
    [[nodiscard]] StoredRun stored(RunKey key) const {
        StoredRun found;
        found.run = runs.at(key);
        found.dag = version(found.run.version);
        for (const auto& [task, row] : instances)
            if (task.run == key) found.instances.push_back(row);
        for (const auto& [map, row] : map_lengths)
            if (map.run == key) found.map_lengths.push_back(row);
        for (const auto& row : map_ranges)
            if (row.run == key) found.map_ranges.push_back(row);
        if (found.run.backfill) found.subset = backfills.at(*found.run.backfill).tasks;
        for (const auto& [task, row] : branches)
            if (task.run == key) found.branches.push_back(row);
        return found;
    }
    [[nodiscard]] TaskKey key(const std::string& task) const {
        const auto& row = runs.begin()->second;
        return {row.key, find_task(*version(row.version), task), unmapped};
    }
    [[nodiscard]] DagPtr version(VersionId id) const {
        return versions_.at(static_cast<std::size_t>(id.value - 1));
    }

    /// What a restarted daemon reads.
    [[nodiscard]] Snapshot snapshot() const {
        Snapshot result;
        result.last_seq = last_seq;
        result.now = now;
        for (const auto& [id, state] : dags) result.dags.push_back(state);
        for (const auto& [id, number] : deleted_dags) result.deleted_dags.push_back({id, number});
        result.versions = versions_;
        for (const auto& [key, row] : runs) {
            result.last_run = key;
            if (!is_finished(row.state)) result.open_runs.push_back(row);
        }
        for (const auto& [key, row] : instances)
            if (!is_finished(runs.at(key.run).state)) result.instances.push_back(row);
        for (const auto& [key, row] : map_lengths)
            if (!is_finished(runs.at(key.run).state)) result.map_lengths.push_back(row);
        for (const auto& row : map_ranges)
            if (!is_finished(runs.at(row.run).state)) result.map_ranges.push_back(row);
        for (const auto& [id, row] : backfills) {
            result.last_backfill = id;
            if (!row.completed_at) result.backfills.push_back(row);
            if (!row.tasks.empty()) result.subsets.push_back({id, row.tasks});
        }
        for (const auto& [id, row] : pools) result.pools.push_back(row);
        for (const auto& [key, row] : waits)
            if (!row.over && !is_finished(runs.at(key.run).state)) result.waits.push_back(row);
        for (const auto& [key, row] : deadlines)
            if (!is_finished(runs.at(row.run).state)) result.deadlines.push_back(row);
        for (const auto& [key, row] : branches) result.branches.push_back(row);
        for (const auto& [key, row] : endings) result.endings.push_back(row);
        for (const auto& [key, row] : clearings) result.clearings.push_back(row);
        for (const auto& [id, row] : failures) result.failures.push_back(row);
        std::erase_if(result.branches, [&](const BranchChoice& row) {
            return is_finished(runs.at(row.key.run).state);
        });
        for (const auto& [key, mark] : asset_marks) result.asset_marks.push_back(mark);
        result.asset_events = asset_events;
        if (!asset_events.empty()) result.last_asset_event = asset_events.back().id;
        return result;
    }
    /// kill -9 and a new start; `alive` attempts go on (a reload rather than a restart).
    void restart(const std::vector<AttemptKey>& alive = {}) {
        scheduler = Scheduler{settings_, snapshot()};
        std::erase_if(live, [&](const auto& entry) {
            return std::ranges::find(alive, entry.first) == alive.end();
        });
        Turn turn;
        scheduler.recover(alive, now, turn);
        scheduler.dispatch(now, turn);
        take(turn);
        std::vector<Event> facts;
        for (const auto& question : turn.past_questions) facts.emplace_back(answer(question));
        for (const auto& question : turn.runtime_questions) facts.emplace_back(answer(question));
        this->turn(std::move(facts));
    }

    /// What the runtime reads of the run before.
    [[nodiscard]] PastFacts answer(const PastQuestion& question) const {
        PastFacts facts;
        facts.run = question.run;
        facts.number = question.number;
        const DagRun* previous = nullptr;
        for (const auto& [key, row] : runs) {
            if (row.dag_id != question.dag_id || !row.logical_date) continue;
            if (*row.logical_date >= question.before) continue;
            for (const auto& id : question.tasks)
                if (find_task(*version(row.version), id) != no_task) facts.seen.push_back(id);
            if (question.scheduled_only && row.type == RunType::manual) continue;
            if (previous == nullptr || *previous->logical_date < *row.logical_date) previous = &row;
        }
        if (previous == nullptr) return facts;
        facts.previous.emplace().run = *previous;
        facts.previous->dag = version(previous->version);
        for (const auto& [key, row] : instances) {
            if (key.run != previous->key) continue;
            const bool good = row.state == TaskState::success || row.state == TaskState::skipped;
            facts.previous->tasks.push_back({key.task, good ? 1 : 0, good ? 0 : 1, row.state});
        }
        return facts;
    }

    /// How long the runs before took.
    [[nodiscard]] RuntimesKnown answer(const RuntimeQuestion& question) const {
        RuntimesKnown known;
        known.run = question.run;
        known.number = question.number;
        for (auto at = runs.rbegin(); at != runs.rend(); ++at) {
            const auto& [key, row] = *at;
            if (row.dag_id != question.dag_id || key == question.run) continue;
            if (row.state != RunState::success || std::ssize(known.runs) >= question.most) continue;
            known.runs.push_back(*row.end_date - *row.start_date);
            for (const auto& id : question.tasks) {
                const auto task =
                    instances.find({key, find_task(*version(row.version), id), unmapped});
                if (task != instances.end() && task->second.end_date)
                    known.tasks[id].push_back(*task->second.end_date - *row.start_date);
            }
        }
        return known;
    }

    void take(const Turn& turn) {
        std::set<TaskKey> seen;
        for (const auto& change : turn.tasks) {
            REQUIRE(seen.insert(change.instance.key).second);
            const auto known = instances.find(change.instance.key);
            REQUIRE((change.row == RowIs::fresh) == (known == instances.end()));
            const auto from = known == instances.end() ? TaskState::none : known->second.state;
            REQUIRE(change.from == from);
            REQUIRE(legal(from, change.instance.state));
            instances[change.instance.key] = change.instance;
        }
        for (const auto& change : turn.runs) {
            const auto known = runs.find(change.run.key);
            REQUIRE((change.row == RowIs::fresh) == (known == runs.end()));
            if (known != runs.end()) {
                REQUIRE(change.from == known->second.state);
                if (*change.from != change.run.state)
                    REQUIRE(legal(*change.from, change.run.state));
            }
            runs[change.run.key] = change.run;
        }
        for (const auto& transition : turn.transitions) {
            REQUIRE(transition.seq.value == last_seq.value + 1);
            last_seq = transition.seq;
            transitions.push_back(transition);
        }
        for (const auto& row : turn.asset_events) asset_events.push_back(row);
        for (const auto& row : turn.asset_uses) asset_uses[row.run].push_back(row.event);
        for (const auto& row : turn.asset_marks) {
            asset_marks.erase({row.dag_id, row.asset});
            if (!row.forgotten) asset_marks.emplace(std::pair{row.dag_id, row.asset}, row);
        }
        for (const auto& row : turn.map_lengths) map_lengths[{row.run, row.map, row.outer}] = row;
        for (const auto& row : turn.map_ranges) map_ranges.push_back(row);
        for (const auto& due : turn.callbacks) callbacks.push_back(due);
        for (const auto run : turn.deadlines_dropped)
            std::erase_if(deadlines, [&](const auto& entry) { return entry.second.run == run; });
        for (const auto& row : turn.deadlines)
            deadlines[{{row.run, row.task, unmapped}, row.number}] = row;
        for (const auto& row : turn.slices_kept) slices_kept.push_back(row);
        for (const auto& key : turn.checkpoints_dropped) checkpoints_dropped.push_back(key);
        for (const auto& order : turn.expands) expands.push_back(order);
        for (const auto& order : turn.starts) REQUIRE(live.emplace(order.key, order).second);
        for (const auto& order : turn.cancels) cancels.push_back(order);
        for (const auto& answer : turn.answers) answers[answer.id] = answer;
        for (const auto& state : turn.dags) dags[state.dag_id] = state;
        for (const auto& row : turn.backfills) backfills[row.id] = row;
        for (const auto& row : turn.backfill_dates) backfill_dates.push_back(row);
        for (const auto& row : turn.pools) pools[row.name] = row;
        for (const auto& name : turn.pools_removed) pools.erase(name);
        for (const auto& row : turn.waits) waits[row.key] = row;
        written += turn.has_rows() ? 1 : 0;
        for (const auto& row : turn.branches) {
            branches.erase(row.key);
            if (!row.forgotten) branches.emplace(row.key, row);
        }
        for (const auto& row : turn.endings) {
            endings.erase(row.run);
            if (!row.forgotten) endings.emplace(row.run, row);
        }
        for (const auto& row : turn.clearings) {
            clearings.erase(row.run);
            if (!row.over) clearings.emplace(row.run, row);
        }
        for (const RunKey run : turn.runs_deleted) {
            runs.erase(run);
            std::erase_if(instances, [&](const auto& entry) { return entry.first.run == run; });
            std::erase_if(deadlines, [&](const auto& entry) { return entry.second.run == run; });
        }
        for (const auto& row : turn.failures) failures[row.dag_id] = row;
        for (const auto& dag : turn.dags_removed) deleted_dags.erase(dag.dag_id);
        for (const auto& dag : turn.dags_deleted) {
            REQUIRE(deleted_dags.emplace(dag.dag_id, dag.number).second);
            dags.erase(dag.dag_id);
            failures.erase(dag.dag_id);
        }
        for (const auto& row : turn.attempts) attempts.push_back(row);
        for (const auto& row : turn.audits) audits.push_back(row);
        ++turns;
    }

private:
    Settings settings_;
    std::vector<DagPtr> versions_;
    std::int64_t last_version_{0};
    std::int64_t last_request_{0};

public:
    Scheduler scheduler;
    Instant now{std::chrono::sys_days{std::chrono::year{2026} / 1 / 10}};
    std::map<RunKey, DagRun> runs;
    std::map<TaskKey, TaskInstance> instances;
    std::map<AttemptKey, AttemptOrder> live;
    std::vector<CancelOrder> cancels;
    std::vector<CallbackDue> callbacks;
    std::map<std::pair<TaskKey, int>, DeadlineRow> deadlines;  // by number
    std::vector<TaskKey> checkpoints_dropped;
    std::vector<SlicesKept> slices_kept;
    std::map<RequestId, Answer> answers;
    std::map<std::string, DagState> dags;
    std::map<std::string, std::int64_t> deleted_dags;  // by number of the deletion
    std::map<BackfillId, Backfill> backfills;
    std::vector<BackfillDate> backfill_dates;
    std::map<std::string, Pool> pools;
    std::map<TaskKey, MapLength> map_lengths;  // the mapping in place of the task
    std::vector<MapRange> map_ranges;
    std::vector<ExpandOrder> expands;
    std::map<TaskKey, WaitRow> waits;
    int written{0};  // turns that had something to commit
    std::map<TaskKey, BranchChoice> branches;
    std::map<RunKey, RunEnding> endings;
    std::map<RunKey, Clearing> clearings;
    std::map<std::string, DagFailures> failures;
    std::vector<AssetEvent> asset_events;
    std::map<RunKey, std::vector<std::int64_t>> asset_uses;
    std::map<std::pair<std::string, std::string>, AssetMark> asset_marks;
    std::vector<AttemptRecord> attempts;
    std::vector<AuditEntry> audits;
    std::vector<Transition> transitions;
    Seq last_seq;
    int turns{0};
};

}  // namespace sluice::core::test
