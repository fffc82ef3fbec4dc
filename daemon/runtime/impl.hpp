// impl.hpp — the inside of the loop, for runtime/*.cpp only: what others post, and one class whose
// groups of functions name the file that they are in. All but `runtime.cpp` runs on the loop's
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/event_queue.hpp"
#include "runtime/runtime.hpp"
#include "runtime/waiter.hpp"

namespace sluice::runtime {

using SteadyTime = std::chrono::steady_clock::time_point;

inline constexpr const char* nothing_done =
    "the run-state database went away before the commit; nothing was done";

struct Command {
    core::Event event;
    Waiter answer;
};
struct Definition {
    Dag dag;
    std::vector<Problem> warnings;
    std::promise<DagPtr> listed;
};
struct Question {
    const std::function<void(const core::Scheduler&)>* ask;
    std::promise<void> answered;
};
/// What a task wants to know of a run.
struct Inquiry {
    RunQuestion question;
    std::promise<RunFacts> answered;
};
/// An import error of a file changed; what the feed is told after the turn.
struct Announcement {
    std::string dag_id;
};
using Item = std::variant<core::Event, Command, Definition, Question, Inquiry, Announcement>;

/// One event of a turn and who waits for it.
struct Pending {
    core::Event event;
    std::optional<Waiter> answer;
};

/// A turn on its way: stepped, perhaps sent, not known to be durable.
struct Flight {
    Turn turn;
    std::vector<Pending> pending;
    /// What the turn before starts and this one ends, without the executor (`run_ahead`).
    std::vector<AttemptOrder> ended;
    SteadyTime sent_at{};
    bool sent{false};  // to the journal: it has rows
    bool durable{false};
};

class Runtime::Impl {
public:
    Impl(
        Settings settings,
        Clock& clock,
        store::Journal& journal,
        executor::Executor& executor,
        ReadVersion read_version
    )
        : settings_(std::move(settings)),
          clock_(clock),
          journal_(journal),
          executor_(executor),
          read_version_(std::move(read_version)) {}

    // runtime.cpp: from any thread
    void start();
    void stop();
    void drain();
    [[nodiscard]] bool drained() const { return executor_.alive().empty(); }
    void need_owner() const;
    [[nodiscard]] std::string owner_address() const;
    void submit(core::Event command, Waiter waiter);
    std::vector<Answer> call_all(std::vector<core::Event> commands, Duration timeout);
    void post(core::Event event);
    void report(std::vector<AttemptResult> results);
    DagPtr define(const Dag& dag, std::vector<Problem> warnings);
    void announce(const std::string& dag_id);
    void query(const std::function<void(const core::Scheduler&)>& ask);

    RunFacts run_facts(const RunQuestion& question);

    DagRegistry registry_;
    Feed feed_;
    LoopFigures figures_;
    std::atomic<std::int64_t> seq_{0};
    std::atomic<bool> deposed_{false};
    store::Follower* follower_{nullptr};
    std::function<void(bool owner)> on_role_;

private:
    // loop.cpp: the thread and what it takes from the queue
    void run();
    /// The loop while this daemon owns the run state. Returns why it does not any more; none when
    /// it has ended for good.
    std::optional<std::string> own();
    /// One round of it: what was posted, or what is due.
    void look_after(std::vector<Item>& items);
    /// Ends the loop for good: nothing more is started, every waiting caller is told.
    void depose(const std::string& why);
    static void refuse_rest(std::vector<Item>& items, const std::exception_ptr& why);
    static void refuse(std::vector<Pending>& pending);
    static void refuse(std::vector<Pending>& pending, const std::string& why);
    /// All flights: they are nobody's any more.
    void refuse_flights(const std::string& why);
    /// What was posted and not yet taken, and what core put off.
    void refuse_waiting(const std::exception_ptr& why);
    Instant now();
    SteadyTime wakeup();
    [[nodiscard]] Duration renew_every() const;
    [[nodiscard]] bool renewal_is_due(SteadyTime at) const;
    void renew_if_due();
    void handle(std::vector<Item>& items);
    void store_definition(Definition& definition, std::vector<Pending>& pending);

    // standby.cpp: while another daemon owns the run state
    /// Until this daemon owns it (true) or stops (false).
    bool stand_by();
    bool take_over();
    /// From owner to standby: nothing of what was begun is carried on.
    void step_down(const std::string& why);
    void set_owner_address(const std::string& address);
    void follow(Seq last);
    void follow_dags();
    /// Takes what the owner deleted out of the registry.
    void forget_deleted(const std::vector<DagState>& dags, Change& change);
    /// The definition of a version that another daemon stored; null if it cannot be read here.
    void learn_versions(const std::vector<DagState>& dags, Change& change);

    // turn.cpp: step, commit, effects
    /// Steps all events, commits once, carries out the effects; then as long as nothing else waits
    /// the turns that follow from it by themselves.
    void turn(std::vector<Pending> pending);
    /// Sends a turn that ends what the last one sent starts and nobody has to carry out, before
    /// that one is durable: the loop's work and the database's go on side by side. Its effects come
    /// after its own commit, as ever.
    void run_ahead();
    void send(Flight& flight);
    /// Waits until the oldest flight is durable.
    void settle();
    /// The oldest flight was refused: it and what was to follow it begins anew.
    void start_over(const std::string& why);
    /// Steps what this turn can take; the rest waits in `later_` for the next one, in order.
    void step_all(std::vector<Pending>& pending, Instant at, Turn& turn);
    /// One event a commit; what is refused again is answered, and never tried for ever.
    void replay(Pending& item);
    bool try_alone(std::vector<Pending>& single, std::string& why);
    /// Core's last word on the turn.
    void seal(Turn& turn);
    void commit(const Turn& turn);
    /// After a commit that was sent at `sent_at`, before its effects.
    void committed(const Turn& turn, SteadyTime sent_at);
    void carry_out(Turn& turn, std::vector<Pending>& pending);
    void expand(ExpandOrder order);
    void answer(Turn& turn, std::vector<Pending>& pending);
    void publish(Turn& turn);

    // facts.cpp: what a step needs from the database
    /// What core cannot know of runs that have ended, read in the loop before the step.
    /// `names` are the run ids that the events of the turn ask for and that are taken.
    void add_facts(core::Event& event, const std::set<store::Journal::RunName>& names);
    std::set<store::Journal::RunName> names_taken(
        const std::vector<Pending>& pending, bool made_ones_too
    );
    void add_stored(RunKey run, std::optional<StoredRun>& stored);
    void add_latest(core::ClearTasks& clear);
    DagPtr latest_for(const DagRun& run, bool keep);
    /// What ended before the run, as the commit that asked left it.
    core::PastFacts answer_past(const PastQuestion& question);
    core::RuntimesKnown answer_runtimes(const RuntimeQuestion& question);
    DagPtr version(VersionId id);
    /// Who weighs its tasks by how long they take has to be told.
    void add_paces(core::PacesKnown& event);
    RunFacts look_up(const RunQuestion& question);
    void reply(std::vector<Inquiry>& inquiries);

    // recovery.cpp: from the database to memory, at the start and after it was away
    /// Throws away what is in memory and begins anew from the database.
    void load();
    void fill_versions(Snapshot& snapshot);
    /// The connection broke: after it is back the lease's turn number says which flights are
    /// durable.
    void come_back(const std::string& why);
    /// Tries until the database is there. None when the daemon stops first; else how many flights
    /// are durable (what they start is carried out before recovery looks for the lost).
    std::optional<std::size_t> reload_until_back();
    [[nodiscard]] std::size_t durable_flights() const;
    /// Gives the executor what the first `durable` flights start and no durable one ends.
    void start_durable(std::size_t durable);

    Settings settings_;
    Clock& clock_;
    store::Journal& journal_;
    executor::Executor& executor_;
    ReadVersion read_version_;
    EventQueue<Item> queue_;
    std::optional<core::Scheduler> scheduler_;
    std::vector<std::pair<std::promise<DagPtr>, DagPtr>> defined_;
    std::vector<std::string> announced_;  // DAG ids, "" = none
    std::vector<Pending> later_;          // events that the last turn could not take
    std::deque<Flight> flights_;          // oldest first; empty between turns
    Instant last_now_{};
    SteadyTime renewed_at_{};
    SteadyTime asked_at_{};      // of the last renewal that was no commit
    SteadyTime commanded_at_{};  // the last turn with a command began
    std::int64_t last_request_{0};
    bool stopped_while_away_{false};
    bool knows_seq_{false};  // seq_ is a place in the log
    std::mutex stop_mutex_;  // pairs with stop_requested_
    std::condition_variable stop_requested_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> draining_{false};
    mutable std::mutex owner_mutex_;  // guards owner_address_
    std::string owner_address_;       // of another daemon
    std::thread thread_;
};

}  // namespace sluice::runtime
