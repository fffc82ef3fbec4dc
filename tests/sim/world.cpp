#include "tests/sim/world.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/pace.hpp"
#include "model/layout.hpp"
#include "tests/sim/broken.hpp"
#include "tests/sim/dag_maker.hpp"

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

Pool make_pool(const std::string& name, std::int64_t slots) {
    Pool pool;
    pool.name = name;
    pool.slots = slots;
    return pool;
}

}  // namespace

World::World(std::uint64_t seed, const Faults& faults, Histogram& histogram)
    : random_(seed),
      whims_(~seed),
      deletions_(seed ^ 0xde1e7edULL),
      faults_(faults),
      histogram_(histogram) {
    // The day before the clocks are put back, or on.
    constexpr std::chrono::year year{2026};
    const auto day = whims_.one_in(3) ? year / 10 / 24 : year / 3 / 28;
    now_ = std::chrono::sys_days{day} + std::chrono::minutes{random_.between(0, 2000)};
    settings_.parallelism = random_.between(2, 12);
    settings_.cpu = random_.between(1, 4);
    settings_.memory_mb = 1024;
    settings_.max_lost_attempts = 3;
    settings_.clear_at_once = random_.between(3, 12);
    // With reservations a task may wait although it fits; then only the other invariants count.
    settings_.reserve_after = random_.chance(25) ? Duration{30s} : Duration{100'000h};
    restart(true);
    std::vector<core::Event> events;
    for (const auto& pool : {make_pool("p1", 2), make_pool("p2", 3)}) {
        core::PutPool put;
        put.pool = pool;
        events.emplace_back(put);
    }
    const int dags = random_.between(1, 4);
    for (int i = 0; i < dags; ++i) load_dag("d" + std::to_string(i), events);
    turn(std::move(events));
}

void World::tell(std::string line) {
    story_.push_back(std::move(line));
    if (story_.size() > 50) story_.pop_front();
}

Snapshot World::load() {
    Snapshot snapshot = journal_.load();
    for (const auto& [id, dag] : versions_) snapshot.versions.push_back(dag);
    return snapshot;
}

/// A reload after a failed commit keeps the attempts, a new process does not.
void World::restart(bool process_dies) {
    tell(process_dies ? "-- kill -9, new start" : "-- reload");
    if (process_dies) {
        live_.clear();
        pokes_.clear();
        put_off_.clear();
        asked_.clear();
    }
    std::vector<AttemptKey> alive;
    for (auto& [key, attempt] : live_) {
        alive.push_back(key);
        attempt.reported = false;  // results that were not committed come again
    }
    std::erase_if(put_off_, [](const core::Event& event) {
        return std::holds_alternative<core::AttemptEnded>(event) ||
               std::holds_alternative<core::Expanded>(event);
    });
    asked_.clear();
    scheduler_.emplace(settings_, load());
    Turn turn;
    scheduler_->recover(alive, now_, turn);
    std::set<std::string> paced;
    for (const auto& [id, dag] : versions_)
        if (core::needs_paces(*dag)) paced.insert(dag->dag_id);
    for (const auto& dag_id : paced) (void)scheduler_->step(paces_of(dag_id), now_, turn);
    scheduler_->dispatch(now_, turn);
    journal_.commit(turn);
    check_turn(turn);
    carry_out(turn, {});
    check_memory();
}

/// Never back.
void World::move_clock(Instant to) {
    const auto passes = [&](std::chrono::year_month_day day) {
        const Instant change = std::chrono::sys_days{day} + 1h;  // in Europe
        return now_ < change && change <= to;
    };
    constexpr std::chrono::year year{2026};
    if (passes(year / 3 / 29)) ++histogram_[{"fault", "the clocks were put on"}];
    if (passes(year / 10 / 25)) ++histogram_[{"fault", "the clocks were put back"}];
    now_ = std::max(now_, to);
}

void World::step() {
    std::vector<core::Event> events;
    switch (random_.between(0, 5)) {
        case 0:
        case 1:  // only what is due
            if (whims_.one_in(3)) events.emplace_back(core::Tick{});
            break;
        case 2:
            move_clock(now_ + std::chrono::milliseconds{random_.between(0, 3000)});
            break;
        case 3:
            move_clock(now_ + std::chrono::seconds{random_.between(1, 200)});
            break;
        case 4:
            if (const auto next = scheduler_->next_wakeup()) move_clock(*next);
            break;
        default:
            if (!random_.one_in(60)) break;
            ++histogram_[{"fault", "the clock jumped hours"}];
            move_clock(now_ + std::chrono::hours{random_.between(1, 60)});
            break;
    }
    collect_results(events);
    const int actions = random_.chance(30) ? random_.between(1, 3) : 0;
    for (int i = 0; i < actions; ++i) user_action(events);
    if (deletions_.one_in(50)) events.push_back(delete_action());
    remove_deleted(events);
    turn(std::move(events));
    if (random_.one_in(4)) quiesce();
}

void World::collect_results(std::vector<core::Event>& events) {
    for (auto& [key, attempt] : live_) {
        if (attempt.reported || attempt.ends > now_) continue;
        attempt.reported = true;
        attempt.result.end_date = attempt.ends;
        events.emplace_back(core::AttemptEnded{attempt.result});
        if (!faults_.duplicate || draining_ || !random_.one_in(10)) continue;
        events.emplace_back(core::AttemptEnded{attempt.result});
        ++histogram_[{"fault", "a result came twice"}];
    }
    for (auto order = asked_.begin(); order != asked_.end();) {
        if (!draining_ && !random_.chance(60)) {
            ++order;
            continue;
        }
        core::Expanded expanded;
        expanded.run = order->run_key;
        expanded.map = order->map;
        expanded.serial = order->serial;
        expanded.outer = order->outer;
        expanded.length = random_.between(0, 6);
        if (order->outer != unmapped) *expanded.length %= 4;
        if (!draining_ && random_.one_in(8)) {
            expanded.length.reset();
            expanded.error = "simulated";
        }
        events.emplace_back(expanded);
        order = asked_.erase(order);
    }
    if (!faults_.duplicate || draining_ || old_results_.empty() || !random_.one_in(10)) return;
    events.emplace_back(core::AttemptEnded{random_.pick(old_results_)});
    ++histogram_[{"fault", "an old result came"}];
}

/// What the runtime finds out before core sees an event.
void World::add_facts(core::Event& event) {
    const auto stored = [this](RunKey key) {
        auto found = journal_.find_run(key);
        if (found && scheduler_->find_dag(found->run.dag_id) == nullptr) found.reset();
        if (found) found->dag = versions_.at(found->run.version);
        return found;
    };
    if (auto* trigger = std::get_if<core::TriggerRun>(&event)) {
        trigger->run_id_taken =
            trigger->run_id && journal_.find_run_key(trigger->dag_id, *trigger->run_id);
        trigger->logical_date_taken =
            trigger->logical_date &&
            journal_.has_logical_date(trigger->dag_id, *trigger->logical_date);
    } else if (auto* backfill = std::get_if<core::CreateBackfill>(&event)) {
        const auto& wanted = backfill->backfill;
        if (scheduler_->find_dag(wanted.dag_id) == nullptr) return;
        backfill->existing = journal_.runs_between(wanted.dag_id, wanted.from_date, wanted.to_date);
        for (auto& run : backfill->existing) {
            run.dag = versions_.at(run.run.version);
            if (wanted.on_latest) run.onto = latest_for(run.run);
        }
        backfill->taken_ids = journal_.backfill_run_ids(wanted.dag_id);
    } else if (auto* clear = std::get_if<core::ClearTasks>(&event)) {
        clear->stored = stored(clear->run);
        if (clear->on_latest) add_latest(*clear);
    } else if (auto* set = std::get_if<core::SetRunState>(&event)) {
        set->stored = stored(set->run);
    } else if (auto* gone = std::get_if<core::DeleteRun>(&event)) {
        gone->stored = stored(gone->run);
    } else if (auto* note = std::get_if<core::SetRunNote>(&event)) {
        note->stored = stored(note->run);
    } else if (auto* mark = std::get_if<core::SetTaskState>(&event)) {
        if (!mark->tasks.empty()) mark->stored = stored(mark->tasks.front().run);
    }
}

core::PacesKnown World::paces_of(const std::string& dag_id) {
    core::PacesKnown known{dag_id, {}};
    for (const auto& pace : journal_.task_paces(dag_id)) {
        const auto& tasks = versions_.at(pace.version)->tasks;
        known.tasks[tasks[static_cast<std::size_t>(pace.task)].id] = {pace.seconds, pace.attempts};
    }
    return known;
}

/// What the runtime makes of the latest version, for a run that is not on it.
DagPtr World::latest_for(const DagRun& run) {
    const auto* state = scheduler_->find_dag(run.dag_id);
    if (state == nullptr) return nullptr;
    const Dag& before = *versions_.at(run.version);
    const DagPtr latest = versions_.at(state->current);
    if (is_of(before, *latest)) return nullptr;
    Dag form = form_of(*latest, before);
    if (form.hash == latest->hash) return latest;
    for (const auto& [id, known] : versions_)
        if (known->hash == form.hash) return known;
    form.version = {++last_version_};
    return versions_[form.version] = std::make_shared<const Dag>(std::move(form));
}

void World::add_latest(core::ClearTasks& clear) {
    const auto run = journal_.runs().find(clear.run);
    // Core knows a run that is open as this very turn has it.
    const auto* open = scheduler_->find_open_run(clear.run);
    clear.onto = nullptr;
    if (open != nullptr)
        clear.onto = latest_for(*open);
    else if (run != journal_.runs().end())
        clear.onto = latest_for(run->second);
}

core::PastFacts World::answer_past(const PastQuestion& question) {
    core::PastFacts facts;
    facts.run = question.run;
    facts.number = question.number;
    facts.previous =
        journal_.previous_run(question.dag_id, question.before, question.scheduled_only);
    if (facts.previous) facts.previous->dag = versions_.at(facts.previous->run.version);
    for (const auto id : journal_.versions_before(question.dag_id, question.before))
        for (const auto& task : question.tasks)
            if (find_task(*versions_.at(id), task) != no_task) facts.seen.push_back(task);
    return facts;
}

void World::turn(std::vector<core::Event> fresh) {
    auto events = std::exchange(put_off_, {});
    std::ranges::move(fresh, std::back_inserter(events));
    Turn turn;
    std::vector<core::Event> taken;
    std::vector<core::Event> later;
    for (auto& event : events) {
        add_facts(event);
        const bool now = scheduler_->step(event, now_, turn) == core::Taken::yes;
        tell(fmt::format("{} {}{}", format_z(now_), name_of(event), now ? "" : " (put off)"));
        (now ? taken : later).push_back(std::move(event));
    }
    scheduler_->dispatch(now_, turn);
    put_off_ = std::move(later);
    if (!commit_or_crash(turn, taken)) return;
    check_turn(turn);
    check_answers(turn, taken);
    count_events(taken);
    carry_out(turn, taken);
    check_memory();
}

void World::count_events(const std::vector<core::Event>& taken) {
    for (const auto& event : taken) {
        ++histogram_[{"event", name_of(event)}];
        const auto* ended = std::get_if<core::AttemptEnded>(&event);
        if (ended == nullptr) continue;
        const bool poke = ended->result.key.poke != 0;
        const auto kind = name_of(ended->result.outcome.kind);
        ++histogram_[{poke ? "a poke ends" : "an attempt ends", kind}];
    }
    if (!put_off_.empty()) ++histogram_[{"an event", "was put off"}];
}

/// False = the turn did not happen, or the process died after it.
bool World::commit_or_crash(const Turn& turn, std::vector<core::Event>& taken) {
    const bool crash = faults_.crash && !draining_ && random_.one_in(40);
    const int kind = crash ? random_.between(0, 2) : 3;
    static const std::string names[] = {
        "killed before a commit", "a commit was refused", "killed after a commit"
    };
    if (crash) ++histogram_[{"fault", names[kind]}];
    if (kind == 0) {  // killed before the commit: nothing happened
        restart(true);
        return false;
    }
    if (kind == 1) {  // refused: reload, and the events are given again
        auto again = std::move(taken);
        std::erase_if(again, [](const core::Event& event) {
            return std::holds_alternative<core::AttemptEnded>(event) ||
                   std::holds_alternative<core::Expanded>(event);
        });
        std::ranges::move(put_off_, std::back_inserter(again));
        put_off_ = std::move(again);
        restart(false);
        return false;
    }
    try {
        journal_.commit(turn);
    } catch (const store::Refused& refused) {
        throw Broken(std::string{"the journal refused a turn: "} + refused.what());
    }
    for (const auto& event : taken)
        if (const auto* ended = std::get_if<core::AttemptEnded>(&event))
            pokes_.erase(ended->result.key);
    for (const auto& event : taken)
        if (const auto* loaded = std::get_if<core::DagLoaded>(&event)) note_loaded(*loaded->dag);
    for (const auto& dag : turn.dags_deleted) current_.erase(dag.dag_id);
    if (kind == 2) {  // killed after the commit: its attempts never started
        check_turn(turn);
        restart(true);
        return false;
    }
    return true;
}

/// A definition counts unless a deleted DAG of its id is not removed yet.
void World::note_loaded(const Dag& dag) {
    const auto state = journal_.dags().find(dag.dag_id);
    if (state == journal_.dags().end() || state->second.current != dag.version) return;
    current_[dag.dag_id] = versions_.at(dag.version);
    if (removed_.erase(dag.dag_id) > 0) ++histogram_[{"a DAG", "came again"}];
}

/// A sensor's "not yet", for a time, for another run, or for what somebody says.
Outcome World::not_yet(Instant ends) {
    Outcome outcome;
    outcome.kind = OutcomeKind::waiting;
    auto& wait = outcome.wait.emplace();
    wait.kind = static_cast<WaitKind>(random_.between(0, 2));
    wait.resume = std::to_string(random_.between(0, 9));
    if (random_.chance(70)) wait.until = ends + std::chrono::seconds{random_.between(0, 200)};
    if (random_.chance(40) && !journal_.runs().empty()) {
        const auto& run = std::prev(journal_.runs().end())->second;
        wait.event = run.logical_date && random_.chance(50)
                         ? date_event(run.dag_id, *run.logical_date)
                         : run_event(run.dag_id, run.run_id);
        wait.seen = journal_.transitions().back().seq;
        // What is looked for may have ended before, and nothing wakes it then but its timeout.
        if (!wait.until) wait.until = ends + 1h;
    }
    return outcome;
}

AttemptResult World::make_result(const AttemptOrder& order, Instant ends) {
    AttemptResult result;
    result.key = order.key;
    result.end_date = ends;
    auto& outcome = result.outcome;
    const int dice = draining_ ? 0 : random_.between(1, 100);
    if (dice <= 12 && !draining_) {
        outcome = not_yet(ends);
        return result;
    }
    if (dice <= 70) {
        outcome.branch = make_way(random_, *order.dag, order.key.task.task);
        return result;
    }
    if (dice <= 77) {
        outcome.kind = OutcomeKind::skipped;
        return result;
    }
    if (dice <= 83 && faults_.lost) {
        outcome.kind = OutcomeKind::lost;
        return result;
    }
    outcome.kind = OutcomeKind::failed;
    outcome.message = "simulated";
    outcome.error_class = static_cast<ErrorClass>(random_.between(0, 7));
    if (outcome.error_class == ErrorClass::rate_limited) outcome.retry_after = 20s;
    return result;
}

void World::carry_out(const Turn& turn, const std::vector<core::Event>& taken) {
    for (const auto& event : taken) {
        if (const auto* ended = std::get_if<core::AttemptEnded>(&event)) {
            live_.erase(ended->result.key);
            old_results_.push_back(ended->result);
            if (old_results_.size() > 30) old_results_.erase(old_results_.begin());
        }
    }
    for (const auto& question : turn.past_questions) put_off_.emplace_back(answer_past(question));
    for (const auto& question : turn.runtime_questions)
        put_off_.emplace_back(deadlines_.answer(journal_, versions_, question));
    for (const auto& order : turn.starts) {
        Instant ends = now_ + std::chrono::milliseconds{random_.between(0, 20'000)};
        if (random_.chance(50)) ends = now_;
        if (faults_.slow && !draining_ && random_.one_in(15)) {
            ends += 3h;
            ++histogram_[{"fault", "an attempt took hours"}];
        }
        live_[order.key] = {order, ends, make_result(order, ends), false, false};
    }
    asked_.insert(asked_.end(), turn.expands.begin(), turn.expands.end());
    for (const auto& cancel : turn.cancels) {
        const auto found = live_.find(cancel.key);
        if (found == live_.end() || found->second.reported) continue;
        auto& attempt = found->second;
        attempt.cancelled = true;
        attempt.ends = now_ + std::chrono::milliseconds{random_.between(0, 1000)};
        if (whims_.one_in(2)) attempt.ends += 2min;
        attempt.result.outcome.kind = OutcomeKind::failed;
        attempt.result.outcome.message = "cancelled";
    }
}

}  // namespace sluice::sim
