// One turn: step all events, commit once, then effects, answers and the feed.
#include <algorithm>
#include <map>

#include <spdlog/spdlog.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/fault.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {
namespace {

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

void Runtime::Impl::turn(std::vector<Pending> pending) {
    flights_.emplace_back();
    try {
        Flight& first = flights_.back();
        first.pending = std::move(pending);
        first.turn.now = now();
        step_all(first.pending, first.turn.now, first.turn);
        seal(first.turn);
        send(first);
        while (!flights_.empty()) {
            run_ahead();
            settle();
            Flight done = std::move(flights_.front());
            flights_.pop_front();
            try {
                carry_out(done.turn, done.pending);
            } catch (const store::Refused& refused) {
                throw Error(ErrorCode::internal, refused.what());  // of a read, not of a commit
            }
        }
    } catch (const store::Refused& refused) {
        start_over(refused.what());
    } catch (const store::Away& away) {
        come_back(away.what());
    } catch (const store::Deposed&) {
        refuse_flights(
            "another daemon owns the run state now; its answers tell whether the command was done"
        );
        throw;
    } catch (...) {
        refuse_flights(nothing_done);
        throw;
    }
}

void Runtime::Impl::run_ahead() {
    // Two keep the database busy. What others ask for comes first, and then more is ended at once.
    constexpr std::size_t most = 2;
    if (flights_.size() >= most || queue_.is_ready() || !later_.empty()) return;
    const auto at = clock_.monotonic();
    if (at - commanded_at_ < settings_.ahead_after || renewal_is_due(at)) return;
    Flight next;
    std::vector<AttemptResult> ends;
    std::erase_if(flights_.back().turn.starts, [&](AttemptOrder& order) {
        auto end = executor_.ends_at_once(order);
        if (!end) return false;
        ends.push_back(*std::move(end));
        next.ended.push_back(std::move(order));
        return true;
    });
    if (ends.empty()) return;
    next.turn.now = now();
    const auto ticked = scheduler_->step(core::Tick{}, next.turn.now, next.turn);
    SLUICE_CHECK(ticked == core::Taken::yes);
    for (auto& end : ends) {
        core::Event event{core::AttemptEnded{std::move(end)}};
        if (scheduler_->step(event, next.turn.now, next.turn) == core::Taken::next_turn)
            later_.push_back({std::move(event), std::nullopt});
    }
    seal(next.turn);
    flights_.push_back(std::move(next));
    send(flights_.back());
    fault_point("sent_ahead");
}

void Runtime::Impl::send(Flight& flight) {
    flight.sent_at = clock_.monotonic();
    if (!flight.turn.has_rows()) return;
    journal_.send(flight.turn);
    flight.sent = true;
}

void Runtime::Impl::settle() {
    Flight& oldest = flights_.front();
    if (oldest.sent) journal_.settle();
    oldest.durable = true;
    committed(oldest.turn, oldest.sent_at);
}

void Runtime::Impl::start_over(const std::string& why) {
    ++figures_.refused;
    spdlog::warn("a commit was refused, its events are tried one by one: {}", why);
    auto flights = std::exchange(flights_, {});
    // What it was to end was started by a durable turn, and is the executor's to end now.
    if (!flights.front().ended.empty()) executor_.start(flights.front().ended);
    load();
    for (auto& item : flights.front().pending) replay(item);
}

void Runtime::Impl::step_all(std::vector<Pending>& pending, Instant at, Turn& turn) {
    // A Tick changes only what no event of the turn has changed: it is never put off.
    const auto ticked = scheduler_->step(core::Tick{}, at, turn);
    SLUICE_CHECK(ticked == core::Taken::yes);
    const auto names = names_taken(pending, false);
    auto taken = pending.begin();
    for (auto& item : pending) {
        add_facts(item.event, names);
        if (scheduler_->step(item.event, at, turn) == core::Taken::next_turn) {
            later_.push_back(std::move(item));
            continue;
        }
        if (&*taken != &item) *taken = std::move(item);
        ++taken;
    }
    pending.erase(taken, pending.end());
}

void Runtime::Impl::replay(Pending& item) {
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

bool Runtime::Impl::try_alone(std::vector<Pending>& single, std::string& why) {
    Turn turn;
    turn.now = now();
    try {
        add_facts(single.front().event, names_taken(single, true));
        if (scheduler_->step(single.front().event, turn.now, turn) == core::Taken::next_turn) {
            later_.push_back(std::move(single.front()));
            single.clear();
        }
        seal(turn);
        commit(turn);
    } catch (const store::Refused& refused) {
        why = refused.what();
        return false;
    }
    carry_out(turn, single);
    return true;
}

void Runtime::Impl::seal(Turn& turn) {
    scheduler_->hold_starts(draining_);
    scheduler_->dispatch(turn.now, turn);
}

void Runtime::Impl::commit(const Turn& turn) {
    const auto begin = clock_.monotonic();
    if (turn.has_rows()) journal_.commit(turn);
    committed(turn, begin);
}

void Runtime::Impl::committed(const Turn& turn, SteadyTime sent_at) {
    ++figures_.turns;
    figures_.last_turn_at = to_micros(turn.now);
    if (!turn.has_rows()) return;
    renewed_at_ = sent_at;
    const auto took = std::chrono::duration_cast<Duration>(clock_.monotonic() - sent_at);
    const auto micros = static_cast<std::uint64_t>(took.count());
    ++figures_.commits;
    figures_.transitions += turn.transitions.size();
    figures_.commit_micros += micros;
    figures_.last_commit_micros = micros;
    // What follows are effects: only while the lease is surely ours. A commit that took long, or a
    // process that was stopped for a while, asks again first.
    while (!journal_.lease_is_fresh()) journal_.renew_lease();
    fault_point("after_commit_before_effects");
}

void Runtime::Impl::carry_out(Turn& turn, std::vector<Pending>& pending) {
    // Of a turn that a lost connection left in doubt, the reload has told already.
    if (!turn.transitions.empty()) seq_ = std::max(seq_.load(), turn.transitions.back().seq.value);
    for (const auto& state : turn.dags) registry_.put_state(state);
    for (const auto& dag : turn.dags_deleted) registry_.remove(dag.dag_id);
    if (!turn.dags_deleted.empty() && settings_.dags_deleted) settings_.dags_deleted();
    for (const auto& dag : turn.dags_removed)
        if (settings_.dag_removed) settings_.dag_removed(dag.dag_id);
    for (const auto& order : turn.cancels) executor_.cancel(order);
    if (!turn.starts.empty()) executor_.start(std::move(turn.starts));
    for (auto& order : turn.expands) expand(std::move(order));
    for (const auto& item : pending)
        if (const auto* ended = std::get_if<core::AttemptEnded>(&item.event))
            executor_.acknowledge(ended->result.key);
    if (!turn.callbacks.empty() && settings_.callbacks_due) settings_.callbacks_due();
    fault_point("after_effects");
    answer(turn, pending);
    for (const auto& question : turn.past_questions)
        later_.push_back({answer_past(question), std::nullopt});
    for (const auto& question : turn.runtime_questions)
        later_.push_back({answer_runtimes(question), std::nullopt});
    publish(turn);
}

void Runtime::Impl::expand(ExpandOrder order) {
    core::Expanded expanded;
    expanded.run = order.run_key;
    expanded.map = order.map;
    expanded.serial = order.serial;
    expanded.outer = order.outer;
    executor_.expand(std::move(order), [this, expanded](executor::ExpandAnswer answer) mutable {
        expanded.length = answer.length;
        expanded.shape = std::move(answer.shape);
        expanded.error = std::move(answer.error);
        expanded.error_class = answer.error_class;
        post(std::move(expanded));
    });
}

void Runtime::Impl::answer(Turn& turn, std::vector<Pending>& pending) {
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

void Runtime::Impl::publish(Turn& turn) {
    auto defined = std::exchange(defined_, {});
    auto announced = std::exchange(announced_, {});
    if (!turn.has_rows() && defined.empty() && announced.empty()) return;
    auto change = std::make_shared<Change>();
    change->seq = Seq{seq_};
    change->at = turn.now;
    for (const auto& [promise, dag] : defined)
        if (registry_.find(dag->dag_id)) change->definitions.push_back(dag->dag_id);
    change->import_errors = !announced.empty();
    for (auto& dag_id : announced)
        if (!dag_id.empty()) change->definitions.push_back(std::move(dag_id));
    change->transitions = std::move(turn.transitions);
    change->dags = std::move(turn.dags);
    for (auto& dag : turn.dags_deleted) change->dags_deleted.push_back(std::move(dag.dag_id));
    change->backfills = std::move(turn.backfills);
    change->runs.reserve(turn.runs.size());
    for (auto& row : turn.runs) change->runs.push_back(std::move(row.run));
    change->instances.reserve(turn.tasks.size());
    for (auto& row : turn.tasks) change->instances.push_back(std::move(row.instance));
    feed_.publish(change);
}

}  // namespace sluice::runtime
