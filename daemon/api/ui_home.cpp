// /ui/v1/home, import errors and the live stream; helpers that all of /ui/v1 shares.
#include <algorithm>
#include <fstream>

#include "api/failure.hpp"
#include "api/live.hpp"
#include "api/ui.hpp"
#include "base/limits.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;
using namespace std::chrono_literals;

constexpr std::size_t buckets = 48;
constexpr std::size_t attention_items = 20;

Duration window_of(const Request& request) {
    const std::string text = request.query_value("window").value_or("24h");
    if (text == "1h") return 1h;
    if (text == "24h") return 24h;
    if (text == "7d") return 24h * 7;
    if (text == "30d") return 24h * 30;
    throw failure(422, "window is one of 1h 24h 7d 30d");
}

Json health(Services& services, const core::Scheduler::Counts& counts) {
    const auto& figures = services.runtime.figures();
    const std::int64_t now = to_millis(services.clock.now());
    const bool alive = figures.owner && figures.database_available;
    Json json;
    json["scheduler"]["ok"] = alive;
    json["scheduler"]["beat"] = alive ? now : figures.last_turn_at / 1'000;
    json["database"]["ok"] = figures.database_available.load();
    json["database"]["ms"] = static_cast<double>(figures.last_commit_micros) / 1e3;
    json["executor"]["running"] = counts.running_tasks;
    json["executor"]["slots"] = services.instance.executor_slots;
    json["folder"]["ok"] = folder_is_watched(services.instance, services.clock.now());
    json["folder"]["scanned"] = millis_or_null(services.instance.folder_looked_at());
    json["import_errors"] = services.runtime.registry().import_errors().size();
    return json;
}

/// Runs that ended in the window as [start, succeeded, failed] per bucket, all buckets present.
struct Ended {
    Json list = Json::array();
    std::int64_t success{};
    std::int64_t failed{};
};

Ended ended_runs(Services& services, Instant from, Instant to) {
    std::vector<std::pair<std::int64_t, std::int64_t>> counts(buckets);
    Ended ended;
    store::RunFilter filter;
    filter.end_date.gte = from;
    filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
    // Newest first and bounded: a window with more runs than this shows the newest of them.
    filter.order = {{store::RunOrder::end_date, true}};
    constexpr std::int64_t most = 5'000;
    while (filter.page.offset < most) {
        const auto page = services.queries.runs(filter);
        for (const auto& row : page.rows) {
            if (!row.run.end_date) continue;
            const bool good = row.run.state == RunState::success;
            ++(good ? ended.success : ended.failed);
            const auto place = static_cast<std::size_t>(
                (*row.run.end_date - from).count() * static_cast<std::int64_t>(buckets) /
                std::max<std::int64_t>(1, (to - from).count())
            );
            auto& bucket = counts[std::min(place, buckets - 1)];
            ++(good ? bucket.first : bucket.second);
        }
        filter.page.offset += filter.page.limit;
        if (filter.page.offset >= page.total) break;
    }
    for (std::size_t i = 0; i < buckets; ++i) {
        const auto start =
            from + (to - from) * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(buckets);
        ended.list.push_back({to_millis(start), counts[i].first, counts[i].second});
    }
    return ended;
}

std::int64_t count_tasks(
    Services& services, std::vector<TaskState> states, std::optional<Instant> since
) {
    store::TaskFilter filter;
    filter.states = std::move(states);
    filter.end_date.gte = since;
    filter.page.limit = 1;
    return services.queries.tasks(filter).total;
}

Json attention_item(
    const char* kind, const DagRun& run, const std::string* task, const TaskInstance* instance
) {
    Json item;
    item["kind"] = kind;
    item["dag"] = run.dag_id;
    item["run"] = run.run_id;
    item["task"] = task != nullptr ? Json(*task) : Json();
    item["map"] = instance != nullptr ? instance->key.map_index : unmapped;
    item["try"] = instance != nullptr ? instance->try_number : 0;
    item["max"] = instance != nullptr ? instance->max_tries + 1 : 0;
    const auto at = instance != nullptr ? instance->end_date : run.end_date;
    item["at"] = to_millis(at.value_or(run.run_after));
    item["ld"] = millis_or_null(run.logical_date);
    std::string reason = instance != nullptr ? instance->error : run.reason;
    if (reason.size() > 300) reason.resize(300);
    item["reason"] = reason;
    return item;
}

Json attention(
    Services& services, const std::map<std::string, std::vector<store::RunRow>>& latest
) {
    std::vector<Json> items;
    for (const auto& [dag_id, rows] : latest) {
        if (rows.empty() || rows.front().run.state != RunState::failed) continue;
        const DagRun& run = rows.front().run;
        store::TaskFilter filter;
        filter.run = run.key;
        filter.states = {TaskState::failed};
        filter.page.limit = 5;
        const auto failed = services.queries.tasks(filter);
        for (const auto& row : failed.rows)
            items.push_back(attention_item("failed", run, &row.task_id, &row.instance));
        if (failed.rows.empty()) items.push_back(attention_item("failed", run, nullptr, nullptr));
    }
    store::TaskFilter retrying;
    retrying.states = {TaskState::up_for_retry};
    retrying.page.limit = static_cast<std::int64_t>(attention_items);
    for (const auto& row : services.queries.tasks(retrying).rows) {
        DagRun run;
        run.dag_id = row.dag_id;
        run.run_id = row.run_id;
        run.logical_date = row.logical_date;
        run.run_after = row.run_after;
        items.push_back(attention_item("retrying", run, &row.task_id, &row.instance));
    }
    std::ranges::sort(items, [](const Json& a, const Json& b) { return a["at"] > b["at"]; });
    if (items.size() > attention_items) items.resize(attention_items);
    return Json(items);
}

Json running(Services& services, const std::map<std::string, std::vector<store::RunRow>>& latest) {
    store::RunFilter filter;
    filter.states = {RunState::running};
    filter.order = {{store::RunOrder::start_date, true}};
    filter.page.limit = 20;
    Json list = Json::array();
    for (const auto& row : services.queries.runs(filter).rows) {
        const DagPtr dag =
            services.versions.dag(row.run.version, row.run.dag_id, row.version_number);
        std::int64_t done = 0;
        for (const auto& task : services.queries.tasks_of(row.run.key))
            done += is_finished(task.instance.state) ? 1 : 0;
        const auto others = latest.find(row.run.dag_id);
        Json item;
        item["dag"] = row.run.dag_id;
        item["run"] = row.run.run_id;
        item["ty"] = name(row.run.type);
        item["s"] = millis_or_null(row.run.start_date);
        item["done"] = done;
        item["total"] = dag ? dag->tasks.size() : 0;
        item["p50"] = others == latest.end() ? Json() : median_duration(others->second);
        list.push_back(std::move(item));
    }
    return list;
}

Json next_runs(const std::vector<runtime::ListedDag>& dags) {
    std::vector<std::pair<Instant, std::string>> next;
    for (const auto& listed : dags)
        if (!listed.state.is_paused && !listed.state.is_stale && listed.state.next_run_after)
            next.emplace_back(*listed.state.next_run_after, listed.dag->dag_id);
    std::ranges::sort(next);
    if (next.size() > 10) next.resize(10);
    Json list = Json::array();
    for (const auto& [at, dag] : next) {
        Json item;
        item["dag"] = dag;
        item["at"] = to_millis(at);
        list.push_back(std::move(item));
    }
    return list;
}

Json pool_rows(const std::vector<core::Scheduler::PoolUse>& pools) {
    Json list = Json::array();
    for (const auto& use : pools) {
        Json item;
        item["name"] = use.pool.name;
        item["slots"] = use.pool.slots;
        item["running"] = use.running;
        item["queued"] = use.queued + use.scheduled;
        item["open"] = use.pool.slots < 0
                           ? std::int64_t{-1}
                           : std::max<std::int64_t>(0, use.pool.slots - use.running - use.queued);
        list.push_back(std::move(item));
    }
    return list;
}

Reply get_home(Services& services, const Request& request, const Caller&) {
    const Duration window = window_of(request);
    Json json = head(services);
    const Instant now = services.clock.now();
    core::Scheduler::Counts counts;
    std::vector<core::Scheduler::PoolUse> pools;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        counts = scheduler.counts();
        pools = scheduler.pool_use();
    });
    const auto dags = services.runtime.registry().all();
    std::vector<std::string> ids;
    std::int64_t paused = 0;
    for (const auto& listed : dags) {
        ids.push_back(listed.dag->dag_id);
        paused += listed.state.is_paused ? 1 : 0;
    }
    const auto latest = services.queries.latest_runs(ids, 20);
    const Ended ended = ended_runs(services, now - window, now);
    store::RunFilter open;
    open.page.limit = 1;
    json["window_ms"] = window.count() / 1'000;
    json["health"] = health(services, counts);
    json["dags"]["total"] = dags.size();
    json["dags"]["active"] = static_cast<std::int64_t>(dags.size()) - paused;
    json["dags"]["paused"] = paused;
    json["runs"]["success"] = ended.success;
    json["runs"]["failed"] = ended.failed;
    open.states = {RunState::running};
    json["runs"]["running"] = services.queries.runs(open).total;
    open.states = {RunState::queued};
    json["runs"]["queued"] = services.queries.runs(open).total;
    json["tasks"]["success"] = count_tasks(services, {TaskState::success}, now - window);
    json["tasks"]["failed"] = count_tasks(services, {TaskState::failed}, now - window);
    json["tasks"]["running"] = counts.running_tasks;
    json["tasks"]["queued"] = counts.ready_tasks;
    json["buckets"] = ended.list;
    json["attention"] = attention(services, latest);
    json["running"] = running(services, latest);
    json["next"] = next_runs(dags);
    json["pools"] = pool_rows(pools);
    return reply(200, json);
}

/// Up to five lines of the file round the problem: [[number, text], ...].
Json excerpt(const std::string& folder, const std::string& file, int line) {
    Json list = Json::array();
    if (line <= 0 || folder.empty() || file.find("..") != std::string::npos) return list;
    std::ifstream in(folder + "/" + file);
    std::string text;
    for (int number = 1; number <= line + 2 && std::getline(in, text); ++number) {
        if (number < line - 2) continue;
        if (text.size() > 300) text.resize(300);
        list.push_back({number, text});
    }
    return list;
}

Reply get_ui_import_errors(Services& services, const Request&, const Caller&) {
    Json json;
    json["seq"] = services.runtime.seq().value;
    json["errors"] = Json::array();
    std::map<std::string, std::string> dag_of_file;
    for (const auto& listed : services.runtime.registry().all())
        dag_of_file[listed.dag->fileloc] = listed.dag->dag_id;
    for (const auto& error : services.runtime.registry().import_errors()) {
        Json item;
        item["id"] = error.id;
        item["file"] = error.filename;
        const auto dag = dag_of_file.find(error.filename);
        item["dag"] = dag == dag_of_file.end() ? Json() : Json(dag->second);
        item["at"] = to_millis(error.at);
        item["problems"] = Json::array();
        for (const Problem& problem : error.problems) {
            Json row;
            row["code"] = problem.code;
            row["sev"] = problem.severity == Severity::error ? "error" : "warning";
            row["line"] = problem.line;
            row["col"] = problem.column;
            row["ptr"] = problem.pointer;
            row["msg"] = problem.message;
            row["hint"] = problem.suggestion;
            item["problems"].push_back(std::move(row));
        }
        const int line = error.problems.empty() ? 0 : error.problems.front().line;
        item["excerpt"] = excerpt(services.instance.dags, error.filename, line);
        json["errors"].push_back(std::move(item));
    }
    return reply(200, json);
}

Reply get_stream(Services& services, const Request& request, const Caller& caller) {
    return services.live.open(services, request, caller);
}

}  // namespace

Json millis_or_null(const std::optional<Instant>& at) {
    return at ? Json(to_millis(*at)) : Json(nullptr);
}

std::string one_letter(char letter) { return std::string(1, letter); }

Json head(Services& services) {
    Json json;
    json["seq"] = services.runtime.seq().value;
    json["server_ms"] = to_millis(services.clock.now());
    return json;
}

Json ui_run(Services&, const store::RunRow& row) {
    const DagRun& run = row.run;
    Json json;
    json["id"] = run.run_id;
    json["dag"] = run.dag_id;
    json["st"] = one_letter(letter(run.state));
    json["ty"] = name(run.type);
    json["ld"] = millis_or_null(run.logical_date);
    json["ra"] = to_millis(run.run_after);
    json["q"] = to_millis(run.queued_at);
    json["s"] = millis_or_null(run.start_date);
    json["e"] = millis_or_null(run.end_date);
    json["ver"] = row.version_number;
    json["bf"] = run.backfill ? Json(run.backfill->value) : Json();
    json["note"] = !run.note.empty();
    return json;
}

Json median_duration(const std::vector<store::RunRow>& runs) {
    std::vector<std::int64_t> durations;
    for (const auto& row : runs)
        if (row.run.state == RunState::success && row.run.start_date && row.run.end_date)
            durations.push_back((*row.run.end_date - *row.run.start_date).count() / 1'000);
    if (durations.empty()) return nullptr;
    const auto middle = durations.begin() + static_cast<std::ptrdiff_t>(durations.size() / 2);
    std::ranges::nth_element(durations, middle);
    return *middle;
}

Rows ui_home_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/home", "", in, get_home},
        {"GET", "/ui/v1/import-errors", "", in, get_ui_import_errors},
        {"GET", "/ui/v1/stream", "", in, get_stream},
    };
}

Rows ui_endpoints() {
    Rows rows;
    for (const auto& part :
         {ui_dag_endpoints(),
          ui_run_endpoints(),
          ui_log_endpoints(),
          ui_home_endpoints(),
          ui_outbox_endpoints(),
          ui_deadline_endpoints(),
          ui_vault_endpoints(),
          ui_lake_endpoints(),
          ui_metric_endpoints()})
        rows.insert(rows.end(), part.begin(), part.end());
    return rows;
}

}  // namespace sluice::api
