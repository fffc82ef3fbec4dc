// /ui/v1 runs, their task instances, and backfills.
#include <algorithm>
#include <cstdlib>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/mapped.hpp"
#include "api/ui.hpp"
#include "base/artefacts.hpp"
#include "base/limits.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

constexpr std::size_t shown_error = 200;

std::vector<std::string> words(const std::optional<std::string>& text) {
    std::vector<std::string> list;
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
        const auto end = std::min(rest.find(','), rest.size());
        if (end > 0) list.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return list;
}

/// Cuts UTF-8 text without leaving half a character.
std::string cut(const std::string& text, std::size_t bytes) {
    if (text.size() <= bytes) return text;
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
    return text.substr(0, bytes);
}

/// A stored value as a page shows it: of one in an artefact what it is, the API has it whole.
Json shown_value(const std::string& value) {
    const auto ref = reference_of(value);
    if (!ref) return stored_json(value);
    std::string text = ref->type;
    if (ref->type == "list") text += " of " + std::to_string(ref->items) + " items";
    return text + ", " + std::to_string(ref->bytes) + " bytes: too long to show, the API has it";
}

Json shown_fields(const std::string& fields) {
    Json json = stored_json(fields);
    if (references_in(fields).empty()) return json;
    for (auto& [name, value] : json.items()) value = shown_value(value.dump());
    return json;
}

Reply get_runs(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    store::RunFilter filter;
    if (const auto dag = request.query_value("dag"); dag && !dag->empty()) filter.dag_ids = {*dag};
    for (const std::string& word : words(request.query_value("state"))) {
        const auto state = run_state_of(word);
        if (!state) throw failure(422, "not a run state: " + word);
        filter.states.push_back(*state);
    }
    for (const std::string& word : words(request.query_value("type"))) {
        const auto type = run_type_of(word);
        if (!type) throw failure(422, "not a run type: " + word);
        filter.types.push_back(*type);
    }
    filter.page.limit = std::clamp<std::int64_t>(
        std::atoi(request.query_value("limit").value_or("50").c_str()),
        1,
        static_cast<std::int64_t>(limits::page_rows)
    );
    filter.page.offset =
        std::max(0, std::atoi(request.query_value("cursor").value_or("0").c_str()));
    filter.order = {{store::RunOrder::run_after, true}, {store::RunOrder::run_key, true}};
    const auto page = services.queries.runs(filter);
    const auto next = filter.page.offset + filter.page.limit;
    json["total"] = page.total;
    json["next"] = next < page.total ? Json(std::to_string(next)) : Json();
    json["runs"] = Json::array();
    for (const auto& row : page.rows) json["runs"].push_back(ui_run(services, row));
    return reply(200, json);
}

/// The run before (or after) this one in the order of run_after.
Json neighbour(Services& services, const DagRun& run, bool before) {
    store::RunFilter filter;
    filter.dag_ids = {run.dag_id};
    filter.page.limit = 50;
    (before ? filter.run_after.lte : filter.run_after.gte) = run.run_after;
    filter.order = {{store::RunOrder::run_after, before}, {store::RunOrder::run_key, before}};
    bool passed = false;
    for (const auto& row : services.queries.runs(filter).rows) {
        if (passed) return row.run.run_id;
        const bool beyond =
            before ? row.run.run_after < run.run_after : row.run.run_after > run.run_after;
        if (beyond) return row.run.run_id;
        passed = row.run.key == run.key;
    }
    return nullptr;
}

Reply get_run(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    const DagRun& run = row.run;
    json.update(ui_run(services, row));
    json["di"] = run.data_interval
                     ? Json{to_millis(run.data_interval->start), to_millis(run.data_interval->end)}
                     : Json();
    json["by"] = name(run.triggered_by);
    json["user"] = run.triggering_user;
    json["reason"] = run.reason;
    json["note_text"] = run.note;
    json["conf"] = shown_value(run.conf);
    json["clear"] = run.clear_number;
    json["prev"] = neighbour(services, run, true);
    json["nextrun"] = neighbour(services, run, false);
    json["p50"] = median_duration(services.queries.latest_runs({run.dag_id}, 20)[run.dag_id]);
    const DagPtr dag = dag_of(services, row);
    std::map<std::string, std::int64_t> counts;
    const MappedRun mapped(services, run, *dag);
    std::int64_t total = 0;
    const auto count = [&](TaskState state, std::int64_t more) {
        counts[one_letter(letter(state))] += more;
        total += more;
    };
    for (const auto& [task, states] : mapped.counts())
        for (const auto& [state, number] : states) count(state, number);
    std::vector<TaskNo> others;
    for (TaskNo no = 0; no < static_cast<TaskNo>(dag->tasks.size()); ++no)
        if (mapped.length(no) == 0) others.push_back(no);
    for (const auto& instance : mapped.unmapped_of(others)) count(instance.state, 1);
    json["counts"] = counts.empty() ? Json::object() : Json(counts);
    json["total"] = total;
    return reply(200, json);
}

Json past_attempt(const AttemptRecord& attempt) {
    return {
        attempt.try_number,
        attempt.lost ? "l" : one_letter(letter(attempt.state)),
        millis_or_null(attempt.scheduled_at),
        millis_or_null(attempt.queued_at),
        millis_or_null(attempt.start_date),
        millis_or_null(attempt.end_date),
        cut(attempt.error, shown_error),
    };
}

Json ui_instance(
    const TaskInstance& instance,
    const Task& task,
    const std::vector<store::AttemptRow>& attempts,
    std::size_t error_bytes
) {
    Json json;
    json["t"] = task.id;
    json["m"] = instance.key.map_index;
    json["st"] = one_letter(letter(instance.state));
    json["op"] = task.operator_name;
    json["try"] = instance.try_number;
    json["max"] = instance.max_tries + 1;
    json["sch"] = millis_or_null(instance.scheduled_at);
    json["q"] = millis_or_null(instance.queued_at);
    json["s"] = millis_or_null(instance.start_date);
    json["e"] = millis_or_null(instance.end_date);
    json["nx"] = millis_or_null(
        instance.state == TaskState::up_for_retry ? instance.next_try_at : std::nullopt
    );
    json["pool"] = task.pool;
    json["err"] = cut(instance.error, error_bytes);
    json["cls"] = instance.error_class == ErrorClass::none
                      ? std::string()
                      : std::string(name(instance.error_class));
    json["note"] = instance.note;
    json["past"] = Json::array();
    for (const auto& row : attempts)
        if (row.attempt.key == instance.key) json["past"].push_back(past_attempt(row.attempt));
    return json;
}

Reply get_gantt(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto row = find_run(services, request.param("dag_id"), request.param("run_id"));
    const DagPtr dag = dag_of(services, row);
    const std::string letters = request.query_value("state").value_or("");
    const std::string text = request.query_value("q").value_or("");
    const auto limit = static_cast<std::size_t>(
        std::clamp(std::atoi(request.query_value("limit").value_or("2000").c_str()), 1, 5'000)
    );
    const auto from = static_cast<std::size_t>(
        std::max(0, std::atoi(request.query_value("cursor").value_or("0").c_str()))
    );
    std::vector<TaskNo> tasks;
    for (TaskNo no = 0; no < static_cast<TaskNo>(dag->tasks.size()); ++no)
        if (text.empty() || matches_pattern(dag->tasks[static_cast<std::size_t>(no)].id, text))
            tasks.push_back(no);
    const MappedRun mapped(services, row.run, *dag);
    auto total = static_cast<std::size_t>(mapped.total(tasks));
    std::vector<TaskInstance> page;
    if (letters.empty()) {
        page =
            mapped.page(tasks, static_cast<std::int64_t>(from), static_cast<std::int64_t>(limit));
    } else {
        auto all = mapped.page(tasks, 0, static_cast<std::int64_t>(total));
        std::erase_if(all, [&](const TaskInstance& instance) {
            return letters.find(letter(instance.state)) == std::string::npos;
        });
        total = all.size();
        for (std::size_t i = from; i < std::min(from + limit, total); ++i)
            page.push_back(std::move(all[i]));
    }
    std::map<TaskKey, std::vector<store::AttemptRow>> attempts;
    for (auto& attempt : services.queries.attempts_of(row.run.key))
        attempts[attempt.attempt.key].push_back(std::move(attempt));
    json["total"] = total;
    json["next"] = from + limit < total ? Json(std::to_string(from + limit)) : Json();
    json["tis"] = Json::array();
    for (const auto& instance : page)
        json["tis"].push_back(ui_instance(
            instance,
            dag->tasks[static_cast<std::size_t>(instance.key.task)],
            attempts[instance.key],
            shown_error
        ));
    return reply(200, json);
}

/// The states of the tasks next to this one: [task id, letter].
Json neighbours(
    const Dag& dag, const std::vector<TaskNo>& tasks, const std::vector<TaskInstance>& all
) {
    Json list = Json::array();
    for (const TaskNo no : tasks) {
        char state = 'n';
        for (const TaskInstance& instance : all)
            if (instance.key.task == no) state = letter(instance.state);
        list.push_back({dag.tasks[static_cast<std::size_t>(no)].id, one_letter(state)});
    }
    return list;
}

/// Why an instance does not run yet; null when nothing is known or it is over.
Json why(
    Services& services, const Found& found, const std::vector<TaskInstance>& all, bool dag_paused
) {
    const TaskInstance& instance = found.instance;
    if (is_finished(instance.state) || instance.state == TaskState::running) return nullptr;
    if (instance.state == TaskState::up_for_retry && instance.next_try_at)
        return "waits for its retry, not before " + format_z(*instance.next_try_at);
    if (found.run.run.state == RunState::queued)
        return dag_paused ? "its run is queued: the DAG is paused" : "its run is queued";
    if (instance.state == TaskState::none) {
        std::string waiting;
        for (const TaskNo no : found.task().upstream)
            for (const TaskInstance& other : all)
                if (other.key.task == no && !is_finished(other.state))
                    waiting += (waiting.empty() ? "" : ", ") +
                               found.dag->tasks[static_cast<std::size_t>(no)].id;
        if (!waiting.empty()) return "waits for " + waiting;
    }
    std::string text;
    services.runtime.query([&](const core::Scheduler& scheduler) {
        for (const auto& use : scheduler.pool_use()) {
            if (use.pool.name != found.task().pool || use.pool.slots < 0) continue;
            const auto taken = use.running + use.queued;
            if (taken + found.task().pool_slots > use.pool.slots)
                text = "pool " + use.pool.name + " full " + std::to_string(taken) + "/" +
                       std::to_string(use.pool.slots);
        }
    });
    return text.empty() ? Json() : Json(text);
}

Reply get_instance(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const auto map =
        static_cast<MapIndex>(std::atoi(request.query_value("map").value_or("-1").c_str()));
    const Found found = find_instance(
        services, request.param("dag_id"), request.param("run_id"), request.param("task_id"), map
    );
    const auto all = MappedRun(services, found.run.run, *found.dag).one_each();
    const auto listed = services.runtime.registry().find(found.run.run.dag_id);
    json["ti"] = ui_instance(
        found.instance,
        found.task(),
        services.queries.attempts(found.instance.key),
        limits::error_text_bytes
    );
    json["run"] = ui_run(services, found.run);
    json["up"] = neighbours(*found.dag, found.task().upstream, all);
    json["down"] = neighbours(*found.dag, found.task().downstream, all);
    json["why"] = why(services, found, all, listed && listed->state.is_paused);
    const auto rendered = services.queries.rendered(found.instance.key);
    json["rendered"] = rendered ? shown_fields(*rendered) : Json();
    json["xcom"] = Json::array();
    for (const auto& xcom : services.queries.xcoms(found.instance.key))
        json["xcom"].push_back({xcom.name, shown_value(xcom.value)});
    json["mapped"] = nullptr;
    return reply(200, json);
}

Json backfill_json(const store::BackfillRow& row) {
    const Backfill& backfill = row.backfill;
    Json json;
    json["id"] = backfill.id.value;
    json["dag"] = backfill.dag_id;
    json["from"] = to_millis(backfill.from_date);
    json["to"] = to_millis(backfill.to_date);
    json["reprocess"] = name(backfill.reprocess);
    json["max"] = backfill.max_active_runs;
    json["backwards"] = backfill.run_backwards;
    json["paused"] = backfill.is_paused;
    json["created"] = to_millis(backfill.created_at);
    json["completed"] = millis_or_null(backfill.completed_at);
    json["by"] = backfill.created_by;
    json["total"] = row.runs + row.skipped + row.taken_over;
    json["taken_over"] = row.taken_over;
    json["counts"] = Json::object();
    for (const auto& [state, count] : row.by_state)
        if (count > 0) json["counts"][one_letter(letter(state))] = count;
    if (row.skipped > 0) json["counts"]["k"] = row.skipped;
    return json;
}

Reply get_backfills_page(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    std::vector<std::string> dags;
    if (const auto dag = request.query_value("dag"); dag && !dag->empty()) {
        dags.push_back(*dag);
    } else {
        for (const auto& listed : services.runtime.registry().all())
            dags.push_back(listed.dag->dag_id);
    }
    std::vector<store::BackfillRow> rows;
    for (const std::string& dag : dags) {
        auto page = services.queries.backfills(
            dag, {.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0}
        );
        for (auto& row : page.rows) rows.push_back(std::move(row));
    }
    std::ranges::sort(rows, [](const auto& a, const auto& b) {
        return a.backfill.id > b.backfill.id;
    });
    json["backfills"] = Json::array();
    for (const auto& row : rows) json["backfills"].push_back(backfill_json(row));
    return reply(200, json);
}

Reply get_backfill_page(Services& services, const Request& request, const Caller&) {
    Json json = head(services);
    const BackfillId id{std::atoll(request.param("backfill_id").c_str())};
    const auto row = services.queries.backfill(id);
    if (!row) throw not_found("Backfill not found");
    json.update(backfill_json(*row));
    json["slots"] = Json::array();
    // The runs of the backfill by key, so that each slot shows its run's state.
    std::map<RunKey, DagRun> runs;
    store::RunFilter filter;
    filter.backfill = id;
    filter.page.limit = static_cast<std::int64_t>(limits::page_rows);
    while (true) {
        auto page = services.queries.runs(filter);
        for (auto& run : page.rows) runs[run.run.key] = std::move(run.run);
        filter.page.offset += filter.page.limit;
        if (filter.page.offset >= page.total) break;
    }
    for (const auto& date : services.queries.backfill_dates(id)) {
        Json run_id;
        std::string state = "k";
        if (date.run) {
            auto found = runs.find(*date.run);
            if (found == runs.end()) {
                // An existing run that was cleared keeps its own backfill id, or none.
                if (const auto other = services.queries.run(*date.run))
                    found = runs.emplace(*date.run, other->run).first;
            }
            if (found != runs.end()) {
                run_id = found->second.run_id;
                if (date.action != "skip") state = one_letter(letter(found->second.state));
            }
        }
        json["slots"].push_back({to_millis(date.logical_date), run_id, state, date.reason});
    }
    return reply(200, json);
}

}  // namespace

Rows ui_run_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/runs", "", in, get_runs},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}", "", in, get_run},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/gantt", "", in, get_gantt},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}", "", in, get_instance},
        {"GET", "/ui/v1/backfills", "", in, get_backfills_page},
        {"GET", "/ui/v1/backfills/{backfill_id}", "", in, get_backfill_page},
    };
}

}  // namespace sluice::api
