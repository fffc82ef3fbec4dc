// /ui/v1/dags: list, one, structure, grid, code.
#include <algorithm>
#include <cstdlib>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/mapped.hpp"
#include "api/ui.hpp"
#include "base/check.hpp"
#include "base/limits.hpp"
#include "model/lineage_file.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

constexpr int listed_runs = 20;

std::string_view kind_word(ScheduleKind kind) {
    switch (kind) {
        case ScheduleKind::none:
            return "none";
        case ScheduleKind::cron_trigger:
        case ScheduleKind::cron_interval:
            return "cron";
        case ScheduleKind::delta_trigger:
        case ScheduleKind::delta_interval:
            return "delta";
        case ScheduleKind::once:
            return "once";
        case ScheduleKind::continuous:
            return "continuous";
        case ScheduleKind::events:
            return "events";
    }
    unreachable();
}

struct RowFacts {
    std::vector<store::RunRow> runs;  // newest first
    std::int64_t running{};
    std::int64_t queued{};
};

void add_row(Json& json, const runtime::ListedDag& listed, const RowFacts& facts) {
    const Dag& dag = *listed.dag;
    json["id"] = dag.dag_id;
    json["desc"] = dag.description;
    json["tags"] = dag.tags;
    json["owner"] = dag.owner;
    json["file"] = dag.fileloc;
    json["paused"] = listed.state.is_paused;
    json["stale"] = listed.state.is_stale;
    json["checking"] = listed.checking;
    json["error"] = listed.has_import_errors;
    json["schedule"] = dag.schedule.text;
    json["kind"] = kind_word(dag.schedule.kind);
    json["tz"] = dag.timezone;
    json["start"] = millis_or_null(dag.start_date);
    json["end"] = millis_or_null(dag.end_date);
    json["next"] = millis_or_null(listed.state.next_run_after);
    json["ver"] = dag.version_number;
    json["tasks"] = dag.tasks.size();
    json["running"] = facts.running;
    json["queued"] = facts.queued;
    json["failed"] = std::ranges::count_if(facts.runs, [](const store::RunRow& row) {
        return row.run.state == RunState::failed;
    });
    json["p50"] = median_duration(facts.runs);
    json["open"] = !listed.state.is_stale && !listed.checking;
    json["runs"] = Json::array();
    for (auto row = facts.runs.rbegin(); row != facts.runs.rend(); ++row) {
        const DagRun& run = row->run;
        Json duration;
        if (run.start_date && run.end_date)
            duration = (*run.end_date - *run.start_date).count() / 1'000;
        json["runs"].push_back(
            {run.run_id,
             one_letter(letter(run.state)),
             millis_or_null(run.start_date),
             std::move(duration),
             millis_or_null(run.logical_date)}
        );
    }
}

std::map<std::string, RowFacts> facts_of(Services& services, const std::vector<std::string>& ids) {
    std::map<std::string, RowFacts> facts;
    auto runs = services.queries.latest_runs(ids, listed_runs);
    auto counts = services.queries.dag_counts(ids);
    for (const std::string& id : ids) {
        RowFacts& fact = facts[id];
        fact.runs = std::move(runs[id]);
        fact.running = counts[id].runs[RunState::running];
        fact.queued = counts[id].runs[RunState::queued];
    }
    return facts;
}

Reply get_ui_dags(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const std::string text = request.query_value("q").value_or("");
    const std::string after = request.query_value("cursor").value_or("");
    const auto limit = static_cast<std::size_t>(
        std::clamp(std::atoi(request.query_value("limit").value_or("500").c_str()), 1, 1'000)
    );
    auto all = services.runtime.registry().all();
    std::erase_if(all, [&](const auto& listed) {
        return !text.empty() && !matches_pattern(listed.dag->dag_id, text);
    });
    const auto total = all.size();
    std::erase_if(all, [&](const auto& listed) {
        return !after.empty() && listed.dag->dag_id <= after;
    });
    Json next;
    if (all.size() > limit) {
        all.resize(limit);
        next = all.back().dag->dag_id;
    }
    std::vector<std::string> ids;
    for (const auto& listed : all) ids.push_back(listed.dag->dag_id);
    const auto facts = facts_of(services, ids);
    json["total"] = total;
    json["next"] = std::move(next);
    json["dags"] = Json::array();
    for (const auto& listed : all) {
        Json row;
        add_row(row, listed, facts.at(listed.dag->dag_id));
        json["dags"].push_back(std::move(row));
    }
    services.runtime.need_owner();  // who alone knows the errors
    json["errors"] = services.runtime.registry().import_errors().size();
    return reply(200, json);
}

Reply get_ui_dag(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto listed = find_dag(services, request.param("dag_id"));
    const Dag& dag = *listed.dag;
    add_row(json, listed, facts_of(services, {dag.dag_id}).at(dag.dag_id));
    json["doc"] = dag.doc_md;
    json["catchup"] = dag.catchup;
    json["max_runs"] = dag.max_active_runs;
    json["max_tasks"] = dag.max_active_tasks_per_run;
    json["timeout"] = dag.dagrun_timeout ? Json(dag.dagrun_timeout->count() / 1'000) : Json();
    json["hash"] = dag.hash;
    std::vector<int> numbers;
    const auto versions = services.queries.versions(
        dag.dag_id, {.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0}
    );
    for (const auto& version : versions.rows) numbers.push_back(version.number);
    std::ranges::sort(numbers, std::greater<>());
    json["versions"] = numbers;
    json["params"] = stored_json(dag.params);
    json["retries"] = dag.tasks.empty() ? 0 : dag.tasks.front().retries;
    json["periodic"] = is_periodic(dag.schedule);
    return reply(200, json);
}

/// The version that `?version=` names, else the current one.
DagPtr version_asked(Services& services, const Request& request) {
    const std::string& dag_id = request.param("dag_id");
    const auto asked = request.query_value("version");
    if (!asked) return find_dag(services, dag_id).dag;
    const auto listed = services.runtime.registry().find(dag_id);
    const int number = std::atoi(asked->c_str());
    if (listed && listed->dag->version_number == number) return listed->dag;
    store::PageOf page{.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0};
    while (true) {
        const auto rows = services.queries.versions(dag_id, page);
        for (const auto& row : rows.rows)
            if (row.number == number)
                if (DagPtr dag = services.versions.dag(row.id, dag_id, number)) return dag;
        page.offset += page.limit;
        if (page.offset >= rows.total) break;
    }
    throw not_found("Version " + *asked + " of Dag `" + dag_id + "` was not found");
}

Reply get_structure(Services& services, const Request& request, const Caller&) {
    const DagPtr dag = version_asked(services, request);
    Json json;
    json["dag"] = dag->dag_id;
    json["ver"] = dag->version_number;
    json["nodes"] = Json::array();
    json["groups"] = Json::array();
    json["edges"] = Json::array();
    for (std::size_t no = 0; no < dag->tasks.size(); ++no) {
        const Task& task = dag->tasks[no];
        json["nodes"].push_back(
            {task.id,
             task.group,
             task.operator_name,
             task.retries,
             name(task.trigger_rule),
             task.pool,
             task.isolation == Isolation::process ? "process" : "inline"}
        );
        for (const TaskNo upstream : task.upstream) json["edges"].push_back({upstream, no});
    }
    for (const TaskGroup& group : dag->groups)
        json["groups"].push_back({group.id, group.parent, group.tooltip});
    Reply answer = reply(200, json);
    if (request.query_value("version"))
        answer.set_header("Cache-Control", "private, max-age=31536000, immutable");
    return answer;
}

/// Of several mapped instances one letter stands for all: the worst.
int badness(TaskState state) {
    switch (state) {
        case TaskState::failed:
            return 13;
        case TaskState::upstream_failed:
            return 12;
        case TaskState::up_for_retry:
            return 11;
        case TaskState::running:
            return 10;
        case TaskState::restarting:
            return 9;
        case TaskState::awaiting_input:
            return 8;
        case TaskState::deferred:
            return 7;
        case TaskState::up_for_reschedule:
            return 6;
        case TaskState::queued:
            return 5;
        case TaskState::scheduled:
            return 4;
        case TaskState::none:
            return 3;
        case TaskState::removed:
            return 2;
        case TaskState::skipped:
            return 1;
        case TaskState::success:
            return 0;
    }
    unreachable();
}

/// One letter for each task of the current version.
std::string cells_of(
    Services& services, const store::GridRun& column, const Dag& current, Json& maps
) {
    const DagPtr own =
        services.versions.dag(column.run.run.version, current.dag_id, column.run.version_number);
    std::string cells(current.tasks.size(), '.');
    if (!own) return cells;
    std::vector<std::optional<TaskState>> states(own->tasks.size());
    for (const auto& cell : column.cells) {
        const auto no = static_cast<std::size_t>(cell.task);
        if (no >= states.size()) continue;
        if (!states[no] || badness(cell.state) > badness(*states[no])) states[no] = cell.state;
    }
    std::map<TaskNo, StateCounts> mapped;
    if (!own->mappings.empty()) mapped = MappedRun(services, column.run.run, *own).counts();
    for (const auto& [no, counts] : mapped) {
        auto& state = states[static_cast<std::size_t>(no)];
        Json by_letter = Json::object();
        for (const auto& [each, count] : counts) {
            by_letter[one_letter(letter(each))] = count;
            if (!state || badness(each) > badness(*state)) state = each;
        }
        maps[own->tasks[static_cast<std::size_t>(no)].id] = std::move(by_letter);
    }
    const bool same = own->version == current.version;
    for (std::size_t no = 0; no < current.tasks.size(); ++no) {
        const TaskNo there = same ? static_cast<TaskNo>(no) : find_task(*own, current.tasks[no].id);
        if (there == no_task) continue;
        cells[no] = letter(states[static_cast<std::size_t>(there)].value_or(TaskState::none));
    }
    return cells;
}

Reply get_grid(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const DagPtr dag = find_dag(services, request.param("dag_id")).dag;
    const int wanted =
        std::clamp(std::atoi(request.query_value("runs").value_or("50").c_str()), 1, 1'000);
    std::optional<Instant> until;
    const auto end = request.query_value("end");
    if (end) until = find_run(services, dag->dag_id, *end).run.run_after;
    // One more than shown tells whether there are older ones.
    auto columns = services.queries.grid(dag->dag_id, wanted + 1, until);
    const bool older = columns.size() > static_cast<std::size_t>(wanted);
    if (older) columns.resize(static_cast<std::size_t>(wanted));
    std::ranges::reverse(columns);
    json["ver"] = dag->version_number;
    json["nodes"] = Json::array();
    for (const Task& task : dag->tasks) json["nodes"].push_back(task.id);
    json["runs"] = Json::array();
    json["cells"] = Json::array();
    json["maps"] = Json::array();
    for (const auto& column : columns) {
        json["runs"].push_back(ui_run(services, column.run));
        Json maps = Json::object();
        json["cells"].push_back(cells_of(services, column, *dag, maps));
        json["maps"].push_back(std::move(maps));  // of mapped tasks: instances by state
    }
    bool newer = false;
    if (until) {
        store::RunFilter filter;
        filter.dag_ids = {dag->dag_id};
        filter.run_after.gt = until;
        filter.page.limit = 1;
        newer = services.queries.runs(filter).total > 0;
    }
    json["older"] = older;
    json["newer"] = newer;
    return reply(200, json);
}

Reply get_code(Services& services, const Request& request, const Caller&) {
    const DagPtr dag = version_asked(services, request);
    Json json;
    json["dag"] = dag->dag_id;
    json["ver"] = dag->version_number;
    json["file"] = dag->fileloc;
    json["source"] = dag->source;
    json["files"] = Json::array();
    for (const auto& [path, text] : dag->files) json["files"].push_back({path, text});
    return reply(200, json);
}

Reply get_lineage(Services& services, const Request& request, const Caller&) {
    const DagPtr dag = version_asked(services, request);
    const auto lineage = dag->files.find(lineage_file);
    Json json;
    json["dag"] = dag->dag_id;
    json["ver"] = dag->version_number;
    json["datasets"] = lineage == dag->files.end() ? Json::array() : Json::parse(lineage->second);
    return reply(200, json);
}

}  // namespace

Rows ui_dag_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/dags", "", in, get_ui_dags},
        {"GET", "/ui/v1/dags/{dag_id}", "", in, get_ui_dag},
        {"GET", "/ui/v1/dags/{dag_id}/structure", "", in, get_structure},
        {"GET", "/ui/v1/dags/{dag_id}/grid", "", in, get_grid},
        {"GET", "/ui/v1/dags/{dag_id}/code", "", in, get_code},
        {"GET", "/ui/v1/dags/{dag_id}/lineage", "", in, get_lineage},
    };
}

}  // namespace sluice::api
