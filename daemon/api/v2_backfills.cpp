// /api/v2/backfills.
#include <algorithm>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "core/backfill.hpp"
#include "model/params.hpp"
#include "model/zone.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

std::string offset_text(Instant at) { return format_offset(at); }

Backfill read_backfill(Services& services, const Request& request) {
    Body body(request);
    Backfill backfill;
    body.require("dag_id");
    backfill.dag_id = body.text("dag_id").value_or("");
    body.require("from_date");
    body.time("from_date");
    body.require("to_date");
    body.time("to_date");
    const std::string from = body.text("from_date").value_or("");
    const std::string to = body.text("to_date").value_or("");
    for (const char* key : {"dag_id", "from_date", "to_date"})
        if (body.is_null(key)) body.error("string_type", key, "Input should be a valid string");
    backfill.run_backwards = body.boolean("run_backwards").value_or(false);
    if (const auto conf = body.object("dag_run_conf")) backfill.conf = dump(*conf);
    const auto reprocess = body.one_of("reprocess_behavior", {"failed", "completed", "none"});
    const auto active = body.integer("max_active_runs");
    if (active && (*active < 1 || *active > 10'000))
        body.error("greater_than_equal", "max_active_runs", "Input should be from 1 to 10000");
    backfill.on_latest = body.boolean("run_on_latest_version").value_or(false);
    const auto tasks = body.texts("task_ids");
    const bool upstream = body.boolean("include_upstream").value_or(false);
    const bool downstream = body.boolean("include_downstream").value_or(false);
    body.done();
    backfill.reprocess = reprocess_behavior_of(reprocess.value_or("none")).value();
    backfill.max_active_runs = static_cast<int>(active.value_or(10));
    if (backfill.conf.size() > limits::inline_value_bytes)
        throw failure(422, "dag_run_conf is larger than the limit inline_value_bytes");

    const auto listed = services.runtime.registry().find(backfill.dag_id);
    if (!listed) throw not_found("Could not find dag " + backfill.dag_id);
    if (tasks) {
        backfill.tasks = *tasks;
        if (tasks->empty()) throw failure(422, "task_ids names no task");
        if (const auto wrong =
                core::resolve_subset(*listed->dag, backfill.tasks, upstream, downstream))
            throw failure(422, *wrong);
    }
    // A day without an offset is the DAG's day, as in its file: New York's begins at five in UTC.
    const Zone zone = Zone::find(listed->dag->timezone).value_or(Zone::utc());
    backfill.from_date = resolve(parse_time(from).value(), zone);
    backfill.to_date = resolve(parse_time(to).value(), zone);
    if (!is_periodic(listed->dag->schedule))
        throw failure(
            422, backfill.dag_id + " has a non-periodic schedule that does not support backfills"
        );
    if (backfill.to_date < backfill.from_date)
        throw failure(
            422,
            "from_date (" + offset_text(backfill.from_date) + ") must not be after to_date (" +
                offset_text(backfill.to_date) + ")."
        );
    if (backfill.from_date > services.clock.now())
        throw failure(422, "Backfill cannot be executed for future dates.");
    if (const auto wrong = conf_complaint(*listed->dag, backfill.conf); !wrong.empty())
        throw failure(422, wrong);
    return backfill;
}

store::BackfillRow find_backfill(Services& services, const Request& request) {
    const std::string& text = request.param("backfill_id");
    char* end = nullptr;
    const auto id = std::strtoll(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0') {
        Problems problems;
        problems.add(
            "int_parsing",
            Json::array({"path", "backfill_id"}),
            "Input should be a valid integer, unable to parse string as an integer",
            text
        );
        problems.check();
    }
    auto row = services.queries.backfill(BackfillId{id});
    if (!row) throw not_found("Backfill not found");
    return *row;
}

/// How long one of its runs takes: the mean over the DAG's last successful runs, of its tasks only.
std::optional<Duration> usual_run_time(Services& services, const Backfill& backfill) {
    constexpr int runs_looked_at = 10;
    store::RunFilter filter;
    filter.dag_ids = {backfill.dag_id};
    filter.states = {RunState::success};
    filter.order = {{store::RunOrder::run_key, true}};
    filter.page.limit = runs_looked_at;
    Duration sum{};
    int count = 0;
    for (const auto& row : services.queries.runs(filter).rows) {
        std::optional<Instant> begin = row.run.start_date;
        std::optional<Instant> end = row.run.end_date;
        if (!backfill.tasks.empty()) {
            begin.reset();
            end.reset();
            for (const auto& task : services.queries.tasks_of(row.run.key)) {
                const auto& ids = backfill.tasks;
                if (std::ranges::find(ids, task.task_id) == ids.end()) continue;
                const auto& instance = task.instance;
                if (!instance.start_date || !instance.end_date) continue;
                begin = begin ? std::min(*begin, *instance.start_date) : *instance.start_date;
                end = end ? std::max(*end, *instance.end_date) : *instance.end_date;
            }
        }
        if (!begin || !end) continue;
        sum += *end - *begin;
        ++count;
    }
    return count > 0 ? std::optional{sum / count} : std::nullopt;
}

Json seconds_or_null(const std::optional<Duration>& duration) {
    return duration ? Json(std::chrono::duration<double>(*duration).count()) : Json();
}

/// What the plan does about a date; the key `action` and those after it are Sluice's own.
Json date_json(const BackfillDate& date, const std::optional<Duration>& run_time) {
    Json item;
    item["logical_date"] = format_z(date.logical_date);
    item["partition_key"] = nullptr;
    item["partition_date"] = nullptr;
    item["action"] = date.action;
    item["reason"] = date.reason;
    item["estimated_seconds"] = date.action == "skip" ? Json(0.0) : seconds_or_null(run_time);
    return item;
}

/// As many runs at once as it may: the time of all.
std::optional<Duration> whole_time(const Backfill& backfill, std::size_t runs) {
    if (!backfill.run_time) return std::nullopt;
    const auto most = static_cast<std::size_t>(backfill.max_active_runs);
    return *backfill.run_time * static_cast<std::int64_t>((runs + most - 1) / most);
}

/// The backfill with its progress and what was planned.
Json full_view(const store::BackfillRow& row) {
    Json json = backfill_view(row.backfill);
    json["run_backwards"] = row.backfill.run_backwards;
    json["task_ids"] = row.backfill.tasks;
    json["estimated_run_seconds"] = seconds_or_null(row.backfill.run_time);
    std::int64_t left = 0;
    json["dag_run_counts"] = Json::object();
    for (const auto state :
         {RunState::queued, RunState::running, RunState::success, RunState::failed}) {
        const auto found = row.by_state.find(state);
        const auto count = found == row.by_state.end() ? 0 : found->second;
        json["dag_run_counts"][std::string{name(state)}] = count;
        if (!is_finished(state)) left += count;
    }
    json["skipped_dates"] = row.skipped;
    json["taken_over_dates"] = row.taken_over;
    json["estimated_seconds_left"] =
        seconds_or_null(whole_time(row.backfill, static_cast<std::size_t>(left)));
    return json;
}

Reply list_backfills(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto dag_id = query.text("dag_id");
    query.done();
    if (!dag_id) {
        Problems problems;
        problems.add("missing", Json::array({"query", "dag_id"}), "Field required", nullptr);
        problems.check();
    }
    for (const auto& [field, descending] : query.order())
        if (field != "id") bad_order(field);
    const auto rows = services.queries.backfills(*dag_id, page);
    Json json;
    json["backfills"] = Json::array();
    for (const auto& row : rows.rows) json["backfills"].push_back(full_view(row));
    json["total_entries"] = rows.total;
    return reply(200, json);
}

Reply get_backfill(Services& services, const Request& request, const Caller&) {
    return reply(200, full_view(find_backfill(services, request)));
}

/// The latest stored run of each logical date in the range.
std::vector<DagRun> runs_in_range(Services& services, const Backfill& backfill) {
    store::RunFilter filter;
    filter.dag_ids = {backfill.dag_id};
    filter.logical_date.gte = backfill.from_date;
    filter.logical_date.lte = backfill.to_date;
    filter.order = {{store::RunOrder::run_key, false}};
    filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
    std::map<Instant, DagRun> latest;
    while (true) {
        auto page = services.queries.runs(filter);
        for (auto& row : page.rows)
            if (row.run.logical_date) latest[*row.run.logical_date] = std::move(row.run);
        filter.page.offset += filter.page.limit;
        if (filter.page.offset >= page.total) break;
    }
    std::vector<DagRun> runs;
    runs.reserve(latest.size());
    for (auto& [date, run] : latest) runs.push_back(std::move(run));
    return runs;
}

/// The stored plan: every date with its action and reason.
Reply get_backfill_plan(Services& services, const Request& request, const Caller&) {
    const auto row = find_backfill(services, request);
    Json json;
    json["dates"] = Json::array();
    for (const auto& date : services.queries.backfill_dates(row.backfill.id))
        json["dates"].push_back(date_json(date, row.backfill.run_time));
    json["total_entries"] = json["dates"].size();
    return reply(200, json);
}

/// The dates whose runs the backfill would make or clear, as in Airflow; those it would skip stand
/// apart.
Reply dry_run_backfill(Services& services, const Request& request, const Caller&) {
    Backfill backfill = read_backfill(services, request);
    backfill.run_time = usual_run_time(services, backfill);
    const DagPtr dag = find_dag(services, backfill.dag_id).dag;
    const auto plan = core::plan_backfill(
        *dag, backfill, runs_in_range(services, backfill), services.clock.now()
    );
    // "Nothing to do" is an answer of a dry run, not a failure: the list is empty.
    if (plan.error && *plan.error != ErrorCode::conflict) throw Error(*plan.error, plan.message);
    Json json;
    json["backfills"] = Json::array();
    json["skipped"] = Json::array();
    for (const BackfillDate& date : plan.dates)
        json[date.action == "skip" ? "skipped" : "backfills"].push_back(
            date_json(date, backfill.run_time)
        );
    json["total_entries"] = json["backfills"].size();
    json["task_ids"] = backfill.tasks;
    json["estimated_seconds"] = seconds_or_null(whole_time(backfill, json["backfills"].size()));
    return reply(200, json);
}

Reply create_backfill(Services& services, const Request& request, const Caller& caller) {
    core::CreateBackfill event;
    event.backfill = read_backfill(services, request);
    event.backfill.created_by = caller.user;
    event.backfill.run_time = usual_run_time(services, event.backfill);
    event.actor = actor_of(request, caller);
    const Answer answer = command(services, std::move(event));
    return reply(200, backfill_view(*answer.backfill));
}

Reply patch(
    Services& services,
    const Request& request,
    const Caller& caller,
    core::PatchBackfill::Action action
) {
    const auto row = find_backfill(services, request);
    if (row.backfill.completed_at) throw failure(409, "Backfill is already completed.");
    core::PatchBackfill event;
    event.actor = actor_of(request, caller);
    event.backfill = row.backfill.id;
    event.action = action;
    const Answer answer = command(services, std::move(event));
    if (answer.backfill) return reply(200, backfill_view(*answer.backfill));
    return reply(200, backfill_view(find_backfill(services, request).backfill));
}

Reply pause_backfill(Services& services, const Request& request, const Caller& caller) {
    return patch(services, request, caller, core::PatchBackfill::Action::pause);
}
Reply unpause_backfill(Services& services, const Request& request, const Caller& caller) {
    return patch(services, request, caller, core::PatchBackfill::Action::unpause);
}
Reply cancel_backfill(Services& services, const Request& request, const Caller& caller) {
    return patch(services, request, caller, core::PatchBackfill::Action::cancel);
}

}  // namespace

Rows backfill_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/api/v2/backfills", "list_backfills", in, list_backfills},
        {"POST", "/api/v2/backfills", "create_backfill", in, create_backfill},
        {"POST", "/api/v2/backfills/dry_run", "create_backfill_dry_run", in, dry_run_backfill},
        {"GET", "/api/v2/backfills/{backfill_id}", "get_backfill", in, get_backfill},
        {"GET", "/api/v2/backfills/{backfill_id}/plan", "", in, get_backfill_plan},
        {"PUT", "/api/v2/backfills/{backfill_id}/pause", "pause_backfill", in, pause_backfill},
        {"PUT", "/api/v2/backfills/{backfill_id}/unpause", "unpause_backfill", in, unpause_backfill
        },
        {"PUT", "/api/v2/backfills/{backfill_id}/cancel", "cancel_backfill", in, cancel_backfill},
    };
}

}  // namespace sluice::api
