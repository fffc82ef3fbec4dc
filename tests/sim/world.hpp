// world.hpp — one simulated daemon with everything around it: a clock that jumps, a journal in
// memory, an executor that is slow, forgets and repeats itself, users, and kill -9.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/scheduler.hpp"
#include "store/memory_journal.hpp"
#include "tests/sim/deadlines.hpp"
#include "tests/sim/histogram.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/why_check.hpp"

namespace sluice::sim {

struct Faults {
    bool crash{false};      // kill -9 before or after a commit, and commits that fail
    bool slow{false};       // attempts that take very long
    bool lost{false};       // attempts that end from outside
    bool duplicate{false};  // results that come again, also much later
};

class World {
public:
    World(std::uint64_t seed, const Faults& faults, Histogram& histogram);

    /// One step: something happens, one turn is made, committed (or not) and checked.
    void step();
    /// No more faults and users: everything open must end. Throws Broken if it does not.
    void drain();

    /// The last decisions, oldest first.
    [[nodiscard]] const std::deque<std::string>& story() const { return story_; }

private:
    struct Attempt {
        AttemptOrder order;
        Instant ends;
        AttemptResult result;
        bool cancelled{false};
        bool reported{false};  // in pending_, not committed yet
    };

    // world.cpp
    void turn(std::vector<core::Event> events);
    bool commit_or_crash(const Turn& turn, std::vector<core::Event>& taken);
    void carry_out(const Turn& turn, const std::vector<core::Event>& taken);
    void note_loaded(const Dag& dag);
    void restart(bool process_dies);
    void collect_results(std::vector<core::Event>& events);
    void add_facts(core::Event& event);
    [[nodiscard]] core::PacesKnown paces_of(const std::string& dag_id);
    void add_latest(core::ClearTasks& clear);
    DagPtr latest_for(const DagRun& run);
    [[nodiscard]] core::PastFacts answer_past(const PastQuestion& question);
    bool help_on(std::vector<core::Event>& events);
    [[nodiscard]] std::string open_runs_text();
    void quiesce();
    void move_clock(Instant to);
    void count_events(const std::vector<core::Event>& taken);
    void tell(std::string line);
    [[nodiscard]] Snapshot load();
    AttemptResult make_result(const AttemptOrder& order, Instant ends);
    Outcome not_yet(Instant ends);
    [[nodiscard]] Usage in_use() const;
    [[nodiscard]] std::int64_t deferred_in(const std::string& pool) const;

    // actions.cpp
    void load_dag(
        const std::string& dag_id, std::vector<core::Event>& events, const std::string& without = ""
    );
    void user_action(std::vector<core::Event>& events);
    std::optional<core::Event> run_action();
    std::optional<core::Event> rare_action();
    void move_action(std::vector<core::Event>& events);
    std::optional<core::Event> clear_mapping();
    [[nodiscard]] std::optional<TaskKey> someone_rare(const std::set<TaskState>& too);
    core::Event backfill_action();
    core::Event pool_action();
    std::optional<core::Event> answer_action();
    core::Event asset_action(const std::string& dag_id);
    core::Event delete_action();
    void remove_deleted(std::vector<core::Event>& events);
    [[nodiscard]] std::optional<RunKey> some_run();
    std::vector<TaskKey> some_tasks(RunKey run);
    template <class Command>
    Command command();

    // invariants.cpp
    void check_turn(const Turn& turn);
    [[nodiscard]] std::string stored_text(RunKey key) const;
    void check_deleted(const Turn& turn);
    void check_limits(const Turn& turn);
    void check_assets(const Turn& turn);
    void check_moves(const Turn& turn);
    void check_no_asset_waits();
    void check_active_runs(const Turn& turn, const Usage& usage);
    void check_memory();
    void check_nothing_waits();
    [[nodiscard]] bool is_held_back(
        const Usage& usage, const DagRun& run, const Dag& dag, TaskNo task
    ) const;
    [[nodiscard]] DagPtr dag_of(const DagRun& run) const;
    [[nodiscard]] DagPtr current_or(const std::string& dag_id, const DagPtr& other) const;
    void check_answers(const Turn& turn, const std::vector<core::Event>& taken);
    // whys.cpp
    struct Question {
        RunKey run;
        std::optional<TaskInstance> row;  // none: of the run itself
        core::Reasons reasons;
    };
    void ask_why();
    std::optional<Question> draw_question();
    static core::Reasons told(const std::optional<core::Reasons>& reasons);

    Random random_;
    Random whims_;  // of what came later, so that old seeds give the same worlds
    Random deletions_;
    Faults faults_;
    Histogram& histogram_;
    core::Settings settings_;
    store::MemoryJournal journal_;
    Deadlines deadlines_;
    std::optional<core::Scheduler> scheduler_;
    Instant now_;
    std::map<VersionId, DagPtr> versions_;
    std::map<std::string, DagPtr> current_;
    std::set<std::string> removed_;  // DAG ids that are free again
    std::map<AttemptKey, Attempt> live_;
    std::vector<ExpandOrder> asked_;  // how many instances; not answered yet
    std::vector<AttemptResult> old_results_;
    std::vector<core::Event> put_off_;
    std::set<AttemptKey> pokes_;  // on a thread; they hold slots though no row says so
    std::map<std::string, Pool> pools_;
    std::map<TaskKey, TaskState> states_;  // replayed from the transitions
    std::map<RunKey, int> run_states_;
    std::map<RunKey, VersionId> run_versions_;
    std::set<RunKey> moved_;                                             // to another version
    std::set<BackfillId> backfills_;                                     // all that were made
    std::set<BackfillId> at_work_;                                       // not completed
    std::map<std::pair<std::string, std::string>, std::int64_t> marks_;  // by DAG and asset
    std::set<std::pair<std::string, std::int64_t>> taken_events_;        // by DAG
    std::int64_t last_asset_event_{0};
    std::int64_t last_version_{0};
    std::int64_t last_request_{0};
    std::map<std::string, int> whys_tried_;  // by condition
    bool draining_{false};
    std::deque<std::string> story_;
};

}  // namespace sluice::sim
