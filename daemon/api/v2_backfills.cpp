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
    body.boolean("run_on_latest_version");
    body.done();
    backfill.reprocess = reprocess_behavior_of(reprocess.value_or("none")).value();
    backfill.max_active_runs = static_cast<int>(active.value_or(10));
    if (backfill.conf.size() > limits::inline_value_bytes)
        throw failure(422, "dag_run_conf is larger than the limit inline_value_bytes");

    const auto listed = services.runtime.registry().find(backfill.dag_id);
    if (!listed) throw not_found("Could not find dag " + backfill.dag_id);
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
    for (const auto& row : rows.rows) json["backfills"].push_back(backfill_view(row.backfill));
    json["total_entries"] = rows.total;
    return reply(200, json);
}

Reply get_backfill(Services& services, const Request& request, const Caller&) {
    return reply(200, backfill_view(find_backfill(services, request).backfill));
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

/// The dates whose runs the backfill would make or clear; those it would skip are left out, as in
/// Airflow.
Reply dry_run_backfill(Services& services, const Request& request, const Caller&) {
    const Backfill backfill = read_backfill(services, request);
    const DagPtr dag = find_dag(services, backfill.dag_id).dag;
    const auto plan = core::plan_backfill(
        *dag, backfill, runs_in_range(services, backfill), services.clock.now()
    );
    // "Nothing to do" is an answer of a dry run, not a failure: the list is empty.
    if (plan.error && *plan.error != ErrorCode::conflict) throw Error(*plan.error, plan.message);
    Json json;
    json["backfills"] = Json::array();
    for (const BackfillDate& date : plan.dates) {
        if (date.action == "skip") continue;
        Json item;
        item["logical_date"] = format_z(date.logical_date);
        item["partition_key"] = nullptr;
        item["partition_date"] = nullptr;
        json["backfills"].push_back(std::move(item));
    }
    json["total_entries"] = json["backfills"].size();
    return reply(200, json);
}

Reply create_backfill(Services& services, const Request& request, const Caller& caller) {
    core::CreateBackfill event;
    event.backfill = read_backfill(services, request);
    event.backfill.created_by = caller.user;
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
        {"PUT", "/api/v2/backfills/{backfill_id}/pause", "pause_backfill", in, pause_backfill},
        {"PUT", "/api/v2/backfills/{backfill_id}/unpause", "unpause_backfill", in, unpause_backfill
        },
        {"PUT", "/api/v2/backfills/{backfill_id}/cancel", "cancel_backfill", in, cancel_backfill},
    };
}

}  // namespace sluice::api
