// /api/v2: task instances are marked, and cleared to run again.
#include <algorithm>
#include <set>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/mapped.hpp"
#include "api/v2.hpp"
#include "api/v2_instances.hpp"
#include "base/limits.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

/// The tasks above and below, each once, the task itself first.
std::vector<TaskNo> with_relatives(const Dag& dag, TaskNo task, bool upstream, bool downstream) {
    std::vector<TaskNo> order{task};
    std::set<TaskNo> seen{task};
    const auto walk = [&](auto next) {
        std::vector<TaskNo> open{task};
        while (!open.empty()) {
            const TaskNo at = open.back();
            open.pop_back();
            for (const TaskNo other : next(dag.tasks[static_cast<std::size_t>(at)])) {
                if (!seen.insert(other).second) continue;
                order.push_back(other);
                open.push_back(other);
            }
        }
    };
    if (upstream) walk([](const Task& t) -> const std::vector<TaskNo>& { return t.upstream; });
    if (downstream) walk([](const Task& t) -> const std::vector<TaskNo>& { return t.downstream; });
    return order;
}

/// What a mark over several runs, or a clear, asks of one run.
struct RunTarget {
    store::RunRow run;
    DagPtr dag;
};

/// Runs of the DAG by logical date, oldest first.
std::vector<RunTarget> runs_between(
    Services& services,
    const std::string& dag_id,
    const std::optional<Instant>& from,
    const std::optional<Instant>& to
) {
    store::RunFilter filter;
    filter.dag_ids = {dag_id};
    filter.logical_date.gte = from;
    filter.logical_date.lte = to;
    filter.order = {{store::RunOrder::logical_date, false}};
    filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
    std::vector<RunTarget> runs;
    while (true) {
        auto page = services.queries.runs(filter);
        for (auto& row : page.rows) {
            auto dag = dag_of(services, row);
            runs.push_back({std::move(row), std::move(dag)});
        }
        filter.page.offset += filter.page.limit;
        if (filter.page.offset >= page.total) return runs;
    }
}

/// The run, and those before and after it if asked for.
std::vector<RunTarget> with_neighbours(
    Services& services, const store::RunRow& run, bool past, bool future
) {
    if (!past && !future) return {{run, dag_of(services, run)}};
    const auto& date = run.run.logical_date;
    if (!date)
        throw failure(
            400,
            "include_past and include_future need a run with a logical date, which this has not"
        );
    // Bounds even where there is none: runs without a logical date are neither past nor future.
    using std::chrono::year;
    const std::optional<Instant> first = std::chrono::sys_days{year{1} / 1 / 1};
    const std::optional<Instant> last = std::chrono::sys_days{year{9999} / 1 / 1};
    return runs_between(services, run.run.dag_id, past ? first : date, future ? last : date);
}

/// The instances of one run that a mark changes; `named` is the one that the request names.
std::vector<TaskInstance> to_mark(
    Services& services,
    const RunTarget& target,
    const std::vector<TaskNo>& tasks,
    const TaskInstance& named,
    TaskState wanted
) {
    std::vector<TaskInstance> affected;
    for (const TaskNo no : tasks) {
        const MapIndex index = no == tasks.front() ? named.key.map_index : unmapped;
        const TaskKey key{target.run.run.key, no, index};
        if (key == named.key) {
            affected.push_back(named);
            continue;
        }
        const auto row = services.queries.task(key);
        const Task& task = target.dag->tasks[static_cast<std::size_t>(no)];
        affected.push_back(row ? row->instance : unborn(key.run, no, task));
    }
    std::erase_if(affected, [&](const TaskInstance& item) { return item.state == wanted; });
    return affected;
}

/// What the body of a mark says.
struct MarkRequest {
    TaskState wanted{TaskState::none};
    bool upstream{false};
    bool downstream{false};
    bool future{false};
    bool past{false};
};

MarkRequest read_mark(const Request& request) {
    for (const std::string& field : request.query_values("update_mask"))
        if (field != "new_state" && field != "note")
            throw failure(400, "Only `new_state` and `note` fields can be updated");
    Body body(request);
    const auto state = body.one_of("new_state", {"success", "failed", "skipped"});
    const auto note = body.text("note");
    MarkRequest asked;
    asked.upstream = body.boolean("include_upstream").value_or(false);
    asked.downstream = body.boolean("include_downstream").value_or(false);
    asked.future = body.boolean("include_future").value_or(false);
    asked.past = body.boolean("include_past").value_or(false);
    body.done();
    if (note) throw failure(400, "A note on a task instance is not supported");
    if (!state) throw failure(422, "Field required: new_state");
    asked.wanted = *task_state_of(*state);
    return asked;
}

/// Instances of several runs that a mark changes.
using Affected = std::vector<std::pair<const RunTarget*, std::vector<TaskInstance>>>;

Reply apply_mark(
    Services& services,
    const Request& request,
    const Caller& caller,
    TaskState wanted,
    Affected affected,
    bool dry_run
) {
    std::vector<core::Event> events;
    for (const auto& [target, items] : affected) {
        core::SetTaskState event;
        event.actor = actor_of(request, caller);
        event.state = wanted;
        for (const TaskInstance& item : items) event.tasks.push_back(item.key);
        events.emplace_back(std::move(event));
    }
    if (!dry_run) command_all(services, std::move(events));
    Json list = Json::array();
    std::vector<TaskKey> keys;
    for (auto& [target, items] : affected) {
        for (TaskInstance& item : items) {
            if (auto row = services.queries.task(item.key); row && !dry_run)
                item = std::move(row->instance);
            list.push_back(instance_json(services, target->run, *target->dag, item));
            keys.push_back(item.key);
        }
    }
    name_instances(services, keys, list);
    const auto total = static_cast<std::int64_t>(list.size());
    return reply(200, instance_list(std::move(list), total));
}

Reply mark(Services& services, const Request& request, const Caller& caller, bool dry_run) {
    const Found found = find_from(services, request);
    const MarkRequest asked = read_mark(request);
    const std::string& task_id = found.task().id;
    const auto targets = with_neighbours(services, found.run, asked.past, asked.future);
    Affected affected;
    for (const RunTarget& target : targets) {
        const TaskNo no = find_task(*target.dag, task_id);
        if (no == no_task) continue;  // its version has no such task
        const auto tasks = with_relatives(*target.dag, no, asked.upstream, asked.downstream);
        auto items = to_mark(services, target, tasks, found.instance, asked.wanted);
        if (!items.empty()) affected.emplace_back(&target, std::move(items));
    }
    return apply_mark(services, request, caller, asked.wanted, std::move(affected), dry_run);
}

/// The tasks of a group and of the groups in it, with those above and below if asked for.
std::vector<TaskNo> tasks_of_group(
    const Dag& dag, const std::string& group, const MarkRequest& asked
) {
    std::set<TaskNo> tasks;
    for (TaskNo no = 0; no < static_cast<TaskNo>(dag.tasks.size()); ++no) {
        const std::string& of = dag.tasks[static_cast<std::size_t>(no)].group;
        if (of != group && !of.starts_with(group + ".")) continue;
        const auto all = with_relatives(dag, no, asked.upstream, asked.downstream);
        tasks.insert(all.begin(), all.end());
    }
    return {tasks.begin(), tasks.end()};
}

/// Every instance of the tasks of a group, those of mapped tasks too.
Reply mark_group(Services& services, const Request& request, const Caller& caller, bool dry_run) {
    const auto run = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    const std::string& group = request.param("group_id");
    const auto& groups = dag_of(services, run)->groups;
    if (std::ranges::find(groups, group, &TaskGroup::id) == groups.end())
        throw not_found("Task group " + group + " of Dag `" + run.run.dag_id + "` was not found");
    const MarkRequest asked = read_mark(request);
    const auto targets = with_neighbours(services, run, asked.past, asked.future);
    Affected affected;
    for (const RunTarget& target : targets) {
        const auto tasks = tasks_of_group(*target.dag, group, asked);
        const MappedRun mapped(services, target.run.run, *target.dag);
        auto items = mapped.page(tasks, 0, mapped.total(tasks));
        std::erase_if(items, [&](const TaskInstance& item) { return item.state == asked.wanted; });
        if (!items.empty()) affected.emplace_back(&target, std::move(items));
    }
    return apply_mark(services, request, caller, asked.wanted, std::move(affected), dry_run);
}

Reply patch_group(Services& services, const Request& request, const Caller& caller) {
    return mark_group(services, request, caller, false);
}
Reply patch_group_dry_run(Services& services, const Request& request, const Caller& caller) {
    return mark_group(services, request, caller, true);
}

Reply patch_task_instance(Services& services, const Request& request, const Caller& caller) {
    return mark(services, request, caller, false);
}
Reply patch_dry_run(Services& services, const Request& request, const Caller& caller) {
    return mark(services, request, caller, true);
}

struct ClearRequest {
    core::ClearTasks event;
    std::optional<std::string> run_id;
    std::optional<Json> tasks;
    std::optional<Instant> start;
    std::optional<Instant> end;
    bool past{false};
    bool future{false};
};

ClearRequest read_clear(const Request& request) {
    Body body(request);
    ClearRequest asked;
    asked.event.dry_run = body.boolean("dry_run").value_or(true);
    asked.start = body.time("start_date");
    asked.end = body.time("end_date");
    asked.event.only_failed = body.boolean("only_failed").value_or(true);
    asked.event.only_running = body.boolean("only_running").value_or(false);
    asked.event.reset_dag_runs = body.boolean("reset_dag_runs").value_or(true);
    asked.tasks = body.list("task_ids");
    asked.run_id = body.text("dag_run_id");
    asked.event.upstream = body.boolean("include_upstream").value_or(false);
    asked.event.downstream = body.boolean("include_downstream").value_or(false);
    asked.future = body.boolean("include_future").value_or(false);
    asked.past = body.boolean("include_past").value_or(false);
    asked.event.on_latest = body.boolean("run_on_latest_version").value_or(false);
    body.boolean("prevent_running_task");
    body.text("note");
    body.done();
    if (asked.event.only_failed && asked.event.only_running)
        throw failure(422, "only_failed and only_running both are set");
    return asked;
}

/// task_ids holds ids and pairs [id, map_index]. What another run's version has not is left out,
/// if `lenient`; the latest version, if the run moves to it, may have what the run's has not.
void name_tasks(
    core::ClearTasks& event, const Dag& dag, const std::optional<Json>& tasks, bool lenient
) {
    if (!tasks) return;
    for (const Json& item : *tasks) {
        const bool pair = item.is_array() && item.size() == 2 && item[0].is_string() &&
                          item[1].is_number_integer();
        if (!pair && !item.is_string())
            throw failure(422, "task_ids takes task ids and pairs [task id, map index]");
        const std::string id = pair ? item[0].get<std::string>() : item.get<std::string>();
        const TaskNo no = find_task(dag, id);
        if (no == no_task && event.on_latest) {
            event.new_tasks.push_back(id);
            continue;
        }
        if (no == no_task && lenient) continue;
        if (no == no_task) throw not_found("Task id " + id + " is not in Dag " + dag.dag_id);
        // Without an index: of a mapped task all instances.
        event.tasks.push_back({event.run, no, pair ? item[1].get<MapIndex>() : unmapped});
    }
}

std::vector<RunTarget> runs_to_clear(
    Services& services, const std::string& dag_id, const ClearRequest& asked
) {
    if (asked.run_id)
        return with_neighbours(
            services, find_run(services, dag_id, *asked.run_id), asked.past, asked.future
        );
    return runs_between(
        services,
        dag_id,
        asked.past ? std::nullopt : asked.start,
        asked.future ? std::nullopt : asked.end
    );
}

Reply clear(Services& services, const Request& request, const Caller& caller) {
    const ClearRequest asked = read_clear(request);
    const std::string& dag_id = request.param("dag_id");
    find_dag(services, dag_id);
    const auto targets = runs_to_clear(services, dag_id, asked);
    const bool lenient = targets.size() > 1;
    std::vector<core::Event> events;
    std::vector<const RunTarget*> touched;
    for (const RunTarget& target : targets) {
        core::ClearTasks event = asked.event;
        event.actor = actor_of(request, caller);
        event.run = target.run.run.key;
        name_tasks(event, *target.dag, asked.tasks, lenient);
        if (asked.tasks && event.tasks.empty() && event.new_tasks.empty()) continue;
        events.emplace_back(std::move(event));
        touched.push_back(&target);
    }
    const auto answers = command_all(services, std::move(events));
    Json list = Json::array();
    std::vector<TaskKey> keys;
    for (std::size_t i = 0; i < answers.size(); ++i)
        for (const TaskInstance& instance : answers[i].instances) {
            list.push_back(instance_json(services, touched[i]->run, *touched[i]->dag, instance));
            keys.push_back(instance.key);
        }
    name_instances(services, keys, list);
    const auto total = static_cast<std::int64_t>(list.size());
    return reply(200, instance_list(std::move(list), total));
}

}  // namespace

#define SLUICE_INSTANCES "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"
#define SLUICE_GROUP "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}"

Rows mark_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"PATCH", SLUICE_GROUP, "patch_task_group_instances", in, patch_group},
        {"PATCH",
         SLUICE_GROUP "/dry_run",
         "patch_task_group_instances_dry_run",
         in,
         patch_group_dry_run},
        {"PATCH", SLUICE_INSTANCES "/{task_id}", "patch_task_instance", in, patch_task_instance},
        {"PATCH",
         SLUICE_INSTANCES "/{task_id}/dry_run",
         "patch_task_instance_dry_run",
         in,
         patch_dry_run},
        {"PATCH",
         SLUICE_INSTANCES "/{task_id}/{map_index}",
         "patch_task_instance_by_map_index",
         in,
         patch_task_instance},
        {"PATCH",
         SLUICE_INSTANCES "/{task_id}/{map_index}/dry_run",
         "patch_task_instance_dry_run_by_map_index",
         in,
         patch_dry_run},
        {"POST", "/api/v2/dags/{dag_id}/clearTaskInstances", "post_clear_task_instances", in, clear
        },
    };
}

#undef SLUICE_INSTANCES
#undef SLUICE_GROUP

}  // namespace sluice::api
