#include "run_requests.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "model/params.hpp"
#include "runtime/runtime.hpp"

namespace sluice {
namespace {

core::Actor actor_of(const AttemptOrder& order, const RunWish& wish) {
    core::Actor actor;
    actor.user = wish.by;
    actor.source = fmt::format("{} {}", order.dag->dag_id, order.run->run_id);
    actor.by = TriggeredBy::operator_;
    return actor;
}

/// The run that is in the way: of the same id, else of the same logical date.
std::optional<FoundRun> in_the_way(runtime::Runtime& runtime, const RunWish& wish) {
    auto same_id = runtime.run_facts({wish.dag_id, wish.run_id, std::nullopt});
    if (same_id.run || !wish.logical_date) return same_id.run;
    return runtime.run_facts({wish.dag_id, "", wish.logical_date}).run;
}

}  // namespace

std::string trigger_run(runtime::Runtime& runtime, const AttemptOrder& order, const RunWish& wish) {
    if (const auto listed = runtime.registry().find(wish.dag_id))
        if (const auto wrong = conf_complaint(*listed->dag, wish.conf); !wrong.empty())
            throw Error(ErrorCode::invalid, wrong);
    core::TriggerRun trigger;
    trigger.actor = actor_of(order, wish);
    trigger.dag_id = wish.dag_id;
    trigger.run_id = wish.run_id;
    trigger.logical_date = wish.logical_date;
    trigger.conf = wish.conf;
    const Answer answer = runtime.call(trigger);
    if (!answer.error) return wish.run_id;
    const auto found =
        answer.error == ErrorCode::conflict ? in_the_way(runtime, wish) : std::nullopt;
    if (!found) throw Error(*answer.error, answer.message);
    if (found->run_id == wish.run_id && found->triggering_user == wish.by) return wish.run_id;
    if (!wish.reset) throw Error(*answer.error, answer.message);
    core::SetRunState reset;
    reset.actor = trigger.actor;
    reset.run = found->key;
    reset.state = RunState::queued;
    const Answer cleared = runtime.call(reset);
    if (cleared.error) throw Error(*cleared.error, cleared.message);
    return found->run_id;
}

}  // namespace sluice
