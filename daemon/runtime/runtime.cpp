#include "runtime/runtime.hpp"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/check.hpp"
#include "base/event_queue.hpp"
#include "base/limits.hpp"

namespace sluice::runtime {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Command {
    core::Event event;
    std::promise<Answer> answer;
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
/// An import error of a file changed; what the feed is told after the turn.
struct Announcement {
    std::string dag_id;
};
using Item = std::variant<core::Event, Command, Definition, Question, Announcement>;

/// One event of a turn and who waits for it.
struct Pending {
    core::Event event;
    std::optional<std::promise<Answer>> answer;
};

void set_request(core::Event& event, RequestId id) {
    std::visit(
        [id](auto& value) {
            if constexpr (requires { value.request; }) value.request = id;
        },
        event
    );
}

std::optional<RequestId> request_of(const core::Event& event) {
    return std::visit(
        [](const auto& value) -> std::optional<RequestId> {
            if constexpr (requires { value.request; }) return value.request;
            return std::nullopt;
        },
        event
    );
}

/// The result with everything taken out that a database could refuse.
AttemptResult without_payload(AttemptResult result, const std::string& why) {
    result.xcoms.clear();
    result.outputs.clear();
    result.rendered.clear();
    result.outcome = {
        .kind = OutcomeKind::failed,
        .error_class = ErrorClass::permanent,
        .message = "the result could not be stored: " + why,
    };
    return result;
}

}  // namespace

class Runtime::Impl {
public:
    Impl(
        Settings settings,
        Clock& clock,
        store::Journal& journal,
        executor::Executor& executor,
        ReadVersion read_version
    )
        : settings_(settings),
          clock_(clock),
          journal_(journal),
          executor_(executor),
          read_version_(std::move(read_version)) {}

    void start() {
        load();
        thread_ = std::thread([this] { run(); });
    }

    void stop() {
        {
            const std::lock_guard lock(stop_mutex_);
            stopping_ = true;
        }
        stop_requested_.notify_all();
        queue_.close();
        if (thread_.joinable()) thread_.join();
        feed_.close();
    }

    Answer call(core::Event command, Duration timeout) {
        if (!figures_.database_available)
            throw Error(
                ErrorCode::unavailable, "the run-state database is away; try again shortly"
            );
        std::promise<Answer> promise;
        auto future = promise.get_future();
        Item item{std::in_place_type<Command>, std::move(command), std::move(promise)};
        if (!queue_.push(std::move(item), limits::api_queue_events)) {
            if (stopping_) throw Error(ErrorCode::unavailable, "the daemon is stopping");
            throw Error(
                ErrorCode::limit,
                "too many commands are waiting (limit api_queue_events); try again shortly"
            );
        }
        wait_for_answer(future, timeout);
        return future.get();
    }

    void wait_for_answer(const std::future<Answer>& future, Duration timeout) const {
        // A commit whose connection broke is in doubt until the database is back: say so early.
        constexpr auto in_doubt = std::chrono::seconds{5};
        const auto slice = std::chrono::milliseconds{100};
        const auto begin = std::chrono::steady_clock::now();
        auto seen_available = begin;
        while (future.wait_for(slice) != std::future_status::ready) {
            const auto at = std::chrono::steady_clock::now();
            if (figures_.database_available) seen_available = at;
            if (at - seen_available > in_doubt)
                throw Error(
                    ErrorCode::unavailable,
                    "the run-state database went away during the commit; whether the command was "
                    "done is known when it is back"
                );
            if (at - begin > timeout)
                throw Error(ErrorCode::unavailable, "the command was not committed in time");
        }
    }

    void post(core::Event event) { queue_.push(Item{std::move(event)}); }

    DagPtr define(const Dag& dag, std::vector<Problem> warnings) {
        std::promise<DagPtr> promise;
        auto future = promise.get_future();
        Item item{std::in_place_type<Definition>, dag, std::move(warnings), std::move(promise)};
        if (!queue_.push(std::move(item)))
            throw Error(ErrorCode::unavailable, "the daemon is stopping");
        return future.get();
    }

    void announce(const std::string& dag_id) { queue_.push(Item{Announcement{dag_id}}); }

    void query(const std::function<void(const core::Scheduler&)>& ask) {
        std::promise<void> promise;
        auto future = promise.get_future();
        if (!queue_.push(Item{std::in_place_type<Question>, &ask, std::move(promise)}))
            throw Error(ErrorCode::unavailable, "the daemon is stopping");
        future.get();
    }

    DagRegistry registry_;
    Feed feed_;
    LoopFigures figures_;
    std::atomic<std::int64_t> seq_{0};
    std::atomic<bool> deposed_{false};

private:
    void run() {
        std::vector<Item> items;
        while (queue_.pop_all(items, wakeup())) {
            try {
                handle(items);
                renew_if_due();
            } catch (const store::Away& away) {
                come_back(away.what());
            } catch (const store::Deposed& why) {
                return depose(why.what());
            } catch (const std::exception& error) {
                // A bug or a broken database: going on could decide on a wrong state.
                spdlog::critical("the scheduler loop failed: {}", error.what());
                return depose(error.what());
            }
            if (stopped_while_away_) break;
        }
        refuse_rest(items);
        refuse(later_);
    }

    /// Ends the loop for good: nothing more is started, every waiting caller is told.
    void depose(const std::string& why) {
        spdlog::error("this daemon no longer owns the run state and stops: {}", why);
        deposed_ = true;
        figures_.owner = false;
        figures_.database_available = false;
        queue_.close();
        std::vector<Item> rest;
        queue_.pop_all(rest, std::chrono::steady_clock::now());
        refuse_rest(rest);
        refuse(later_);
        feed_.close();
    }

    static void refuse_rest(std::vector<Item>& items) {
        const auto gone =
            std::make_exception_ptr(Error(ErrorCode::unavailable, "the daemon is stopping"));
        for (auto& item : items) {
            if (auto* command = std::get_if<Command>(&item)) command->answer.set_exception(gone);
            if (auto* definition = std::get_if<Definition>(&item))
                definition->listed.set_exception(gone);
            if (auto* question = std::get_if<Question>(&item))
                question->answered.set_exception(gone);
        }
        items.clear();
    }

    Instant now() {
        // What core sees never goes back, also when the machine's clock does.
        last_now_ = std::max(last_now_, clock_.now());
        return last_now_;
    }

    SteadyTime wakeup() {
        const auto base = clock_.monotonic();
        if (!later_.empty()) return base;
        SteadyTime at = base + renew_every();
        if (const auto next = scheduler_->next_wakeup()) {
            const auto wait = std::max(Duration{0}, *next - now());
            if (wait < at - base) at = base + wait;
        }
        return at;
    }

    [[nodiscard]] Duration renew_every() const { return journal_.lease() / 3; }

    void renew_if_due() {
        if (clock_.monotonic() - renewed_at_ < renew_every()) return;
        journal_.renew_lease();
        renewed_at_ = clock_.monotonic();
    }

    void handle(std::vector<Item>& items) {
        std::vector<Pending> pending = std::exchange(later_, {});
        for (auto& item : items) {
            if (auto* event = std::get_if<core::Event>(&item)) {
                pending.push_back({std::move(*event), std::nullopt});
            } else if (auto* command = std::get_if<Command>(&item)) {
                set_request(command->event, RequestId{++last_request_});
                pending.push_back({std::move(command->event), std::move(command->answer)});
            } else if (auto* question = std::get_if<Question>(&item)) {
                (*question->ask)(*scheduler_);
                question->answered.set_value();
            } else if (auto* definition = std::get_if<Definition>(&item)) {
                store_definition(*definition, pending);
            } else if (auto* announcement = std::get_if<Announcement>(&item)) {
                announced_.push_back(std::move(announcement->dag_id));
            }
        }
        items.clear();
        turn(std::move(pending));
    }

    void store_definition(Definition& definition, std::vector<Pending>& pending) {
        try {
            const auto stored = journal_.put_version(definition.dag);
            Dag dag = std::move(definition.dag);
            dag.version = stored.id;
            dag.version_number = stored.number;
            auto loaded = std::make_shared<const Dag>(std::move(dag));
            registry_.put(loaded, std::move(definition.warnings), now());
            pending.push_back(
                {core::DagLoaded{
                     .dag = loaded,
                     .paused_at_creation = settings_.dags_are_paused_at_creation,
                 },
                 std::nullopt}
            );
            defined_.emplace_back(std::move(definition.listed), loaded);
        } catch (const store::Away&) {
            definition.listed.set_exception(
                std::make_exception_ptr(Error(ErrorCode::unavailable, "the database is away"))
            );
            throw;
        }
    }

    /// Steps all events, commits once, carries out the effects.
    void turn(std::vector<Pending> pending) {
        Turn turn;
        try {
            const Instant at = now();
            turn.now = at;
            step_all(pending, at, turn);
            scheduler_->dispatch(at, turn);
            commit(turn);
        } catch (const store::Refused& refused) {
            ++figures_.refused;
            spdlog::warn(
                "a commit was refused, its events are tried one by one: {}", refused.what()
            );
            load();
            for (auto& item : pending) replay(item);
            return;
        } catch (const store::Away& away) {
            after_lost_connection(pending, turn, away.what());
            return;
        } catch (...) {
            refuse(pending);
            throw;
        }
        carry_out(turn, pending);
    }

    /// Steps what this turn can take; the rest waits in `later_` for the next one, in order.
    void step_all(std::vector<Pending>& pending, Instant at, Turn& turn) {
        // A Tick changes only what no event of the turn has changed: it is never put off.
        const auto ticked = scheduler_->step(core::Tick{}, at, turn);
        SLUICE_CHECK(ticked == core::Taken::yes);
        std::vector<Pending> taken;
        for (auto& item : pending) {
            add_facts(item.event);
            const bool now = scheduler_->step(item.event, at, turn) == core::Taken::yes;
            (now ? taken : later_).push_back(std::move(item));
        }
        pending = std::move(taken);
    }

    /// One event a commit; what is refused again is answered, and never tried for ever.
    void replay(Pending& item) {
        std::vector<Pending> single;
        single.push_back(std::move(item));
        std::string why;
        if (try_alone(single, why)) return;
        load();
        if (single.empty()) return;
        if (single.front().answer) {
            single.front().answer->set_value(
                Answer{.error = ErrorCode::conflict, .message = "refused by the database: " + why}
            );
            return;
        }
        auto* ended = std::get_if<core::AttemptEnded>(&single.front().event);
        if (ended == nullptr) return;
        ended->result = without_payload(std::move(ended->result), why);
        if (!try_alone(single, why)) load();
    }

    bool try_alone(std::vector<Pending>& single, std::string& why) {
        Turn turn;
        turn.now = now();
        try {
            add_facts(single.front().event);
            if (scheduler_->step(single.front().event, turn.now, turn) == core::Taken::next_turn) {
                later_.push_back(std::move(single.front()));
                single.clear();
            }
            scheduler_->dispatch(turn.now, turn);
            commit(turn);
        } catch (const store::Refused& refused) {
            why = refused.what();
            return false;
        }
        carry_out(turn, single);
        return true;
    }

    void commit(const Turn& turn) {
        ++figures_.turns;
        figures_.last_turn_at = to_micros(turn.now);
        if (!turn.has_rows()) return;
        const auto begin = clock_.monotonic();
        journal_.commit(turn);
        renewed_at_ = clock_.monotonic();
        const auto micros = std::chrono::duration_cast<Duration>(renewed_at_ - begin).count();
        ++figures_.commits;
        figures_.transitions += turn.transitions.size();
        figures_.commit_micros += static_cast<std::uint64_t>(micros);
        figures_.last_commit_micros = static_cast<std::uint64_t>(micros);
    }

    void carry_out(Turn& turn, std::vector<Pending>& pending) {
        if (!turn.transitions.empty()) seq_ = turn.transitions.back().seq.value;
        for (const auto& state : turn.dags) registry_.put_state(state);
        for (const auto& order : turn.cancels) executor_.cancel(order);
        if (!turn.starts.empty()) executor_.start(std::move(turn.starts));
        for (const auto& item : pending)
            if (const auto* ended = std::get_if<core::AttemptEnded>(&item.event))
                executor_.acknowledge(ended->result.key);
        answer(turn, pending);
        publish(turn);
    }

    void answer(Turn& turn, std::vector<Pending>& pending) {
        std::map<RequestId, Answer*> answers;
        for (auto& answer : turn.answers) answers[answer.id] = &answer;
        for (auto& item : pending) {
            if (!item.answer) continue;
            const auto request = request_of(item.event);
            SLUICE_CHECK(request.has_value());
            const auto found = answers.find(*request);
            SLUICE_CHECK(found != answers.end());
            found->second->seq = Seq{seq_};
            item.answer->set_value(std::move(*found->second));
            item.answer.reset();
        }
        for (auto& [promise, dag] : defined_) promise.set_value(dag);
    }

    void publish(Turn& turn) {
        auto defined = std::exchange(defined_, {});
        auto announced = std::exchange(announced_, {});
        if (!turn.has_rows() && defined.empty() && announced.empty()) return;
        auto change = std::make_shared<Change>();
        change->seq = Seq{seq_};
        change->at = turn.now;
        for (const auto& [promise, dag] : defined) change->definitions.push_back(dag->dag_id);
        change->import_errors = !announced.empty();
        for (auto& dag_id : announced)
            if (!dag_id.empty()) change->definitions.push_back(std::move(dag_id));
        change->transitions = std::move(turn.transitions);
        change->dags = std::move(turn.dags);
        change->backfills = std::move(turn.backfills);
        change->runs.reserve(turn.runs.size());
        for (auto& row : turn.runs) change->runs.push_back(std::move(row.run));
        change->instances.reserve(turn.tasks.size());
        for (auto& row : turn.tasks) change->instances.push_back(std::move(row.instance));
        feed_.publish(change);
    }

    /// What core cannot know of runs that have ended, read in the loop before the step.
    void add_facts(core::Event& event) {
        std::visit(
            [this](auto& value) {
                using Value = std::decay_t<decltype(value)>;
                if constexpr (requires { value.run_id_taken; }) {
                    if (value.run_id)
                        value.run_id_taken =
                            journal_.find_run_key(value.dag_id, *value.run_id).has_value();
                    if (value.logical_date)
                        value.logical_date_taken =
                            journal_.has_logical_date(value.dag_id, *value.logical_date);
                } else if constexpr (std::is_same_v<Value, core::SetTaskState>) {
                    if (!value.tasks.empty()) add_stored(value.tasks.front().run, value.stored);
                } else if constexpr (requires { value.stored; }) {
                    add_stored(value.run, value.stored);
                } else if constexpr (std::is_same_v<Value, core::CreateBackfill>) {
                    value.existing = journal_.runs_between(
                        value.backfill.dag_id, value.backfill.from_date, value.backfill.to_date
                    );
                    for (auto& stored : value.existing) stored.dag = version(stored.run.version);
                }
            },
            event
        );
    }

    void add_stored(RunKey run, std::optional<StoredRun>& stored) {
        if (scheduler_->find_open_run(run) != nullptr) return;
        stored = journal_.find_run(run);
        if (stored) stored->dag = version(stored->run.version);
    }

    DagPtr version(VersionId id) {
        if (auto known = registry_.find_version(id)) return known;
        auto stored = journal_.versions({id});
        SLUICE_CHECK(!stored.empty());
        auto dag = read_version_(stored.front());
        registry_.put_version(dag);
        return dag;
    }

    /// Throws away what is in memory and begins anew from the database.
    void load() {
        ++figures_.reloads;
        Snapshot snapshot = journal_.load();
        renewed_at_ = clock_.monotonic();
        figures_.database_available = true;
        figures_.owner = true;
        last_now_ = std::max(last_now_, snapshot.now);
        seq_ = snapshot.last_seq.value;
        fill_versions(snapshot);
        scheduler_.emplace(settings_.core, snapshot);
        for (const auto& state : snapshot.dags) registry_.put_state(state);
        Turn turn;
        turn.now = now();
        scheduler_->recover(executor_.alive(), turn.now, turn);
        scheduler_->dispatch(turn.now, turn);
        commit(turn);
        std::vector<Pending> none;
        carry_out(turn, none);
    }

    void fill_versions(Snapshot& snapshot) {
        std::set<VersionId> wanted;
        for (const auto& state : snapshot.dags) wanted.insert(state.current);
        for (const auto& run : snapshot.open_runs) wanted.insert(run.version);
        std::vector<VersionId> missing;
        for (const auto id : wanted) {
            if (auto known = registry_.find_version(id)) {
                snapshot.versions.push_back(known);
            } else {
                missing.push_back(id);
            }
        }
        if (missing.empty()) return;
        for (const auto& stored : journal_.versions(missing)) {
            auto dag = read_version_(stored);
            registry_.put_version(dag);
            const bool current = std::ranges::any_of(snapshot.dags, [&](const DagState& state) {
                return state.current == dag->version;
            });
            if (current) registry_.put(dag, {}, snapshot.now);
            snapshot.versions.push_back(std::move(dag));
        }
    }

    /// The connection broke in a commit: after it is back the lease's turn number says what
    /// happened.
    void after_lost_connection(std::vector<Pending>& pending, Turn& turn, const std::string& why) {
        figures_.database_available = false;
        spdlog::warn("the run-state database is away: {}", why);
        const auto loaded = reload_until_back(&turn);
        if (!loaded) {
            refuse(pending);
            return;
        }
        if (*loaded) {
            // It was durable before the connection broke: the starts were already given out.
            turn.starts.clear();
            carry_out(turn, pending);
            executor_.repost();
            return;
        }
        refuse(pending);
        for (auto& item : pending) {
            // Definitions and files are still as they were told; results come again by `repost`.
            if (std::holds_alternative<core::DagLoaded>(item.event) ||
                std::holds_alternative<core::DagGone>(item.event))
                queue_.push(Item{std::move(item.event)});
        }
        executor_.repost();
    }

    static void refuse(std::vector<Pending>& pending) {
        for (auto& item : pending) {
            if (!item.answer) continue;
            item.answer->set_value(Answer{
                .error = ErrorCode::unavailable,
                .message = "the run-state database went away before the commit; nothing was done",
            });
            item.answer.reset();
        }
    }

    void come_back(const std::string& why) {
        figures_.database_available = false;
        spdlog::warn("the run-state database is away: {}", why);
        if (reload_until_back(nullptr)) executor_.repost();
    }

    /// Tries until the database is there. None when the daemon stops first; else whether the commit
    /// that broke had happened (then its starts are carried out before recovery looks for the
    /// lost).
    std::optional<bool> reload_until_back(Turn* turn) {
        auto pause = std::chrono::milliseconds{20};
        for (;;) {
            {
                std::unique_lock lock(stop_mutex_);
                stop_requested_.wait_for(lock, pause, [&] { return stopping_.load(); });
                if (stopping_) {
                    stopped_while_away_ = true;
                    return std::nullopt;
                }
            }
            pause = std::min(pause * 2, std::chrono::milliseconds{500});
            try {
                bool happened = false;
                if (turn != nullptr && turn->has_rows()) {
                    journal_.load();
                    happened = journal_.last_commit_happened();
                    if (happened && !turn->starts.empty()) executor_.start(turn->starts);
                }
                load();
                spdlog::info("the run-state database is back");
                return happened;
            } catch (const store::Away& away) {
                spdlog::debug("still away: {}", away.what());
            }
        }
    }

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
    Instant last_now_{};
    SteadyTime renewed_at_{};
    std::int64_t last_request_{0};
    bool stopped_while_away_{false};
    std::mutex stop_mutex_;  // pairs with stop_requested_
    std::condition_variable stop_requested_;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

Runtime::Runtime(
    Settings settings,
    Clock& clock,
    store::Journal& journal,
    executor::Executor& executor,
    ReadVersion read_version
)
    : impl_(std::make_unique<Impl>(settings, clock, journal, executor, std::move(read_version))) {}

Runtime::~Runtime() { impl_->stop(); }

void Runtime::start() { impl_->start(); }
void Runtime::stop() { impl_->stop(); }
bool Runtime::deposed() const { return impl_->deposed_; }
Answer Runtime::call(core::Event command, Duration timeout) {
    return impl_->call(std::move(command), timeout);
}
void Runtime::post(core::Event event) { impl_->post(std::move(event)); }
void Runtime::report(AttemptResult result) { impl_->post(core::AttemptEnded{std::move(result)}); }
DagPtr Runtime::define(const Dag& dag, std::vector<Problem> warnings) {
    return impl_->define(dag, std::move(warnings));
}
void Runtime::forget(const std::string& dag_id) { impl_->post(core::DagGone{dag_id}); }
void Runtime::announce_import_errors(const std::string& dag_id) { impl_->announce(dag_id); }
void Runtime::query(const std::function<void(const core::Scheduler&)>& ask) { impl_->query(ask); }
DagRegistry& Runtime::registry() { return impl_->registry_; }
Feed& Runtime::feed() { return impl_->feed_; }
const LoopFigures& Runtime::figures() const { return impl_->figures_; }
Seq Runtime::seq() const { return Seq{impl_->seq_}; }

}  // namespace sluice::runtime
