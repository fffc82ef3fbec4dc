// /api/v2/dags, versions, sources, tasks, tags and stats.
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

/// Cuts one page out of rows that are all in memory.
template <class T>
std::vector<T> slice(const std::vector<T>& all, const store::PageOf& page) {
    const auto begin = std::min(static_cast<std::size_t>(page.offset), all.size());
    const auto end = std::min(begin + static_cast<std::size_t>(page.limit), all.size());
    return {
        all.begin() + static_cast<std::ptrdiff_t>(begin),
        all.begin() + static_cast<std::ptrdiff_t>(end)
    };
}

bool has_any(const std::vector<std::string>& have, const std::vector<std::string>& wanted) {
    return std::ranges::any_of(wanted, [&](const std::string& item) {
        return std::ranges::find(have, item) != have.end();
    });
}

bool has_all(const std::vector<std::string>& have, const std::vector<std::string>& wanted) {
    return std::ranges::all_of(wanted, [&](const std::string& item) {
        return std::ranges::find(have, item) != have.end();
    });
}

bool owned_by(const Dag& dag, const std::vector<std::string>& owners) {
    if (std::ranges::find(owners, dag.owner) != owners.end()) return true;
    return std::ranges::any_of(dag.tasks, [&](const Task& task) {
        return std::ranges::find(owners, task.owner) != owners.end();
    });
}

struct DagFilter {
    std::vector<std::string> tags;
    bool all_tags{false};
    std::vector<std::string> owners;
    std::string id_pattern;
    std::string id_prefix;
    bool exclude_stale{true};
    std::optional<bool> paused;
    std::optional<bool> import_errors;
    std::optional<RunState> last_run;
};

DagFilter read_filter(Query& query) {
    DagFilter filter;
    filter.tags = query.texts("tags");
    filter.all_tags = query.text_or_empty("tags_match_mode") == "all";
    filter.owners = query.texts("owners");
    filter.id_pattern = query.text_or_empty("dag_id_pattern");
    if (filter.id_pattern.empty())
        filter.id_pattern = query.text_or_empty("dag_display_name_pattern");
    filter.id_prefix = query.text_or_empty("dag_id_prefix_pattern");
    filter.exclude_stale = query.boolean("exclude_stale").value_or(true);
    filter.paused = query.boolean("paused");
    filter.import_errors = query.boolean("has_import_errors");
    if (const auto state = query.text("last_dag_run_state")) {
        filter.last_run = run_state_of(*state);
        if (!filter.last_run)
            throw failure(
                422, "Invalid value for state. Valid values are queued, running, success, failed"
            );
    }
    return filter;
}

std::vector<runtime::ListedDag> filtered(Services& services, const DagFilter& filter) {
    auto all = services.runtime.registry().all();
    std::erase_if(all, [&](const runtime::ListedDag& listed) {
        const Dag& dag = *listed.dag;
        if (filter.exclude_stale && listed.state.is_stale) return true;
        if (filter.paused && *filter.paused != listed.state.is_paused) return true;
        if (filter.import_errors && *filter.import_errors != listed.has_import_errors) return true;
        if (!filter.tags.empty() &&
            !(filter.all_tags ? has_all(dag.tags, filter.tags) : has_any(dag.tags, filter.tags)))
            return true;
        if (!filter.owners.empty() && !owned_by(dag, filter.owners)) return true;
        if (!matches_pattern(dag.dag_id, filter.id_pattern)) return true;
        return !dag.dag_id.starts_with(filter.id_prefix);
    });
    if (filter.last_run) {
        std::vector<std::string> ids;
        for (const auto& listed : all) ids.push_back(listed.dag->dag_id);
        const auto latest = services.queries.latest_runs(ids, 1);
        std::erase_if(all, [&](const runtime::ListedDag& listed) {
            const auto found = latest.find(listed.dag->dag_id);
            return found == latest.end() || found->second.empty() ||
                   found->second.front().run.state != *filter.last_run;
        });
    }
    return all;
}

void sort_dags(Services& services, std::vector<runtime::ListedDag>& dags, Query& query) {
    auto order = query.order();
    std::map<std::string, std::vector<store::RunRow>> latest;
    // The last key given is the least: stable sorts in reverse.
    std::ranges::reverse(order);
    for (const auto& [field, descending] : order) {
        const auto by = [&](auto key) {
            std::ranges::stable_sort(dags, [&](const auto& a, const auto& b) {
                return descending ? key(b) < key(a) : key(a) < key(b);
            });
        };
        const bool last_run = field == "last_run_state" || field == "last_run_start_date";
        if (last_run && latest.empty()) {
            std::vector<std::string> ids;
            for (const auto& listed : dags) ids.push_back(listed.dag->dag_id);
            latest = services.queries.latest_runs(ids, 1);
        }
        const auto run_of = [&](const runtime::ListedDag& listed) -> const DagRun* {
            const auto found = latest.find(listed.dag->dag_id);
            return found == latest.end() || found->second.empty() ? nullptr
                                                                  : &found->second.front().run;
        };
        if (field == "dag_id" || field == "dag_display_name") {
            by([](const auto& listed) { return listed.dag->dag_id; });
        } else if (field == "is_paused") {
            by([](const auto& listed) { return listed.state.is_paused; });
        } else if (field == "next_dagrun" || field == "next_dagrun_run_after") {
            by([](const auto& listed) { return listed.state.next_run_after; });
        } else if (field == "last_run_state") {
            by([&](const auto& listed) {
                const DagRun* run = run_of(listed);
                return run == nullptr ? std::string() : std::string(name(run->state));
            });
        } else if (field == "last_run_start_date") {
            by([&](const auto& listed) {
                const DagRun* run = run_of(listed);
                return run == nullptr ? std::optional<Instant>() : run->start_date;
            });
        } else {
            bad_order(field);
        }
    }
}

Reply get_dags(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto filter = read_filter(query);
    query.done();
    auto dags = filtered(services, filter);
    sort_dags(services, dags, query);
    Json json;
    json["dags"] = Json::array();
    for (const auto& listed : slice(dags, page)) json["dags"].push_back(dag_view(listed));
    json["total_entries"] = dags.size();
    return reply(200, json);
}

Reply get_dag(Services& services, const Request& request, const Caller&) {
    return reply(200, dag_view(find_dag(services, request.param("dag_id"))));
}

Reply get_dag_details(Services& services, const Request& request, const Caller&) {
    const auto listed = find_dag(services, request.param("dag_id"));
    const std::string& dag_id = listed.dag->dag_id;
    auto counts = services.queries.dag_counts({dag_id});
    const auto active = counts[dag_id].runs[RunState::running];
    const auto version = services.versions.row(dag_id, listed.dag->version);
    Json json = dag_details_view(listed, version, active);
    add_asset_condition(services, *listed.dag, json);
    return reply(200, json);
}

bool read_paused(const Request& request) {
    for (const std::string& mask : request.query_values("update_mask"))
        if (mask != "is_paused")
            throw failure(400, "Only `is_paused` field can be updated through the REST API");
    Body body(request);
    body.require("is_paused");
    const auto paused = body.boolean("is_paused");
    body.done();
    return *paused;
}

void set_paused(
    Services& services,
    const Request& request,
    const Caller& caller,
    const std::string& dag_id,
    bool paused
) {
    core::PauseDag event;
    event.actor = actor_of(request, caller);
    event.dag_id = dag_id;
    event.paused = paused;
    command(services, std::move(event));
}

Reply patch_dag(Services& services, const Request& request, const Caller& caller) {
    const bool paused = read_paused(request);
    const std::string dag_id = find_dag(services, request.param("dag_id")).dag->dag_id;
    set_paused(services, request, caller, dag_id, paused);
    return reply(200, dag_view(find_dag(services, dag_id)));
}

Reply patch_dags(Services& services, const Request& request, const Caller& caller) {
    const bool paused = read_paused(request);
    Query query(request);
    const auto page = query.page();
    const auto filter = read_filter(query);
    query.done();
    // Airflow asks for a pattern: without one nothing is changed.
    const bool named =
        query.text("dag_id_pattern").has_value() || query.text("dag_id_prefix_pattern").has_value();
    const auto dags = named ? filtered(services, filter) : std::vector<runtime::ListedDag>{};
    Json json;
    json["dags"] = Json::array();
    for (const auto& listed : slice(dags, page)) {
        set_paused(services, request, caller, listed.dag->dag_id, paused);
        json["dags"].push_back(dag_view(find_dag(services, listed.dag->dag_id)));
    }
    json["total_entries"] = dags.size();
    return reply(200, json);
}

Reply delete_dag(Services& services, const Request& request, const Caller& caller) {
    const std::string& dag_id = request.param("dag_id");
    core::DeleteDag event;
    event.actor = actor_of(request, caller);
    event.dag_id = dag_id;
    try {
        command(services, std::move(event));
    } catch (const Failure& refused) {
        if (refused.status() != 404) throw;
        throw not_found("The Dag with ID: `" + dag_id + "` was not found");
    }
    return no_content();
}

Reply get_tasks(Services& services, const Request& request, const Caller&) {
    const DagPtr dag = find_dag(services, request.param("dag_id")).dag;
    std::string order = request.query_value("order_by").value_or("task_id");
    const bool descending = order.starts_with('-');
    if (descending) order.erase(0, 1);
    std::vector<const Task*> tasks;
    tasks.reserve(dag->tasks.size());
    for (const Task& task : dag->tasks) tasks.push_back(&task);
    const auto by = [&](auto key) {
        std::ranges::stable_sort(tasks, [&](const Task* a, const Task* b) {
            return descending ? key(*b) < key(*a) : key(*a) < key(*b);
        });
    };
    if (order == "task_id" || order == "task_display_name") {
        by([](const Task& task) { return task.id; });
    } else if (order == "priority_weight") {
        by([](const Task& task) { return task.priority_weight; });
    } else if (order == "retries") {
        by([](const Task& task) { return task.retries; });
    } else if (order == "pool") {
        by([](const Task& task) { return task.pool; });
    } else {
        throw failure(400, "'Task' object has no attribute '" + order + "'");
    }
    Json json;
    json["tasks"] = Json::array();
    for (const Task* task : tasks) json["tasks"].push_back(task_view(*dag, *task));
    json["total_entries"] = tasks.size();
    return reply(200, json);
}

Reply get_task(Services& services, const Request& request, const Caller&) {
    const DagPtr dag = find_dag(services, request.param("dag_id")).dag;
    const TaskNo no = find_task(*dag, request.param("task_id"));
    if (no == no_task)
        throw not_found("Task with id " + request.param("task_id") + " was not found");
    return reply(200, task_view(*dag, dag->tasks[static_cast<std::size_t>(no)]));
}

Reply get_dag_versions(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto numbers = query.integers("version_number");
    query.done();
    const std::string& dag_id = request.param("dag_id");
    if (dag_id == "~") throw failure(400, "The versions of all Dags at once are not served");
    find_dag(services, dag_id);
    bool descending = false;
    for (const auto& [field, down] : query.order()) {
        if (field != "id" && field != "version_number" && field != "created_at") bad_order(field);
        descending = down;
    }
    std::vector<store::VersionRow> all;
    store::PageOf block{.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0};
    while (true) {
        auto rows = services.queries.versions(dag_id, block);
        for (auto& row : rows.rows) all.push_back(std::move(row));
        block.offset += block.limit;
        if (block.offset >= rows.total) break;
    }
    if (!numbers.empty())
        std::erase_if(all, [&](const auto& row) {
            return std::ranges::find(numbers, row.number) == numbers.end();
        });
    std::ranges::sort(all, [&](const auto& a, const auto& b) {
        return descending ? b.number < a.number : a.number < b.number;
    });
    Json json;
    json["dag_versions"] = Json::array();
    for (const auto& row : slice(all, page)) json["dag_versions"].push_back(version_view(row));
    json["total_entries"] = all.size();
    return reply(200, json);
}

Reply get_dag_version(Services& services, const Request& request, const Caller&) {
    const std::string& dag_id = request.param("dag_id");
    const std::string& number = request.param("version_number");
    const auto rows = services.queries.versions(
        dag_id, {.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0}
    );
    for (const auto& row : rows.rows)
        if (std::to_string(row.number) == number) return reply(200, version_view(row));
    throw not_found(
        "The DagVersion with dag_id: `" + dag_id + "` and version_number: `" + number +
        "` was not found"
    );
}

Reply get_dag_source(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto wanted = query.integer("version_number");
    query.done();
    const std::string& dag_id = request.param("dag_id");
    const auto listed = find_dag(services, dag_id);
    const int number = wanted ? static_cast<int>(*wanted) : listed.dag->version_number;
    std::string source = listed.dag->source;
    if (number != listed.dag->version_number) {
        const auto stored = services.queries.version(dag_id, number);
        if (!stored)
            throw not_found(
                "The source code of the DAG " + dag_id + ", version_number " +
                std::to_string(number) + ", was not found"
            );
        source = stored->source;
    }
    const std::string_view accept = request.header("accept");
    if (accept.starts_with("text/plain")) return http::text_reply(200, source);
    if (!accept.empty() && accept.find("*/*") == std::string_view::npos &&
        accept.find("application/json") == std::string_view::npos)
        throw failure(406, "Only application/json or text/plain is supported");
    Json json;
    json["content"] = source;
    json["dag_id"] = dag_id;
    json["version_number"] = number;
    json["dag_display_name"] = dag_id;
    return reply(200, json);
}

Reply get_dag_tags(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const std::string pattern = query.text_or_empty("tag_name_pattern");
    query.done();
    std::set<std::string> tags;
    for (const auto& listed : services.runtime.registry().all())
        for (const std::string& tag : listed.dag->tags)
            if (matches_pattern(tag, pattern)) tags.insert(tag);
    const std::vector<std::string> all(tags.begin(), tags.end());
    Json json;
    json["tags"] = slice(all, page);
    json["total_entries"] = all.size();
    return reply(200, json);
}

Reply get_dag_stats(Services& services, const Request& request, const Caller&) {
    std::vector<std::string> ids = request.query_values("dag_ids");
    if (ids.empty())
        for (const auto& listed : services.runtime.registry().all())
            ids.push_back(listed.dag->dag_id);
    auto counts = services.queries.dag_counts(ids);
    Json json;
    json["dags"] = Json::array();
    for (const std::string& id : ids) {
        const bool known = services.runtime.registry().find(id).has_value();
        if (!known && !counts.contains(id)) continue;
        Json dag;
        dag["dag_id"] = id;
        dag["dag_display_name"] = id;
        dag["stats"] = Json::array();
        for (const RunState state :
             {RunState::queued, RunState::running, RunState::success, RunState::failed}) {
            Json item;
            item["state"] = name(state);
            item["count"] = counts[id].runs[state];
            dag["stats"].push_back(std::move(item));
        }
        json["dags"].push_back(std::move(dag));
    }
    json["total_entries"] = json["dags"].size();
    return reply(200, json);
}

}  // namespace

Rows dag_endpoints() {
    using http::Access;
    constexpr auto in = Access::signed_in;
    return {
        {"GET", "/api/v2/dags", "get_dags", in, get_dags},
        {"PATCH", "/api/v2/dags", "patch_dags", in, patch_dags},
        {"GET", "/api/v2/dags/{dag_id}", "get_dag", in, get_dag},
        {"PATCH", "/api/v2/dags/{dag_id}", "patch_dag", in, patch_dag},
        {"DELETE", "/api/v2/dags/{dag_id}", "delete_dag", in, delete_dag},
        {"GET", "/api/v2/dags/{dag_id}/details", "get_dag_details", in, get_dag_details},
        {"GET", "/api/v2/dags/{dag_id}/tasks", "get_tasks", in, get_tasks},
        {"GET", "/api/v2/dags/{dag_id}/tasks/{task_id}", "get_task", in, get_task},
        {"GET", "/api/v2/dags/{dag_id}/dagVersions", "get_dag_versions", in, get_dag_versions},
        {"GET",
         "/api/v2/dags/{dag_id}/dagVersions/{version_number}",
         "get_dag_version",
         in,
         get_dag_version},
        {"GET", "/api/v2/dagSources/{dag_id}", "get_dag_source", in, get_dag_source},
        {"GET", "/api/v2/dagTags", "get_dag_tags", in, get_dag_tags},
        {"GET", "/api/v2/dagStats", "get_dag_stats", in, get_dag_stats},
    };
}

}  // namespace sluice::api
