// /api/v2: task instances are marked, and cleared to run again.
#include <algorithm>
#include <set>

#include "api/failure.hpp"
#include "api/input.hpp"
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

Reply mark(Services& services, const Request& request, const Caller& caller, bool dry_run) {
    for (const std::string& field : request.query_values("update_mask"))
        if (field != "new_state" && field != "note")
            throw failure(400, "Only `new_state` and `note` fields can be updated");
    const Found found = find_from(services, request);
    Body body(request);
    const auto state = body.one_of("new_state", {"success", "failed", "skipped"});
    const auto note = body.text("note");
    const bool upstream = body.boolean("include_upstream").value_or(false);
    const bool downstream = body.boolean("include_downstream").value_or(false);
    const bool future = body.boolean("include_future").value_or(false);
    const bool past = body.boolean("include_past").value_or(false);
    body.done();
    if (future || past)
        throw failure(400, "include_future and include_past are not supported: mark run by run");
    if (note) throw failure(400, "A note on a task instance is not supported");
    if (!state) throw failure(422, "Field required: new_state");
    const TaskState wanted_state = *task_state_of(*state);
    std::vector<TaskInstance> affected;
    for (const TaskNo no : with_relatives(*found.dag, found.no, upstream, downstream)) {
        if (no == found.no) {
            affected.push_back(found.instance);
            continue;
        }
        const TaskKey key{found.run.run.key, no, unmapped};
        const auto row = services.queries.task(key);
        const Task& task = found.dag->tasks[static_cast<std::size_t>(no)];
        affected.push_back(row ? row->instance : unborn(key.run, no, task));
    }
    std::erase_if(affected, [&](const TaskInstance& item) { return item.state == wanted_state; });
    if (!dry_run && !affected.empty()) {
        core::SetTaskState event;
        event.actor = actor_of(request, caller);
        event.state = wanted_state;
        for (const TaskInstance& item : affected) event.tasks.push_back(item.key);
        command(services, std::move(event));
        for (TaskInstance& item : affected)
            if (auto row = services.queries.task(item.key)) item = std::move(row->instance);
    }
    Json list = Json::array();
    for (const TaskInstance& item : affected)
        list.push_back(instance_json(services, found.run, *found.dag, item));
    return reply(200, instance_list(std::move(list), static_cast<std::int64_t>(affected.size())));
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
    const bool future = body.boolean("include_future").value_or(false);
    const bool past = body.boolean("include_past").value_or(false);
    body.boolean("run_on_latest_version");
    body.boolean("prevent_running_task");
    body.text("note");
    body.done();
    if (future || past)
        throw failure(
            400, "include_future and include_past are not supported: name start_date and end_date"
        );
    if (asked.event.only_failed && asked.event.only_running)
        throw failure(422, "only_failed and only_running both are set");
    return asked;
}

/// task_ids holds ids and pairs [id, map_index].
std::vector<TaskKey> keys_of(
    Services& services, const Dag& dag, RunKey run, const std::optional<Json>& tasks
) {
    std::vector<TaskKey> keys;
    if (!tasks) return keys;
    for (const Json& item : *tasks) {
        const bool pair = item.is_array() && item.size() == 2 && item[0].is_string() &&
                          item[1].is_number_integer();
        if (!pair && !item.is_string())
            throw failure(422, "task_ids takes task ids and pairs [task id, map index]");
        const std::string id = pair ? item[0].get<std::string>() : item.get<std::string>();
        const TaskNo no = find_task(dag, id);
        if (no == no_task) throw not_found("Task id " + id + " is not in Dag " + dag.dag_id);
        if (pair) {
            keys.push_back({run, no, item[1].get<MapIndex>()});
            continue;
        }
        store::TaskFilter filter;
        filter.run = run;
        filter.task_ids = {id};
        filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
        const auto rows = services.queries.tasks(filter);
        for (const auto& row : rows.rows) keys.push_back(row.instance.key);
        if (rows.rows.empty()) keys.push_back({run, no, unmapped});
    }
    return keys;
}

std::vector<store::RunRow> runs_to_clear(
    Services& services, const std::string& dag_id, const ClearRequest& asked
) {
    if (asked.run_id) return {find_run(services, dag_id, *asked.run_id)};
    store::RunFilter filter;
    filter.dag_ids = {dag_id};
    filter.logical_date.gte = asked.start;
    filter.logical_date.lte = asked.end;
    filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
    std::vector<store::RunRow> runs;
    while (true) {
        auto page = services.queries.runs(filter);
        for (auto& row : page.rows) runs.push_back(std::move(row));
        filter.page.offset += filter.page.limit;
        if (filter.page.offset >= page.total) return runs;
    }
}

Reply clear(Services& services, const Request& request, const Caller& caller) {
    const ClearRequest asked = read_clear(request);
    const std::string& dag_id = request.param("dag_id");
    find_dag(services, dag_id);
    Json list = Json::array();
    for (const auto& run : runs_to_clear(services, dag_id, asked)) {
        const DagPtr dag = dag_of(services, run);
        core::ClearTasks event = asked.event;
        event.actor = actor_of(request, caller);
        event.run = run.run.key;
        event.tasks = keys_of(services, *dag, run.run.key, asked.tasks);
        if (asked.tasks && event.tasks.empty()) continue;
        const Answer answer = command(services, std::move(event));
        for (const TaskInstance& instance : answer.instances)
            list.push_back(instance_json(services, run, *dag, instance));
    }
    const auto total = static_cast<std::int64_t>(list.size());
    return reply(200, instance_list(std::move(list), total));
}

}  // namespace

#define SLUICE_INSTANCES "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"

Rows mark_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
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

}  // namespace sluice::api
