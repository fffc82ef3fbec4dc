// dag_look.cpp — a run of another DAG, or tasks of it, by logical date. Looked at once; the daemon
// wakes the sensor when something of that run has ended.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/error.hpp"
#include "operators/sensor/look.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

std::set<std::string> names_of(const Json& dag, const char* key) {
    std::set<std::string> names;
    const auto found = dag.find(key);
    if (found == dag.end()) return names;
    if (found->is_string()) names.insert(found->get<std::string>());
    if (found->is_array())
        for (const Json& name : *found) names.insert(name.get<std::string>());
    return names;
}

bool is_over(const std::string& state) {
    const auto task = task_state_of(state);
    return task && is_finished(*task);
}

struct Wanted {
    std::set<std::string> allowed;
    std::set<std::string> failed;
    std::set<std::string> tasks;

    enum class Verdict { so, not_yet, never };
    [[nodiscard]] Verdict judge(const std::string& state, bool over) const {
        if (allowed.contains(state)) return Verdict::so;
        const bool bad = failed.empty() ? over : failed.contains(state);
        return bad ? Verdict::never : Verdict::not_yet;
    }
};

/// All instances of all named tasks must be in an allowed state; the first that never will, counts.
Sight judge_tasks(const Wanted& wanted, const Json& run, const std::string& what) {
    std::string waits_for;
    for (const auto& id : wanted.tasks) {
        const auto states = run.at("tasks").find(id);
        if (states == run.at("tasks").end())
            return Sight::never(fmt::format("{} has no task \"{}\"", what, id));
        for (const Json& one : *states) {
            const std::string state = one;
            switch (wanted.judge(state, is_over(state))) {
                case Wanted::Verdict::so:
                    break;
                case Wanted::Verdict::not_yet:
                    waits_for = fmt::format("{} of {} is {}", id, what, state);
                    break;
                case Wanted::Verdict::never:
                    return Sight::never(fmt::format("{} of {} is {}", id, what, state));
            }
        }
    }
    if (!waits_for.empty()) return Sight::not_yet(waits_for);
    return Sight::so(run.at("run_id"));
}

Sight judge_run(const Wanted& wanted, const Json& run, const std::string& what) {
    const std::string state = run.at("state");
    switch (wanted.judge(state, state == "success" || state == "failed")) {
        case Wanted::Verdict::so:
            return Sight::so(run.at("run_id"));
        case Wanted::Verdict::not_yet:
            return Sight::not_yet(fmt::format("{} is {}", what, state));
        case Wanted::Verdict::never:
            return Sight::never(fmt::format("{} is {}", what, state));
    }
    throw Error(ErrorCode::internal, "a verdict without a name");
}

}  // namespace

Sight look_at_dag(task::TaskContext& ctx, const Json& dag) {
    const std::string dag_id = dag.at("external_dag_id");
    const auto& own = ctx.info().logical_date;
    if (!own) return Sight::never("this run has no logical date, so none of another DAG matches");
    const auto delta = parse_duration(dag.value("execution_delta", "0s")).value_or(Duration{});
    const Instant date = *own - delta;
    Wanted wanted{
        names_of(dag, "allowed_states"),
        names_of(dag, "failed_states"),
        names_of(dag, "external_task_ids")
    };
    if (wanted.allowed.empty()) wanted.allowed = {"success"};
    const Json facts =
        ctx.ask({{"type", "run_facts"}, {"dag_id", dag_id}, {"logical_date_us", to_micros(date)}});
    if (!facts.at("dag_known").get<bool>())
        return Sight::never("there is no DAG \"" + dag_id + '"', ErrorClass::transient);
    const std::string what = fmt::format("the run of {} for {}", dag_id, format_z(date));
    const auto run = facts.find("run");
    auto sight = run == facts.end()     ? Sight::not_yet(what + " is not there")
                 : wanted.tasks.empty() ? judge_run(wanted, *run, what)
                                        : judge_tasks(wanted, *run, what);
    sight.event = date_event(dag_id, date);
    sight.seen = {facts.at("seen").get<std::int64_t>()};
    return sight;
}

}  // namespace sluice::ops
