// /api/v2/dags/{dag_id}/dagRuns: list, get, trigger, patch, clear, delete, wait.
#include <algorithm>
#include <atomic>
#include <cctype>

#include <nlohmann/json.hpp>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/live.hpp"
#include "api/v2.hpp"
#include "base/limits.hpp"
#include "http/stream.hpp"
#include "model/params.hpp"
#include "runtime/upkeep.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

Json run_json(Services& services, const DagRun& run) {
    return run_view(
        with_conf(services.instance, run), services.versions.row(run.dag_id, run.version)
    );
}

std::vector<RunState> read_run_states(const std::vector<std::string>& names) {
    std::vector<RunState> states;
    for (const std::string& text : names) {
        const auto state = run_state_of(text);
        if (!state)
            throw failure(
                422, "Invalid value for state. Valid values are queued, running, success, failed"
            );
        states.push_back(*state);
    }
    return states;
}

std::vector<RunType> read_types(const std::vector<std::string>& names) {
    std::vector<RunType> types;
    for (const std::string& text : names) {
        const auto type = run_type_of(text);
        if (!type)
            throw failure(
                422,
                "Invalid value for run type. Valid values are backfill, scheduled, manual, "
                "operator_triggered, asset_triggered, asset_materialization"
            );
        types.push_back(*type);
    }
    return types;
}

void read_order(const std::vector<std::pair<std::string, bool>>& fields, store::RunFilter& filter) {
    for (const auto& [field, descending] : fields) {
        const auto key = store::run_order_of(field);
        if (!key) bad_order(field);
        filter.order.push_back({*key, descending});
    }
}

store::RunFilter read_filter(Query& query, const std::string& dag_id) {
    store::RunFilter filter;
    if (dag_id != "~") filter.dag_ids = {dag_id};
    filter.page = query.page();
    filter.dag_id_pattern = query.text_or_empty("dag_id_pattern");
    filter.run_id_pattern = query.text_or_empty("run_id_pattern");
    filter.triggering_user_pattern = query.text_or_empty("triggering_user_name_pattern");
    filter.logical_date = query.range("logical_date");
    filter.run_after = query.range("run_after");
    filter.start_date = query.range("start_date");
    filter.end_date = query.range("end_date");
    for (const auto number : query.integers("dag_version"))
        filter.version_numbers.push_back(static_cast<int>(number));
    if (const auto backfill = query.integer("backfill_id")) filter.backfill = BackfillId{*backfill};
    query.done();
    filter.states = read_run_states(query.texts("state"));
    filter.types = read_types(query.texts("run_type"));
    read_order(query.order(), filter);
    return filter;
}

/// The cursor is the offset of the next page in disguise; clients only hand it back.
std::int64_t read_cursor(const std::string& cursor) {
    if (cursor.empty()) return 0;
    const auto text = base64url_decode(cursor);
    if (!text || !text->starts_with("o:") || text->size() > 15 ||
        !std::all_of(text->begin() + 2, text->end(), [](unsigned char c) {
            return std::isdigit(c) != 0;
        }))
        throw failure(400, "Invalid cursor token");
    return text->size() == 2 ? 0 : std::stoll(text->substr(2));
}

Json runs_json(Services& services, const store::Page<store::RunRow>& page) {
    Json json;
    json["dag_runs"] = Json::array();
    for (const auto& row : page.rows) json["dag_runs"].push_back(run_json(services, row.run));
    json["total_entries"] = page.total;
    json["total_entries_limit"] = nullptr;
    json["next_cursor"] = nullptr;
    json["previous_cursor"] = nullptr;
    return json;
}

Reply get_dag_runs(Services& services, const Request& request, const Caller&) {
    const std::string& dag_id = request.param("dag_id");
    Query query(request);
    auto filter = read_filter(query, dag_id);
    const auto cursor = query.text("cursor");
    if (cursor) filter.page.offset = read_cursor(*cursor);
    const auto page = services.queries.runs(filter);
    if (page.total == 0 && dag_id != "~") find_dag(services, dag_id);
    Json json = runs_json(services, page);
    if (cursor) {
        const auto next = filter.page.offset + filter.page.limit;
        if (next < page.total && filter.page.limit > 0)
            json["next_cursor"] = base64url("o:" + std::to_string(next));
        if (filter.page.offset > 0)
            json["previous_cursor"] = base64url(
                "o:" +
                std::to_string(std::max<std::int64_t>(0, filter.page.offset - filter.page.limit))
            );
        json["total_entries_limit"] = page.total;
    }
    return reply(200, json);
}

Reply list_dag_runs(Services& services, const Request& request, const Caller&) {
    if (request.param("dag_id") != "~")
        throw failure(400, "This endpoint is for all Dags: use ~ as the dag_id");
    Body body(request);
    store::RunFilter filter;
    const auto order = body.text("order_by");
    filter.page.offset = std::max<std::int64_t>(0, body.integer("page_offset").value_or(0));
    filter.page.limit = std::clamp<std::int64_t>(
        body.integer("page_limit").value_or(100), 0, static_cast<std::int64_t>(limits::page_rows)
    );
    filter.dag_ids = body.texts("dag_ids").value_or(std::vector<std::string>{});
    const auto states = body.texts("states").value_or(std::vector<std::string>{});
    filter.run_after = body.range("run_after");
    filter.logical_date = body.range("logical_date");
    filter.start_date = body.range("start_date");
    filter.end_date = body.range("end_date");
    body.done();
    filter.states = read_run_states(states);
    if (order) {
        const bool descending = order->starts_with('-');
        read_order({{order->substr(descending ? 1 : 0), descending}}, filter);
    }
    return reply(200, runs_json(services, services.queries.runs(filter)));
}

Reply get_dag_run(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    return reply(200, run_json(services, row.run));
}

bool is_run_id(const std::string& id) {
    if (id.empty() || id.size() > limits::run_id_bytes) return false;
    return std::ranges::all_of(id, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_.~:+-").find(c) != std::string_view::npos;
    });
}

core::TriggerRun read_trigger(const Request& request) {
    Body body(request);
    core::TriggerRun event;
    event.run_id = body.text("dag_run_id");
    const auto start = body.time("data_interval_start", Body::Zone::required);
    const auto end = body.time("data_interval_end", Body::Zone::required);
    body.require("logical_date");
    event.logical_date = body.time("logical_date", Body::Zone::required);
    event.run_after = body.time("run_after", Body::Zone::required);
    const auto conf = body.object("conf");
    event.note = body.text("note").value_or("");
    const auto partition = body.text("partition_key");
    body.done();
    if (partition)
        throw failure(400, "partition_key is only for Dags with a partitioned timetable");
    if (start.has_value() != end.has_value())
        throw failure(
            422,
            "Either both data_interval_start and data_interval_end must be provided or both must "
            "be None"
        );
    if (start) {
        if (*end < *start) throw failure(422, "data_interval_end is before data_interval_start");
        event.data_interval = Interval{*start, *end};
    }
    if (event.run_id && !is_run_id(*event.run_id))
        throw failure(
            400,
            "The run_id provided '" + *event.run_id +
                "' does not match regex pattern '^[A-Za-z0-9_.~:+-]+$'"
        );
    if (event.note.size() > 1'000) throw failure(422, "The note is longer than 1000 characters");
    if (conf) event.conf = dump(*conf);
    return event;
}

/// Now, but never the same instant twice in this daemon: it is what tells two runs apart.
Instant unique_now(const Clock& clock) {
    static std::atomic<std::int64_t> last{0};
    const std::int64_t now = to_micros(clock.now());
    std::int64_t before = last.load();
    std::int64_t mine = 0;
    do {
        mine = std::max(now, before + 1);
    } while (!last.compare_exchange_weak(before, mine));
    return from_micros(mine);
}

Reply triggered(Services& services, const Answer& answer) {
    if (answer.error == ErrorCode::conflict) {
        Json detail;
        detail["reason"] = "Unique constraint violation";
        detail["statement"] = "hidden";
        detail["orig_error"] = "hidden";
        detail["message"] = answer.message;
        throw Failure(409, dump(detail));
    }
    if (answer.error == ErrorCode::invalid) throw failure(400, answer.message);
    if (answer.error) throw Error(*answer.error, answer.message);
    return reply(200, run_json(services, *answer.run));
}

Reply trigger(Services& services, const Request& request, const Caller& caller) {
    const std::string& dag_id = request.param("dag_id");
    core::TriggerRun event = read_trigger(request);
    const auto listed = services.runtime.registry().find(dag_id);
    if (!listed) throw not_found("Dag with dag_id: '" + dag_id + "' not found");
    if (listed->checking)
        throw failure(409, "Dag '" + dag_id + "' is still being checked, try again shortly");
    if (const auto wrong = conf_complaint(*listed->dag, event.conf); !wrong.empty())
        throw failure(400, wrong);
    if (Artefacts* artefacts = services.instance.artefacts; artefacts != nullptr)
        event.conf = artefacts->spill(std::move(event.conf));
    else if (event.conf.size() > limits::inline_value_bytes)
        throw failure(422, "conf is larger than the limit inline_value_bytes");
    event.actor = actor_of(request, caller);
    event.dag_id = dag_id;
    if (!event.run_id) {
        // Airflow's name of a run that was given none.
        event.run_id_made = !event.run_after;
        if (!event.run_after) event.run_after = unique_now(services.clock);
        event.run_id = "manual__" + format_offset(*event.run_after);
    }
    return command_later(services, std::move(event), [&services](const Answer& answer) {
        return triggered(services, answer);
    });
}

Reply patch_dag_run(Services& services, const Request& request, const Caller& caller) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    const auto mask = request.query_values("update_mask");
    for (const std::string& field : mask)
        if (field != "state" && field != "note")
            throw failure(
                400, "Only `state` and `note` fields can be updated through the REST API"
            );
    const auto asked = [&](const char* field) {
        return mask.empty() || std::ranges::find(mask, field) != mask.end();
    };
    Body body(request);
    const auto state = body.one_of("state", {"queued", "success", "failed"});
    const auto note = body.text("note");
    const bool note_given = body.has("note");
    body.done();
    if (state && asked("state")) {
        core::SetRunState event;
        event.actor = actor_of(request, caller);
        event.run = row.run.key;
        event.state = *run_state_of(*state);
        command(services, std::move(event));
    }
    if (note_given && asked("note")) {
        if (note && note->size() > 1'000)
            throw failure(422, "The note is longer than 1000 characters");
        core::SetRunNote event;
        event.actor = actor_of(request, caller);
        event.run = row.run.key;
        event.note = note.value_or("");
        command(services, std::move(event));
    }
    const auto after = services.queries.run(row.run.key);
    return reply(200, run_json(services, after ? after->run : row.run));
}

Reply delete_dag_run(Services& services, const Request& request, const Caller& caller) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    core::DeleteRun event;
    event.actor = actor_of(request, caller);
    event.run = row.run.key;
    command(services, std::move(event));
    // What its tasks wrote to logs here; a later run of this id begins with none.
    runtime::remove_logs(services.instance.logs, row.run.dag_id, row.run.run_id);
    return no_content();
}

Reply clear_dag_run(Services& services, const Request& request, const Caller& caller) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    Body body(request);
    core::ClearTasks event;
    event.dry_run = body.boolean("dry_run").value_or(true);
    event.only_failed = body.boolean("only_failed").value_or(false);
    event.only_new = body.boolean("only_new").value_or(false);
    event.on_latest = body.boolean("run_on_latest_version").value_or(false) || event.only_new;
    const auto note = body.text("note");
    body.done();
    event.actor = actor_of(request, caller);
    event.run = row.run.key;
    const bool dry_run = event.dry_run;
    const Answer answer = command(services, std::move(event));
    if (dry_run) {
        const DagPtr dag = dag_of(services, row);
        const auto version = services.versions.row(row.run.dag_id, row.run.version);
        Json json;
        json["task_instances"] = Json::array();
        for (const TaskInstance& instance : answer.instances) {
            const Task& task = dag->tasks[static_cast<std::size_t>(instance.key.task)];
            json["task_instances"].push_back(instance_view(
                instance,
                {row.run.dag_id,
                 row.run.run_id,
                 task.id,
                 row.run.logical_date,
                 row.run.run_after,
                 &task,
                 version,
                 services.node}
            ));
        }
        json["total_entries"] = answer.instances.size();
        return reply(200, json);
    }
    if (note) {
        core::SetRunNote set;
        set.actor = actor_of(request, caller);
        set.run = row.run.key;
        set.note = note->substr(0, 1'000);
        command(services, std::move(set));
    }
    const auto after = services.queries.run(row.run.key);
    return reply(200, run_json(services, after ? after->run : row.run));
}

/// The results that `wait` ends with: the return values of the tasks asked for.
Json results_of(Services& services, RunKey run, const std::vector<std::string>& tasks) {
    Json results = Json::object();
    for (const auto& xcom : services.queries.xcoms_of(run)) {
        if (xcom.name != "return_value") continue;
        if (std::ranges::find(tasks, xcom.task_id) == tasks.end()) continue;
        results[xcom.task_id] = stored_json(resolved(services.instance, xcom.value));
    }
    return results;
}

Reply wait_dag_run(Services& services, const Request& request, const Caller&) {
    const auto row = find_run(services, request.param("dag_id"), request.param("dag_run_id"));
    const std::string interval_text = request.query_value("interval").value_or("");
    char* end = nullptr;
    const double interval = std::strtod(interval_text.c_str(), &end);
    if (interval_text.empty() || *end != '\0' || !(interval > 0)) {
        Problems problems;
        problems.add(
            interval_text.empty() ? "missing" : "greater_than",
            Json::array({"query", "interval"}),
            interval_text.empty() ? "Field required" : "Input should be greater than 0",
            interval_text.empty() ? Json() : Json(interval_text)
        );
        problems.check();
    }
    Reply answer;
    answer.stream = std::make_shared<http::Stream>();
    answer.content_type = "application/x-ndjson";
    const auto tasks = request.query_values("result");
    services.live.watch_run(
        row.run.key,
        std::chrono::milliseconds(static_cast<std::int64_t>(std::min(interval, 3'600.0) * 1'000)),
        answer.stream,
        [&services, key = row.run.key, tasks](RunState state) {
            Json line;
            line["state"] = name(state);
            if (is_finished(state) && !tasks.empty())
                line["results"] = results_of(services, key, tasks);
            return dump(line) + "\n";
        }
    );
    return answer;
}

}  // namespace

Rows run_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/api/v2/dags/{dag_id}/dagRuns", "get_dag_runs", in, get_dag_runs},
        {"POST", "/api/v2/dags/{dag_id}/dagRuns", "trigger_dag_run", in, trigger},
        {"POST", "/api/v2/dags/{dag_id}/dagRuns/list", "get_list_dag_runs_batch", in, list_dag_runs
        },
        {"GET", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "get_dag_run", in, get_dag_run},
        {"PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}", "patch_dag_run", in, patch_dag_run},
        {"DELETE",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}",
         "delete_dag_run",
         in,
         delete_dag_run},
        {"POST",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear",
         "clear_dag_run",
         in,
         clear_dag_run},
        {"GET",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait",
         "wait_dag_run_until_finished",
         in,
         wait_dag_run},
    };
}

}  // namespace sluice::api
