// /api/v2 task instances: list, get, tries, mark, clear, and the values that tasks pass on.
#include <algorithm>
#include <set>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"
#include "base/limits.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

MapIndex read_map_index(const Request& request) {
    for (const auto& [key, value] : request.params) {
        if (key != "map_index") continue;
        char* end = nullptr;
        const long number = std::strtol(value.c_str(), &end, 10);
        if (!value.empty() && *end == '\0' && number >= -1 && number <= 100'000'000)
            return static_cast<MapIndex>(number);
        Problems problems;
        problems.add(
            "int_parsing",
            Json::array({"path", "map_index"}),
            "Input should be a valid integer, unable to parse string as an integer",
            value
        );
        problems.check();
    }
    return unmapped;
}

Found find_from(Services& services, const Request& request) {
    return find_instance(
        services,
        request.param("dag_id"),
        request.param("dag_run_id"),
        request.param("task_id"),
        read_map_index(request)
    );
}

/// "none", "no_status" and null mean an instance without a state.
std::vector<TaskState> read_states(const std::vector<std::string>& names) {
    std::vector<TaskState> states;
    for (const std::string& text : names) {
        const bool none = text == "none" || text == "no_status" || text == "null" || text.empty();
        const auto state = none ? std::optional(TaskState::none) : task_state_of(text);
        if (!state)
            throw failure(
                422,
                "Invalid value for state. Valid values are removed, scheduled, queued, running, "
                "success, restarting, failed, up_for_retry, up_for_reschedule, upstream_failed, "
                "skipped, deferred, awaiting_input, none"
            );
        states.push_back(*state);
    }
    return states;
}

/// What is asked of a list beyond what the store filters.
struct TaskQuery {
    store::TaskFilter filter;
    std::vector<std::string> pools;
    std::vector<std::string> operators;
    std::string group;
    std::optional<int> try_number;
};

TaskQuery read_query(Query& query) {
    TaskQuery asked;
    auto& filter = asked.filter;
    filter.page = query.page();
    filter.task_ids = query.texts("task_id");
    filter.task_id_pattern = query.text_or_empty("task_display_name_pattern");
    filter.logical_date = query.range("logical_date");
    filter.run_after = query.range("run_after");
    filter.start_date = query.range("start_date");
    filter.end_date = query.range("end_date");
    for (const auto index : query.integers("map_index"))
        filter.map_indexes.push_back(static_cast<int>(index));
    asked.pools = query.texts("pool");
    asked.operators = query.texts("operator");
    asked.group = query.text_or_empty("task_group_id");
    if (const auto number = query.integer("try_number"))
        asked.try_number = static_cast<int>(*number);
    query.done();
    filter.states = read_states(query.texts("state"));
    for (const auto& [field, descending] : query.order()) {
        const auto key = store::task_order_of(field);
        if (!key) bad_order(field);
        filter.order.push_back({*key, descending});
    }
    return asked;
}

bool in_range(const std::optional<Instant>& at, const store::TimeRange& range) {
    if (!range.gte && !range.gt && !range.lte && !range.lt) return true;
    if (!at) return false;
    return (!range.gte || *at >= *range.gte) && (!range.gt || *at > *range.gt) &&
           (!range.lte || *at <= *range.lte) && (!range.lt || *at < *range.lt);
}

template <class T>
bool wanted(const std::vector<T>& list, const T& item) {
    return list.empty() || std::ranges::find(list, item) != list.end();
}

bool passes(const TaskInstance& instance, const Task& task, const TaskQuery& asked) {
    const auto& filter = asked.filter;
    if (!wanted(filter.task_ids, task.id)) return false;
    if (!matches_pattern(task.id, filter.task_id_pattern)) return false;
    if (!wanted(filter.states, instance.state)) return false;
    if (!wanted(filter.map_indexes, static_cast<int>(instance.key.map_index))) return false;
    if (!wanted(asked.pools, task.pool)) return false;
    if (!wanted(asked.operators, task.operator_name)) return false;
    if (!asked.group.empty() && task.group != asked.group &&
        !task.group.starts_with(asked.group + "."))
        return false;
    if (asked.try_number && instance.try_number != *asked.try_number) return false;
    return in_range(instance.start_date, filter.start_date) &&
           in_range(instance.end_date, filter.end_date);
}

void sort_instances(
    std::vector<TaskInstance>& all,
    const Dag& dag,
    const std::vector<store::OrderBy<store::TaskOrder>>& order
) {
    using store::TaskOrder;
    for (auto item = order.rbegin(); item != order.rend(); ++item) {
        const auto by = [&](auto key) {
            std::ranges::stable_sort(all, [&](const TaskInstance& a, const TaskInstance& b) {
                return item->descending ? key(b) < key(a) : key(a) < key(b);
            });
        };
        switch (item->key) {
            case TaskOrder::run_key:
            case TaskOrder::logical_date:
            case TaskOrder::run_after:
                break;  // one run: all the same
            case TaskOrder::task_no:
                by([](const auto& i) { return i.key.task; });
                break;
            case TaskOrder::task_id:
                by([&](const auto& i) -> const std::string& {
                    return dag.tasks[static_cast<std::size_t>(i.key.task)].id;
                });
                break;
            case TaskOrder::state:
                by([](const auto& i) { return name(i.state); });
                break;
            case TaskOrder::map_index:
                by([](const auto& i) { return i.key.map_index; });
                break;
            case TaskOrder::try_number:
                by([](const auto& i) { return i.try_number; });
                break;
            case TaskOrder::scheduled_at:
                by([](const auto& i) { return i.scheduled_at; });
                break;
            case TaskOrder::queued_at:
                by([](const auto& i) { return i.queued_at; });
                break;
            case TaskOrder::start_date:
                by([](const auto& i) { return i.start_date; });
                break;
            case TaskOrder::end_date:
                by([](const auto& i) { return i.end_date; });
                break;
            case TaskOrder::duration:
                by([](const auto& i) {
                    return i.start_date && i.end_date ? *i.end_date - *i.start_date : Duration{-1};
                });
                break;
        }
    }
}

Json list_json(Json instances, std::int64_t total) {
    Json json;
    json["task_instances"] = std::move(instances);
    json["total_entries"] = total;
    json["total_entries_limit"] = nullptr;
    json["next_cursor"] = nullptr;
    json["previous_cursor"] = nullptr;
    return json;
}

Json instance_json(
    Services& services, const store::RunRow& run, const Dag& dag, const TaskInstance& instance
) {
    const Task& task = dag.tasks[static_cast<std::size_t>(instance.key.task)];
    return instance_view(
        instance,
        {run.run.dag_id,
         run.run.run_id,
         task.id,
         run.run.logical_date,
         run.run.run_after,
         &task,
         services.versions.row(run.run.dag_id, run.run.version),
         services.node}
    );
}

/// Of one run: unborn instances are listed too.
Json list_of_run(Services& services, const store::RunRow& run, const TaskQuery& asked) {
    const DagPtr dag = dag_of(services, run);
    auto all = all_instances(services, run, *dag);
    std::erase_if(all, [&](const TaskInstance& instance) {
        return !passes(instance, dag->tasks[static_cast<std::size_t>(instance.key.task)], asked);
    });
    sort_instances(all, *dag, asked.filter.order);
    Json list = Json::array();
    const auto& page = asked.filter.page;
    const auto begin = std::min(static_cast<std::size_t>(page.offset), all.size());
    const auto end = std::min(begin + static_cast<std::size_t>(page.limit), all.size());
    for (std::size_t i = begin; i < end; ++i)
        list.push_back(instance_json(services, run, *dag, all[i]));
    return list_json(std::move(list), static_cast<std::int64_t>(all.size()));
}

/// Over many runs: the instances that have rows.
Json list_of_many(Services& services, const TaskQuery& asked) {
    if (!asked.pools.empty() || !asked.operators.empty() || !asked.group.empty() ||
        asked.try_number)
        throw failure(
            400, "pool, operator, task_group_id and try_number filter the instances of one run only"
        );
    const auto page = services.queries.tasks(asked.filter);
    Json list = Json::array();
    for (const auto& row : page.rows) {
        const DagPtr dag = services.versions.dag(row.version, row.dag_id, row.version_number);
        const TaskNo no = dag ? find_task(*dag, row.task_id) : no_task;
        const Task* task = no == no_task ? nullptr : &dag->tasks[static_cast<std::size_t>(no)];
        list.push_back(instance_view(
            row.instance,
            {row.dag_id,
             row.run_id,
             row.task_id,
             row.logical_date,
             row.run_after,
             task,
             services.versions.row(row.dag_id, row.version),
             services.node}
        ));
    }
    return list_json(std::move(list), page.total);
}

Reply get_task_instances(Services& services, const Request& request, const Caller&) {
    const std::string& dag_id = request.param("dag_id");
    const std::string& run_id = request.param("dag_run_id");
    Query query(request);
    TaskQuery asked = read_query(query);
    if (dag_id != "~" && run_id != "~")
        return reply(200, list_of_run(services, find_run(services, dag_id, run_id), asked));
    if (dag_id != "~") {
        find_dag(services, dag_id);
        asked.filter.dag_ids = {dag_id};
    }
    if (run_id != "~") asked.filter.run_ids = {run_id};
    return reply(200, list_of_many(services, asked));
}

Reply list_task_instances(Services& services, const Request& request, const Caller&) {
    if (request.param("dag_id") != "~" || request.param("dag_run_id") != "~")
        throw failure(400, "This endpoint is for all Dags and runs: use ~ for both");
    Body body(request);
    TaskQuery asked;
    auto& filter = asked.filter;
    filter.dag_ids = body.texts("dag_ids").value_or(std::vector<std::string>{});
    filter.run_ids = body.texts("dag_run_ids").value_or(std::vector<std::string>{});
    filter.task_ids = body.texts("task_ids").value_or(std::vector<std::string>{});
    const auto states = body.texts("state").value_or(std::vector<std::string>{});
    const auto range = [&](const std::string& name) {
        return store::TimeRange{
            body.time(name + "_gte"),
            body.time(name + "_gt"),
            body.time(name + "_lte"),
            body.time(name + "_lt")
        };
    };
    filter.run_after = range("run_after");
    filter.logical_date = range("logical_date");
    filter.start_date = range("start_date");
    filter.end_date = range("end_date");
    filter.page.offset = std::max<std::int64_t>(0, body.integer("page_offset").value_or(0));
    filter.page.limit = std::clamp<std::int64_t>(
        body.integer("page_limit").value_or(100), 0, static_cast<std::int64_t>(limits::page_rows)
    );
    const auto order = body.text("order_by");
    body.done();
    filter.states = read_states(states);
    if (order) {
        const bool descending = order->starts_with('-');
        const auto key = store::task_order_of(order->substr(descending ? 1 : 0));
        if (!key) bad_order(*order);
        filter.order.push_back({*key, descending});
    }
    return reply(200, list_of_many(services, asked));
}

Reply get_task_instance(Services& services, const Request& request, const Caller&) {
    const Found found = find_from(services, request);
    const auto rendered = services.queries.rendered(found.instance.key);
    return reply(200, instance_view(found.instance, context_of(found, services), rendered));
}

Reply get_mapped(Services& services, const Request& request, const Caller&) {
    Query query(request);
    TaskQuery asked = read_query(query);
    const auto run = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    asked.filter.task_ids = {request.param("task_id")};
    const DagPtr dag = dag_of(services, run);
    if (find_task(*dag, request.param("task_id")) == no_task)
        throw not_found("Task id " + request.param("task_id") + " is not found");
    Json json = list_of_run(services, run, asked);
    std::erase_if(json["task_instances"].get_ref<Json::array_t&>(), [](const Json& item) {
        return item["map_index"] == unmapped;
    });
    json["total_entries"] = json["task_instances"].size();
    return reply(200, json);
}

/// All tries in order: superseded ones, then the live one once it has begun.
std::vector<Json> tries_of(Services& services, const Found& found) {
    const InstanceContext context = context_of(found, services);
    std::vector<Json> tries;
    for (const auto& row : services.queries.attempts(found.instance.key))
        tries.push_back(try_view(row.attempt, found.instance.max_tries, context));
    if (found.instance.try_number > 0) tries.push_back(try_view(found.instance, context));
    return tries;
}

Reply get_tries(Services& services, const Request& request, const Caller&) {
    const Found found = find_from(services, request);
    const auto tries = tries_of(services, found);
    Json json;
    json["task_instances"] = tries;
    json["total_entries"] = tries.size();
    return reply(200, json);
}

Reply get_try(Services& services, const Request& request, const Caller&) {
    const Found found = find_from(services, request);
    const std::string& wanted_try = request.param("task_try_number");
    Json answer;
    for (Json& attempt : tries_of(services, found))
        if (attempt["try_number"].dump() == wanted_try) answer = std::move(attempt);
    if (answer.is_null())
        throw not_found(
            "The Task Instance with dag_id: `" + found.run.run.dag_id + "`, run_id: `" +
            found.run.run.run_id + "`, task_id: `" + found.task().id + "`, try_number: `" +
            wanted_try + "` and map_index: `" + std::to_string(found.instance.key.map_index) +
            "` was not found"
        );
    return reply(200, answer);
}

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
    return reply(200, list_json(std::move(list), static_cast<std::int64_t>(affected.size())));
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
    return reply(200, list_json(std::move(list), total));
}

Reply get_xcoms(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto key = query.text("xcom_key");
    const auto map = query.integer("map_index");
    const auto pattern = query.text_or_empty("xcom_key_pattern");
    query.done();
    const std::string& dag_id = request.param("dag_id");
    const std::string& run_id = request.param("dag_run_id");
    const std::string& task_id = request.param("task_id");
    if (dag_id == "~" || run_id == "~")
        throw failure(400, "XCom entries are listed run by run: name dag_id and dag_run_id");
    const auto run = find_run(services, dag_id, run_id);
    Json list = Json::array();
    std::int64_t total = 0;
    for (const auto& xcom : services.queries.xcoms_of(run.run.key)) {
        if (task_id != "~" && xcom.task_id != task_id) continue;
        if (key && xcom.name != *key) continue;
        if (map && xcom.key.map_index != *map) continue;
        if (!matches_pattern(xcom.name, pattern)) continue;
        ++total;
        if (total > page.offset && total <= page.offset + page.limit)
            list.push_back(xcom_view(xcom, run, false));
    }
    Json json;
    json["xcom_entries"] = std::move(list);
    json["total_entries"] = total;
    return reply(200, json);
}

Reply get_xcom(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto map = query.integer("map_index").value_or(unmapped);
    const bool stringify = query.boolean("stringify").value_or(false);
    query.boolean("deserialize");
    query.done();
    const std::string& key = request.param("xcom_key");
    const auto missing = [&] { return not_found("XCom entry with key: `" + key + "` not found"); };
    const auto run = services.queries.run(request.param("dag_id"), request.param("dag_run_id"));
    if (!run) throw missing();
    const DagPtr dag = dag_of(services, *run);
    const TaskNo no = find_task(*dag, request.param("task_id"));
    if (no == no_task) throw missing();
    const auto xcom = services.queries.xcom({run->run.key, no, static_cast<MapIndex>(map)}, key);
    if (!xcom) throw missing();
    Json json = xcom_view(*xcom, *run, true);
    if (stringify) json["value"] = python_text(json["value"]);
    return reply(200, json);
}

}  // namespace

#define SLUICE_INSTANCES "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"

Rows task_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", SLUICE_INSTANCES, "get_task_instances", in, get_task_instances},
        {"POST", SLUICE_INSTANCES "/list", "get_task_instances_batch", in, list_task_instances},
        {"GET", SLUICE_INSTANCES "/{task_id}", "get_task_instance", in, get_task_instance},
        {"PATCH", SLUICE_INSTANCES "/{task_id}", "patch_task_instance", in, patch_task_instance},
        {"PATCH",
         SLUICE_INSTANCES "/{task_id}/dry_run",
         "patch_task_instance_dry_run",
         in,
         patch_dry_run},
        {"GET",
         SLUICE_INSTANCES "/{task_id}/listMapped",
         "get_mapped_task_instances",
         in,
         get_mapped},
        {"GET", SLUICE_INSTANCES "/{task_id}/tries", "get_task_instance_tries", in, get_tries},
        {"GET",
         SLUICE_INSTANCES "/{task_id}/tries/{task_try_number}",
         "get_task_instance_try_details",
         in,
         get_try},
        {"GET",
         SLUICE_INSTANCES "/{task_id}/{map_index}",
         "get_mapped_task_instance",
         in,
         get_task_instance},
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
        {"GET",
         SLUICE_INSTANCES "/{task_id}/{map_index}/tries",
         "get_mapped_task_instance_tries",
         in,
         get_tries},
        {"GET",
         SLUICE_INSTANCES "/{task_id}/{map_index}/tries/{task_try_number}",
         "get_mapped_task_instance_try_details",
         in,
         get_try},
        {"GET", SLUICE_INSTANCES "/{task_id}/xcomEntries", "get_xcom_entries", in, get_xcoms},
        {"GET", SLUICE_INSTANCES "/{task_id}/xcomEntries/{xcom_key}", "get_xcom_entry", in, get_xcom
        },
        {"POST", "/api/v2/dags/{dag_id}/clearTaskInstances", "post_clear_task_instances", in, clear
        },
    };
}

#undef SLUICE_INSTANCES

}  // namespace sluice::api
