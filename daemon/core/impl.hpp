// impl.hpp — the inside of Scheduler: all state, and what the parts of core call of each other.
// Each group of functions stands in the .cpp file that its heading names.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/plan.hpp"
#include "core/pools.hpp"
#include "core/ready_queue.hpp"
#include "core/run_state.hpp"
#include "core/scheduler.hpp"
#include "core/timers.hpp"
#include "core/unsettled.hpp"
#include "core/waits.hpp"
#include "core/why.hpp"

namespace sluice::core {

/// Why a transition happened and who wanted it; kept in the transition log.
struct Cause {
    std::string_view text;
    std::string_view actor{};  // "" = the scheduler
};

/// A backfill that is not completed, and its runs that are open.
struct BackfillEntry {
    Backfill row;
    bool row_dirty{false};
    int running{0};                           // runs in state running
    std::set<std::pair<int, RunKey>> queued;  // by ordinal
    [[nodiscard]] bool has_open_runs() const { return running > 0 || !queued.empty(); }
};

/// An asset that some DAG waits for.
struct Asset {
    std::deque<AssetEvent> events;  // beyond the mark of some DAG, by id
    std::set<DagNo> subscribers;
};

class Scheduler::Impl {
public:
    Impl(const Settings& settings, const Snapshot& snapshot);
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void recover(const std::vector<AttemptKey>& alive, Instant now, Turn& turn);
    Taken step(const Event& event, Instant now, Turn& turn);
    void dispatch(Instant now, Turn& turn);
    [[nodiscard]] std::optional<Instant> next_wakeup() const;
    bool starts_held_{false};  // the daemon is about to stop: nothing more is started
    [[nodiscard]] const DagState* find_dag(const std::string& dag_id) const;
    [[nodiscard]] bool is_being_removed(const std::string& dag_id) const {
        return deleted_dags_.contains(dag_id);
    }
    [[nodiscard]] const DagRun* find_open_run(RunKey run) const;
    [[nodiscard]] std::vector<TaskInstance> instances(RunKey run) const;
    [[nodiscard]] std::vector<std::pair<TaskNo, StateCounts>> mapped_counts(RunKey run) const;
    [[nodiscard]] std::vector<PoolUse> pool_use() const;
    [[nodiscard]] std::optional<PastBlock> past_block(const TaskKey& task) const;
    [[nodiscard]] Counts counts() const;
    [[nodiscard]] std::optional<Reasons> why(const std::string& dag_id) const;
    [[nodiscard]] std::optional<Reasons> why(RunKey run) const;
    std::optional<Reasons> why(const TaskKey& task);
    [[nodiscard]] std::optional<Reasons> why(
        const std::string& dag_id, const Interval& asked, const std::vector<Instant>& made
    ) const;
    [[nodiscard]] std::vector<AssetEvent> queued_asset_events(
        const std::string& dag_id, const std::string& asset
    ) const;
    [[nodiscard]] std::vector<std::string> subscribers_of(const std::string& asset) const;

private:
    // turn.cpp: the turn and what it records
    void begin_turn(Instant now, Turn& turn);
    void seal();
    void change(Run& run, Instance& instance, TaskState to, const Cause& cause);
    void count_change(Run& run, const Instance& instance, TaskState from, TaskState to);
    void touch(Run& run);      // something about the run changes in this turn
    void list(Run& run);       // it is looked at when the turn is sealed
    void touch_row(Run& run);  // its row is to be written
    void change_run(Run& run, RunState to, const Cause& cause);
    void put_transition(const Run& run, TaskNo task, int from, int to, const Cause& cause);
    void check_later(Run& run);
    void mark_dirty(DagEntry& dag);
    void touch_dag_row(DagEntry& dag);
    [[nodiscard]] bool is_touched(const Run& run) const { return run.touched == turn_no_; }
    void fire_timers();

    // answers.cpp
    Answer& answer(RequestId request);
    void refuse(RequestId request, ErrorCode code, std::string message);
    struct Subject {
        std::string_view dag_id;
        std::string_view run_id{};
        std::string_view task_id{};
    };
    void audit(
        const Actor& actor, std::string_view event, const Subject& subject, std::string extra = "{}"
    );

    // dispatching.cpp: who may start, and starting it
    void settle();
    void hold_over(Run& run, const TaskKey& key);
    void make_ready(Run& run, const TaskKey& key);
    void unready(Run& run, const TaskKey& key);
    Ticket queue_up(Run& run, const TaskKey& key);
    void queue_family(Run& run, Family& family);
    void dispatch_ready();
    [[nodiscard]] bool has_room(int own = 0) const {
        return running_ - own < settings_.parallelism;
    }
    static std::array<Gate*, 4> gates_of(Run& run, TaskNo task);
    static Gate* full_gate(Run& run, TaskNo task);
    std::optional<TaskKey> find_ready(const ReadyTask& task);
    [[nodiscard]] Instant ready_since(const Run& run, const TaskKey& key) const;
    void pass_on(const ReadyTask& task);
    [[nodiscard]] bool is_reserved(const Demand& demand) const;
    void reserve(const Demand& demand);
    void start_attempt(Run& run, Instance& instance);
    AttemptOrder& put_order(Run& run, const Instance& instance);
    void occupy(Run& run, const Instance& instance);
    void vacate(Run& run, const Instance& instance);

    // mapping.cpp: instances of a task, all at once
    struct Indexes {
        TaskNo task{no_task};
        MapIndex lo{unmapped};  // unmapped = the one of a task that has no others
        MapIndex hi{unmapped};
    };
    void evaluate(Run& run, const TaskKey& key);
    void evaluate_one(Run& run, const TaskKey& key);
    void evaluate_all(Run& run, Family& family);
    void mark_by_rule(Run& run, const TaskKey& key, const Verdict& verdict);
    void expand_or_ask(Run& run, Family& family);
    void stop_asking(Run& run, const TaskKey& key);
    void set_length(
        Run& run, MapNo map, std::int32_t length, std::int64_t serial, std::string shape
    );
    void expand(Run& run, Family& family, std::int32_t length);
    void count_instances(Run& run, TaskNo task, std::int32_t more);
    void forget_length(Run& run, MapNo map);
    static void each_range(
        Run& run,
        const Indexes& over,
        const std::function<bool(TaskState)>& wanted,
        const std::function<void(const MapRange&)>& range,
        const std::function<void(MapIndex)>& single
    );
    void change_range(
        Run& run, MapRange range, TaskState to, const Cause& cause, const std::string& note
    );

    // nesting.cpp: mappings inside mapped groups
    void look_at_kin(Run& run, const TaskKey& key, TaskNo down, Kin reach);
    static bool changes_part(const Run& run, const TaskKey& key, TaskState from, TaskState to);
    void open_nest(Run& run, MapNo map);
    void close_nest(Run& run, MapNo map);
    bool is_listed(Run& run, const TaskKey& key);
    void ask_list(Run& run, const TaskKey& key);
    void stop_asking_list(Run& run, const TaskKey& key);
    void set_list(Run& run, const MapLength& list);
    [[nodiscard]] bool can_set_list(const Run& run, const MapLength& list) const;
    void grow(Run& run, MapNo map, MapIndex outer, std::int32_t more);
    void forget_lists(Run& run, MapNo map);
    void fail_list(Run& run, const TaskKey& key, const Expanded& event);
    Taken take_list(Run& run, const Expanded& event);
    void put_list(const Run& run, MapNo map, MapIndex outer, MapLength row);

    // judging.cpp: what rules, branches, setups and the past say of an instance
    [[nodiscard]] Verdict verdict_of(const Run& run, const TaskKey& key, MapIndex index) const;
    [[nodiscard]] static bool is_judged_by_index(const Run& run, TaskNo task);
    [[nodiscard]] static bool skipped_by_branch(const Run& run, const TaskKey& key);
    void unsettle(Run& run, TaskNo task);
    void look_beyond(Run& run, TaskNo task);
    void keep_choice(Run& run, const TaskKey& key, const Branch& branch, std::vector<bool> skips);
    void forget_choice(Run& run, const TaskKey& key);

    void why_setups(const Run& run, const TaskKey& key, Reasons& reasons) const;

    // past.cpp: what a run waits for in the run before it
    [[nodiscard]] static std::int64_t next_question();
    void ask_past(Run& run);
    void ask_past_again(const DagEntry& dag);
    [[nodiscard]] const Run* open_previous(const Run& run) const;
    [[nodiscard]] bool is_first(const Run& run, const std::string& task_id) const;
    template <class Use>
    void each_past_block(const Run& run, TaskNo task, const Use& use) const;
    [[nodiscard]] std::optional<PastBlock> past_block(const Run& run, TaskNo task) const;
    template <class Use>
    void each_next(const Run& run, const Use& use);
    template <class Use>
    void each_first(const Run& run, const Plan* stop_at, const Use& use);
    void past_changed(const Run& run, TaskNo task);
    void hand_over_past(const Run& run);
    [[nodiscard]] bool waits_for_past(const Run& run) const;
    void why_past(const Run& run, const TaskKey& key, Reasons& reasons) const;

    // endings.cpp: runs whose end is decided before their last task has ended
    void set_ending(Run& run, RunState state, std::string reason, bool stop);
    void drop_ending(Run& run);
    void fail_fast(Run& run, const Instance& failed);
    void stop_failed_runs();
    void end_run(Run& run);
    void count_failures(Run& run, RunState state, const Cause& cause);

    // results.cpp: how attempts end
    void take_result(Run& run, Instance& instance, const AttemptResult& result);
    void fail_attempt(Run& run, Instance& instance, const AttemptResult& result);
    void lose_attempt(Run& run, Instance& instance, const std::string& why);
    void end_restarting(Run& run, Instance& instance, const Cause& cause);
    void put_record(const Instance& instance, TaskState as, bool lost);
    void retry_due(const Timer& timer);
    void deadline_passed(const Timer& timer);

    // waits.cpp: tasks that have poked
    void begin_wait(Run& run, Instance& instance, const AttemptResult& result);
    Taken end_poke(Run& run, Instance& instance, const AttemptResult& result);
    void sleep(Run& run, Instance& instance, Wait& wait);
    void rouse(Run& run, const TaskKey& key, Wait& wait);
    void poke_due(const Timer& timer);
    void start_poke(Run& run, Instance& instance);
    void leave_wait(Run& run, Instance& instance, TaskState to);
    void fire(const std::string& event);
    void wake(const TaskKey& key);
    void note_end(Run& run);
    void resume_wait(Run& run, Instance& instance);
    void adopt_pokes(const std::set<AttemptKey>& living);
    [[nodiscard]] bool is_poking(const AttemptKey& attempt) const;

    // pace.cpp: the weight rule critical_path
    static void note_pace(Run& run, const TaskInstance& row);
    static void weigh(Plan& plan, const DagEntry& dag);

    // callbacks.cpp: what must be told
    void put_callbacks(
        const Run& run, const Instance& instance, TaskState from, const Cause& cause
    );
    void put_run_callbacks(const Run& run);

    // deadlines.cpp: when runs and tasks should have ended
    void watch_deadlines(Run& run);
    void watch_rest(Run& run, bool anew);
    void drop_deadlines(Run& run);
    void move_deadlines(Run& run, const Dag& before);
    void restore_deadlines(const Snapshot& snapshot);
    void ask_runtimes(Run& run);
    void watch(Run& run, const DeadlineRow& row);
    void late(const Timer& timer);
    void foresee_later(Run& run, Instant at);
    void foresee_all(const DagEntry& dag);
    void foresee(const Timer& timer);
    void put_deadline_callbacks(const Run& run, const DeadlineRow& row, CallbackOn on);
    void put_deadline(const DeadlineRow& row);

    // subsets.cpp: plans, and runs that consist of some tasks only
    Plan& plan_of(const DagPtr& dag, DagEntry& entry, const std::vector<std::string>& subset = {});
    Plan& plan_of(const DagPtr& dag, DagEntry& entry, const DagRun& row);
    void use_plan(Run& run, Plan& plan);
    void skip_outside(Run& run);
    void forget_plan(Plan* plan, DagEntry& dag);
    void set_limits(DagEntry& entry);

    // runs.cpp: the life of a run
    Run& add_run(DagRun row, Plan& plan, DagEntry& entry);
    Run& create_run(DagRun row, DagEntry& entry);
    void enqueue(Run& run);
    void dequeue(Run& run);
    void start_run(Run& run);
    void resume_instances(Run& run);
    void finish_run(Run& run, RunState state, std::string reason, const Cause& cause);
    void check_runs();
    void start_runs(DagEntry& dag);
    void run_timed_out(const Timer& timer);
    void forget_run(RunKey key);
    [[nodiscard]] Run* find_run(RunKey key);
    Run* find_or_load(RunKey key, const std::optional<StoredRun>& stored);
    BackfillEntry* backfill_of(const Run& run);

    [[nodiscard]] bool is_due(const Run& run) const { return run.row.run_after <= now_; }
    [[nodiscard]] static bool has_room(const DagEntry& dag);
    [[nodiscard]] static bool has_room(const BackfillEntry& backfill) {
        return backfill.running < backfill.row.max_active_runs;
    }

    // why_date.cpp: dates without a run
    [[nodiscard]] Reasons why_no_run(
        const DagEntry& dag, const Interval& asked, const std::vector<Instant>& made
    ) const;
    void why_run_of(const DagEntry& dag, const RunTimes& run, Reasons& reasons) const;

    // why.cpp: what is in the way
    [[nodiscard]] std::string holders(const std::function<bool(const Run&, TaskNo)>& counts) const;
    [[nodiscard]] Reasons why_dag(const DagEntry& dag) const;
    [[nodiscard]] Reasons why_run(const Run& run) const;
    Reasons why_task(Run& run, const TaskKey& key);
    Reasons why_instances(Run& run, TaskNo task);
    void why_state(Run& run, const TaskKey& key, Reasons& reasons) const;
    void why_slots(Run& run, const TaskKey& key, Reasons& reasons);
    using AddReason =
        std::function<void(std::string condition, std::string text, std::string object)>;
    void why_pools(Run& run, const TaskKey& key, const AddReason& add);
    void why_wait(const Run& run, const TaskKey& key, Reasons& reasons) const;
    void why_upstreams(Run& run, const TaskKey& key, Reasons& reasons) const;

    // deleting.cpp: runs and DAGs that go
    [[nodiscard]] std::string open_work(const DagEntry& dag) const;
    [[nodiscard]] bool is_at_work_on(const DagEntry& dag) const;
    void forget_dag(DagEntry& dag);

    // schedules.cpp: DAGs and their automated runs
    DagEntry& dag_entry(const std::string& dag_id);
    void set_current(DagEntry& dag, const DagPtr& version);
    void note_old_run_after(DagEntry& dag, const Dag& next);
    void advance(DagEntry& dag);
    [[nodiscard]] static int most_automated(const DagEntry& dag);
    [[nodiscard]] static bool has_room_for_automated(const DagEntry& dag) {
        return dag.open_automated < most_automated(dag);
    }
    bool create_next(DagEntry& dag, Timetable::Missed missed);
    void wake_dag(DagEntry& dag, Instant at);
    void show_next(DagEntry& dag, const std::optional<RunTimes>& next);
    void resume_schedule(DagEntry& dag);
    void look_at_dirty_dags();

    // assets.cpp: updates of assets, and the runs that they make
    void restore_assets(const Snapshot& snapshot);
    void subscribe(DagEntry& dag);
    void put_asset_event(AssetEvent event);
    void put_outputs(const Run& run, const TaskKey& key);
    void keep_slices(const Run& run, const TaskKey& key, TaskState to);
    void put_mark(DagEntry& dag, const std::string& asset, std::int64_t seen);
    void make_asset_runs(DagEntry& dag);
    bool make_asset_run(DagEntry& dag);
    void trim_asset(const std::string& asset);
    [[nodiscard]] std::set<std::string> updated_assets(const DagEntry& dag) const;
    void why_assets(const DagEntry& dag, Reasons& reasons) const;

    // clearing.cpp, marking.cpp
    struct Scope {
        bool upstream{false};
        bool downstream{false};
        bool only_failed{false};
        bool only_running{false};
    };
    static std::vector<Indexes> select(
        const Run& run, const Plan& plan, const std::vector<TaskKey>& tasks, const Scope& scope
    );
    static std::optional<std::string> bad_key(const Run& run, const std::vector<TaskKey>& tasks);
    static std::optional<std::vector<TaskKey>> keys_of(
        const Run& run, const Plan& plan, const ClearTasks& event
    );
    void renew(Run& run, Instance& instance);
    void wipe(Run& run, Instance& instance);
    void clear_instance(Run& run, Instance& instance, const Cause& cause);
    void clear(Run& run, const Indexes& which, const Cause& cause);
    void clear_rows(Run& run, const Indexes& which, const Cause& cause);
    void clear_done(Run& run, TaskNo task);
    void clear_all(Run& run, const Cause& cause);
    void clear_many(Run& run, const std::vector<Indexes>& chosen, const Scope& scope, const Cause&);
    void clear_more();
    void clear_part(Run& run);
    void put_clearing(Run& run);
    void end_clearing(Run& run);
    static void show(const Run& run, const std::vector<Indexes>& which, Answer& reply);
    static std::vector<Indexes> named(const Run& run, const std::vector<TaskKey>& tasks);
    void reopen(Run& run, const Cause& cause);
    void stop_unfinished(
        Run& run,
        TaskState as,
        const Cause& cause,
        CancelReason reason,
        bool spare_teardowns = false
    );
    void mark_instance(Run& run, Instance& instance, TaskState state, const Cause& cause);
    void mark(Run& run, const Indexes& which, TaskState state, const Cause& cause);
    std::int64_t clear_failed_below(
        Run& run, const std::vector<TaskKey>& marked, const Cause& cause
    );

    // moving.cpp: runs that go on with another version of their DAG
    [[nodiscard]] static bool brings_tasks(const Run& run, const Plan& plan);
    void move_onto(Run& run, Plan& plan, const Cause& cause);
    std::vector<TaskKey> leave_queue(Run& run);
    void remove_rest(Run& run, const Plan& plan, const Cause& cause);
    void remove_task(Run& run, Family& family, const Cause& cause);
    void remap_task(Run& run, Family& family, std::int32_t length, const Cause& cause);
    void drop_ranges(Run& run, Family& family, const Cause& cause);
    void remove_instance(Run& run, Instance& instance, const Cause& cause);
    void hold_places(Run& run, bool held);
    void take_plan(Run& run, Plan& plan);
    void take_families(Run& run);
    void read_choices(Run& run);
    void return_task(Run& run, Family& family, std::int32_t length, int retries);

    // backfills.cpp
    [[nodiscard]] std::vector<DagRun> known_runs(const DagEntry& dag, const CreateBackfill& event)
        const;
    RunKey create_backfill_run(
        DagEntry& dag, const CreateBackfill& event, const BackfillDate& date, int ordinal
    );
    std::optional<std::string> clear_into_backfill(
        const StoredRun& stored, const Backfill& backfill, int ordinal
    );
    void start_backfill_runs(BackfillEntry& backfill, DagEntry& dag);
    void look_at_backfills(DagEntry& dag);

    // One function an event, in the file of its subject.
    Taken on(const DagLoaded& event);
    Taken on(const DagGone& event);
    Taken on(const TriggerRun& event);
    Taken on(const CreateBackfill& event);
    Taken on(const PatchBackfill& event);
    Taken on(const ClearTasks& event);
    Taken on(const SetRunState& event);
    Taken on(const SetRunNote& event);
    Taken on(const DeleteRun& event);
    Taken on(const DeleteDag& event);
    Taken on(const DagRemoved& event);
    Taken on(const SetTaskState& event);
    Taken on(const PauseDag& event);
    Taken on(const PutPool& event);
    Taken on(const RemovePool& event);
    Taken on(const CreateAssetEvent& event);
    Taken on(const ForgetAssetEvents& event);
    Taken on(const AttemptEnded& event);
    Taken on(const Expanded& event);
    Taken on(const AnswerInput& event);
    Taken on(const PacesKnown& event);
    Taken on(const PastFacts& event);
    Taken on(const RuntimesKnown& event);
    Taken on(const Tick& event);

    Settings settings_;
    Pools pools_;
    ReadyQueue queue_;
    Ticket last_ticket_{0};
    Timers timers_;
    std::unordered_map<std::string, DagNo> dag_numbers_;
    std::vector<std::unique_ptr<DagEntry>> dags_;       // by number; a deleted one's is empty
    std::map<std::string, std::int64_t> deleted_dags_;  // not removed yet: number of the deletion
    std::int64_t last_deletion_{0};
    std::unordered_map<const Plan*, std::unique_ptr<Plan>> plans_;
    std::unordered_map<VersionId, std::vector<Plan*>> plans_by_version_;
    std::map<BackfillId, std::vector<std::string>> subsets_;  // that are known
    std::unordered_map<RunKey, std::unique_ptr<Run>> runs_;
    std::map<BackfillId, BackfillEntry> backfills_;
    std::unordered_map<TaskKey, Wait> waits_;
    std::unordered_map<std::string, std::set<TaskKey>> sleepers_;  // by event
    std::map<TaskKey, WaitRow> wait_rows_;                         // to be written
    std::map<TaskKey, MapLength> list_rows_;  // to be written; the mapping in place of the task
    std::map<std::pair<TaskKey, int>, DeadlineRow> deadline_rows_;  // to be written, by number
    std::map<std::string, Asset> assets_;
    std::int64_t last_asset_event_{0};
    Seq last_seq_;
    RunKey last_run_;
    BackfillId last_backfill_;
    int running_{0};        // attempts
    std::size_t ready_{0};  // instances that wait for a slot

    // The turn at work; the pointer holds during a public call only.
    Turn* turn_{nullptr};
    Instant now_;
    TurnNo turn_no_{0};
    bool open_{false};
    bool again_{false};               // something is due in the next turn
    std::vector<Run*> touched_runs_;  // in this turn, and those loaded in it
    std::vector<Run*> checks_;        // may have ended
    std::vector<TaskKey> live_;  // mapped instances that changed: packed at the end of the turn
    Unsettled unsettled_;        // an upstream changed
    std::vector<DagEntry*> dirty_dags_;
    std::vector<DagEntry*> dirty_next_turn_;
    std::vector<DagEntry*> dag_rows_;      // to be written
    std::vector<DagEntry*> failure_rows_;  // counts to be written
    std::vector<RunKey> stopping_;         // their first failure is to end them
    std::vector<RunKey> stop_later_;       // the rest of them in the next turn
    std::vector<RunKey> clearing_;         // go on with it in the next turn
    std::vector<TaskKey> held_over_;       // to be evaluated in the next turn
    std::vector<ReadyTask> start_later_;   // changed in this turn: start in the next one
    std::unordered_set<PoolNo> reserved_;  // kept for a task that waits too long
};

}  // namespace sluice::core
