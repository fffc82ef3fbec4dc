// /api/v2 task instances: lists, one, its tries.
#include <algorithm>
#include <span>

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

/// "none", "no_status" and null mean an instance without a state.
std::vector<TaskState> read_task_states(const std::vector<std::string>& names) {
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
    filter.states = read_task_states(query.texts("state"));
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

/// Filters that look at tasks alone, in the usual order: a page needs no other instances.
bool is_about_tasks(const TaskQuery& asked) {
    const auto& filter = asked.filter;
    const auto any_time = [](const store::TimeRange& range) {
        return range.gte || range.gt || range.lte || range.lt;
    };
    return filter.states.empty() && filter.map_indexes.empty() && !asked.try_number &&
           filter.order.empty() && !any_time(filter.start_date) && !any_time(filter.end_date);
}

Json views_of(
    Services& services,
    const store::RunRow& run,
    const Dag& dag,
    std::span<const TaskInstance> instances
) {
    Json list = Json::array();
    std::vector<TaskKey> keys;
    for (const TaskInstance& instance : instances) {
        list.push_back(instance_json(services, run, dag, instance));
        keys.push_back(instance.key);
    }
    name_instances(services, keys, list);
    return list;
}

/// Of one run: unborn instances are listed too.
Json list_of_run(Services& services, const store::RunRow& run, const TaskQuery& asked) {
    const DagPtr dag = dag_of(services, run);
    if (is_about_tasks(asked)) {
        std::vector<TaskNo> tasks;
        for (TaskNo no = 0; no < static_cast<TaskNo>(dag->tasks.size()); ++no)
            if (passes(
                    unborn(run.run.key, no, dag->tasks[static_cast<std::size_t>(no)]),
                    dag->tasks[static_cast<std::size_t>(no)],
                    asked
                ))
                tasks.push_back(no);
        const MappedRun mapped(services, run.run, *dag);
        return instance_list(
            views_of(
                services,
                run,
                *dag,
                mapped.page(tasks, asked.filter.page.offset, asked.filter.page.limit)
            ),
            mapped.total(tasks)
        );
    }
    auto all = all_instances(services, run, *dag);
    std::erase_if(all, [&](const TaskInstance& instance) {
        return !passes(instance, dag->tasks[static_cast<std::size_t>(instance.key.task)], asked);
    });
    sort_instances(all, *dag, asked.filter.order);
    const auto& page = asked.filter.page;
    const auto begin = std::min(static_cast<std::size_t>(page.offset), all.size());
    const auto count = std::min(static_cast<std::size_t>(page.limit), all.size() - begin);
    return instance_list(
        views_of(services, run, *dag, std::span(all).subspan(begin, count)),
        static_cast<std::int64_t>(all.size())
    );
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
    std::vector<TaskKey> keys;
    for (const auto& row : page.rows) {
        keys.push_back(row.instance.key);
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
    name_instances(services, keys, list);
    return instance_list(std::move(list), page.total);
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
    filter.run_after = body.range("run_after");
    filter.logical_date = body.range("logical_date");
    filter.start_date = body.range("start_date");
    filter.end_date = body.range("end_date");
    filter.page.offset = std::max<std::int64_t>(0, body.integer("page_offset").value_or(0));
    filter.page.limit = std::clamp<std::int64_t>(
        body.integer("page_limit").value_or(100), 0, static_cast<std::int64_t>(limits::page_rows)
    );
    const auto order = body.text("order_by");
    body.done();
    filter.states = read_task_states(states);
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
    const bool whole = found.instance.key.map_index == unmapped &&
                       found.instance.state == TaskState::none &&
                       MappedRun(services, found.run.run, *found.dag).length(found.no) > 0;
    if (whole) throw not_found("Task instance is mapped, add the map_index value to the URL");
    auto rendered = services.queries.rendered(found.instance.key);
    if (rendered) rendered = resolved_fields(services.instance, *rendered);
    Json json = instance_view(found.instance, context_of(found, services), rendered);
    Json views = Json::array({std::move(json)});
    name_instances(services, {found.instance.key}, views);
    return reply(200, views[0]);
}

Reply get_mapped(Services& services, const Request& request, const Caller&) {
    Query query(request);
    TaskQuery asked = read_query(query);
    const auto run = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    asked.filter.task_ids = {request.param("task_id")};
    const DagPtr dag = dag_of(services, run);
    if (find_task(*dag, request.param("task_id")) == no_task)
        throw not_found("Task id " + request.param("task_id") + " is not found");
    if (MappedRun(services, run.run, *dag).length(find_task(*dag, request.param("task_id"))) == 0)
        return reply(200, instance_list(Json::array(), 0));
    return reply(200, list_of_run(services, run, asked));
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

}  // namespace

MapIndex read_map_index(const http::Request& request) {
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

Found find_from(Services& services, const http::Request& request) {
    return find_instance(
        services,
        request.param("dag_id"),
        request.param("dag_run_id"),
        request.param("task_id"),
        read_map_index(request)
    );
}

void name_instances(Services& services, const std::vector<TaskKey>& keys, Json& views) {
    const auto names = services.queries.map_names(keys);
    for (std::size_t i = 0; i < keys.size(); ++i)
        if (const auto found = names.find(keys[i]); found != names.end())
            views[i]["rendered_map_index"] = found->second;
}

Json instance_list(Json instances, std::int64_t total) {
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

#define SLUICE_INSTANCES "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"

Rows task_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", SLUICE_INSTANCES, "get_task_instances", in, get_task_instances},
        {"POST", SLUICE_INSTANCES "/list", "get_task_instances_batch", in, list_task_instances},
        {"GET", SLUICE_INSTANCES "/{task_id}", "get_task_instance", in, get_task_instance},
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
    };
}

#undef SLUICE_INSTANCES

}  // namespace sluice::api
