// What core cannot know by itself: runs that have ended, and the versions they ran.
#include <map>
#include <set>
#include <type_traits>

#include "base/check.hpp"
#include "base/error.hpp"
#include "model/layout.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {

// Names that were made here are asked about only once a commit was refused (another daemon's clock,
// or a user who gave such a name): the question is a round trip before the turn.
std::set<store::Journal::RunName> Runtime::Impl::names_taken(
    const std::vector<Pending>& pending, bool made_ones_too
) {
    std::vector<store::Journal::RunName> asked;
    for (const auto& item : pending) {
        const auto* trigger = std::get_if<core::TriggerRun>(&item.event);
        if (trigger == nullptr || !trigger->run_id) continue;
        if (made_ones_too || !trigger->run_id_made)
            asked.emplace_back(trigger->dag_id, *trigger->run_id);
    }
    if (asked.empty()) return {};
    return journal_.taken(asked);
}

void Runtime::Impl::add_facts(core::Event& event, const std::set<store::Journal::RunName>& names) {
    std::visit(
        [&](auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, core::TriggerRun>) {
                value.run_id_taken = value.run_id && names.contains({value.dag_id, *value.run_id});
                if (value.logical_date)
                    value.logical_date_taken =
                        journal_.has_logical_date(value.dag_id, *value.logical_date);
            } else if constexpr (std::is_same_v<Value, core::PacesKnown>) {
                add_paces(value);
            } else if constexpr (std::is_same_v<Value, core::SetTaskState>) {
                if (!value.tasks.empty()) add_stored(value.tasks.front().run, value.stored);
            } else if constexpr (std::is_same_v<Value, core::ClearTasks>) {
                add_stored(value.run, value.stored);
                if (value.on_latest) add_latest(value);
            } else if constexpr (requires { value.stored; }) {
                add_stored(value.run, value.stored);
            } else if constexpr (std::is_same_v<Value, core::CreateBackfill>) {
                // Of one that was deleted something may still be stored.
                if (scheduler_->find_dag(value.backfill.dag_id) == nullptr) return;
                value.existing = journal_.runs_between(
                    value.backfill.dag_id, value.backfill.from_date, value.backfill.to_date
                );
                std::map<VersionId, DagPtr> latest;
                for (auto& stored : value.existing) {
                    stored.dag = version(stored.run.version);
                    if (!value.backfill.on_latest) continue;
                    const auto [known, fresh] = latest.try_emplace(stored.run.version);
                    if (fresh) known->second = latest_for(stored.run, true);
                    stored.onto = known->second;
                }
                value.taken_ids = journal_.backfill_run_ids(value.backfill.dag_id);
            }
        },
        event
    );
}

void Runtime::Impl::add_stored(RunKey run, std::optional<StoredRun>& stored) {
    if (scheduler_->find_open_run(run) != nullptr) return;
    stored = journal_.find_run(run);
    // The versions of a deleted DAG may be gone already.
    if (stored && scheduler_->find_dag(stored->run.dag_id) == nullptr) stored.reset();
    if (stored) stored->dag = version(stored->run.version);
}

/// The DAG's latest version in the run's task numbers, if the run is not on it; stored unless it is
/// only looked at.
DagPtr Runtime::Impl::latest_for(const DagRun& run, bool keep) {
    const DagState* state = scheduler_->find_dag(run.dag_id);
    if (state == nullptr) return nullptr;
    const DagPtr latest = version(state->current);
    const DagPtr before = version(run.version);
    if (is_of(*before, *latest)) return nullptr;
    Dag form = form_of(*latest, *before);
    if (form.hash == latest->hash) return latest;
    if (!keep) return std::make_shared<const Dag>(std::move(form));
    form.version = journal_.put_form(form).id;
    if (auto known = registry_.find_version(form.version)) return known;
    auto kept = std::make_shared<const Dag>(std::move(form));
    registry_.put_version(kept);
    return kept;
}

void Runtime::Impl::add_latest(core::ClearTasks& clear) {
    const DagRun* run = scheduler_->find_open_run(clear.run);
    if (run == nullptr && clear.stored) run = &clear.stored->run;
    clear.onto = run == nullptr ? nullptr : latest_for(*run, !clear.dry_run);
}

core::PastFacts Runtime::Impl::answer_past(const PastQuestion& question) {
    core::PastFacts facts;
    facts.run = question.run;
    facts.number = question.number;
    facts.previous =
        journal_.previous_run(question.dag_id, question.before, question.scheduled_only);
    if (!facts.previous) return facts;
    facts.previous->dag = version(facts.previous->run.version);
    const auto is_in = [](const Dag& dag, const std::string& id) {
        return find_task(dag, id) != no_task;
    };
    std::set<std::string> missing;
    for (const auto& id : question.tasks)
        if (!is_in(*facts.previous->dag, id)) missing.insert(id);
    if (missing.empty()) return facts;
    for (const auto id : journal_.versions_before(question.dag_id, question.before)) {
        const auto dag = version(id);
        for (const auto& task : missing)
            if (is_in(*dag, task)) facts.seen.push_back(task);
    }
    return facts;
}

core::RuntimesKnown Runtime::Impl::answer_runtimes(const RuntimeQuestion& question) {
    core::RuntimesKnown known;
    known.run = question.run;
    known.number = question.number;
    for (const auto& time : journal_.run_times(
             question.dag_id, question.run, question.most, !question.tasks.empty()
         )) {
        known.runs.push_back(time.took);
        if (question.tasks.empty()) continue;
        const DagPtr dag = version(time.version);
        for (const auto& id : question.tasks)
            if (const auto at = time.tasks.find(find_task(*dag, id)); at != time.tasks.end())
                known.tasks[id].push_back(at->second);
    }
    return known;
}

DagPtr Runtime::Impl::version(VersionId id) {
    if (auto known = registry_.find_version(id)) return known;
    auto stored = journal_.versions({id});
    SLUICE_CHECK(!stored.empty());
    auto dag = read_version_(stored.front());
    registry_.put_version(dag);
    return dag;
}

void Runtime::Impl::add_paces(core::PacesKnown& event) {
    if (scheduler_->find_dag(event.dag_id) == nullptr) return;
    for (const auto& pace : journal_.task_paces(event.dag_id)) {
        const DagPtr dag = version(pace.version);
        if (static_cast<std::size_t>(pace.task) >= dag->tasks.size()) continue;
        auto& known = event.tasks[dag->tasks[static_cast<std::size_t>(pace.task)].id];
        const int attempts = known.attempts + pace.attempts;
        known.seconds = (known.seconds * known.attempts + pace.seconds * pace.attempts) / attempts;
        known.attempts = attempts;
    }
}

/// Between two turns: the log, memory and the database are at one place.
RunFacts Runtime::Impl::look_up(const RunQuestion& question) {
    RunFacts facts;
    facts.seen = Seq{seq_};
    const DagState* dag = scheduler_->find_dag(question.dag_id);
    facts.dag_known = dag != nullptr && !dag->is_stale;
    if (dag == nullptr) return facts;
    std::optional<RunKey> key;
    if (!question.run_id.empty()) {
        key = journal_.find_run_key(question.dag_id, question.run_id);
    } else if (const auto& date = question.logical_date) {
        const auto runs = journal_.runs_between(question.dag_id, *date, *date);
        if (!runs.empty()) key = runs.back().run.key;
    }
    if (!key) return facts;
    const auto stored = journal_.find_run(*key);
    if (!stored) return facts;
    auto& found = facts.run.emplace(FoundRun{});
    found.key = *key;
    found.run_id = stored->run.run_id;
    found.state = stored->run.state;
    found.triggering_user = stored->run.triggering_user;
    const DagPtr version_of_run = version(stored->run.version);
    for (const auto& task : version_of_run->tasks) found.tasks[task.id];
    for (const auto& row : stored->instances)
        if (static_cast<std::size_t>(row.key.task) < version_of_run->tasks.size())
            found.tasks[version_of_run->tasks[static_cast<std::size_t>(row.key.task)].id].push_back(
                row.state
            );
    for (auto& [id, states] : found.tasks)
        if (states.empty()) states.push_back(TaskState::none);
    return facts;
}

/// After the turn: a database that is away costs nothing but these answers.
void Runtime::Impl::reply(std::vector<Inquiry>& inquiries) {
    for (std::size_t i = 0; i < inquiries.size(); ++i) {
        try {
            inquiries[i].answered.set_value(look_up(inquiries[i].question));
        } catch (const store::Away&) {
            const auto away = std::make_exception_ptr(
                Error(ErrorCode::unavailable, "the run-state database is away")
            );
            for (; i < inquiries.size(); ++i) inquiries[i].answered.set_exception(away);
            throw;
        }
    }
}

}  // namespace sluice::runtime
