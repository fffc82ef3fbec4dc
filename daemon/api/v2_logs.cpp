// /api/v2 .../logs/{try_number}: JSON with a continuation token, or JSON lines.
#include <filesystem>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/log_view.hpp"
#include "api/v2.hpp"
#include "base/check.hpp"
#include "http/forward.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

constexpr std::size_t page_lines = 20'000;

/// Where the next page begins; handed to the caller as an opaque word.
struct Place {
    std::uint64_t line{0};
    std::uint64_t offset{0};
};

std::string to_token(const Place& place) {
    return base64url(std::to_string(place.line) + ":" + std::to_string(place.offset));
}

Place read_token_place(const std::string& token) {
    const auto text = base64url_decode(token);
    Place place;
    char* end = nullptr;
    if (text) {
        place.line = std::strtoull(text->c_str(), &end, 10);
        if (*end == ':') place.offset = std::strtoull(end + 1, &end, 10);
    }
    if (!text || *end != '\0')
        throw failure(400, "Bad Signature. Please use only the tokens provided by the API.");
    return place;
}

/// Lines that carry no time of their own, before the first line of the log.
std::vector<std::string> head_lines(const AttemptLog& log, const std::string& root) {
    std::string shown = log.path;
    if (shown.starts_with(root)) shown = "logs" + shown.substr(root.size());
    return {"::group::Log message source details", shown, "::endgroup::"};
}

/// An attempt that wrote no line: its moves are told instead.
void add_moves(Services& services, const AttemptLog& log, std::vector<Json>& lines) {
    for (const auto& row : services.queries.transitions_of(log.found.run.run.key)) {
        const Transition& move = row.transition;
        if (move.task != log.found.no || move.try_number != log.try_number) continue;
        const MapIndex map = log.found.instance.key.map_index;
        if (map < move.map_lo || map > move.map_hi) continue;
        Json line;
        line["timestamp"] = format_z(move.at);
        line["event"] = "task instance is " + std::string(name(static_cast<TaskState>(move.to))) +
                        (move.cause.empty() ? "" : " (" + move.cause + ")");
        line["level"] = "info";
        line["logger"] = "sluice";
        lines.push_back(std::move(line));
    }
}

Json structured_line(const executor::LogLine& line) {
    Json json;
    json["timestamp"] = format_z(line.at);
    json["event"] = line.event;
    json["level"] = level_name(line.level);
    json["logger"] = line.source;
    return json;
}

Reply get_log(Services& services, const Request& request, const Caller&) {
    const std::string_view accept = request.header("accept");
    const bool lines_wanted = accept.find("application/x-ndjson") != std::string_view::npos;
    if (!accept.empty() && !lines_wanted &&
        accept.find("application/json") == std::string_view::npos &&
        accept.find("*/*") == std::string_view::npos)
        throw failure(406, "Only application/json or application/x-ndjson is supported");
    Query query(request);
    const auto map = query.integer("map_index").value_or(unmapped);
    const bool full = query.boolean("full_content").value_or(false);
    const auto token = query.text("token");
    query.done();
    char* end = nullptr;
    const std::string& try_text = request.param("try_number");
    const auto number = std::strtoll(try_text.c_str(), &end, 10);
    if (*end != '\0' || number < 0) throw not_found("TaskInstance not found");
    const AttemptLog log = find_log(
        services,
        request,
        request.param("dag_id"),
        request.param("dag_run_id"),
        request.param("task_id"),
        static_cast<MapIndex>(map),
        number
    );
    const Place place = token ? read_token_place(*token) : Place{};
    const executor::LogReader reader(log.path);
    std::vector<Json> lines;
    if (place.line == 0)
        for (const std::string& text : head_lines(log, services.instance.logs)) {
            Json line;
            if (lines_wanted) line["timestamp"] = nullptr;
            line["event"] = text;
            lines.push_back(std::move(line));
        }
    auto page = reader.follow(place.line, place.offset, full ? SIZE_MAX : page_lines);
    for (const auto& line : page.lines) lines.push_back(structured_line(line));
    if (place.line == 0 && page.lines.empty()) {
        if (!log.elsewhere.empty()) {
            Json line;
            line["event"] = log.elsewhere;
            line["level"] = "warning";
            lines.push_back(std::move(line));
        }
        add_moves(services, log, lines);
    }
    const std::string next = to_token({page.next_line, page.next_offset});
    if (!lines_wanted) {
        Json json;
        json["content"] = lines;
        json["continuation_token"] = log.complete && page.at_end ? Json(nullptr) : Json(next);
        return reply(200, json);
    }
    Reply answer;
    answer.content_type = "application/x-ndjson";
    for (const Json& line : lines) answer.body += dump(line) + "\n";
    answer.set_header("Airflow-Continuation-Token", next);
    return answer;
}

}  // namespace

namespace {

/// The file is not here: another node may have it.
void look_elsewhere(Services& services, const Request& request, AttemptLog& log) {
    std::error_code ignored;
    if (std::filesystem::exists(log.path, ignored)) return;
    const auto node = services.queries.node_of_attempt(log.found.instance.key, log.try_number);
    if (!node || node->id == services.instance.node_id) return;
    const bool tried = !request.header(http::Forwarder::mark).empty();
    if (!tried && !node->address.empty()) throw LogElsewhere{node->address};
    log.elsewhere = "The log of this attempt is on node " + node->id +
                    (node->address.empty() ? ", which is not there at the moment"
                                           : " (" + node->address + "), which does not answer");
}

}  // namespace

AttemptLog find_log(
    Services& services,
    const Request& request,
    const std::string& dag_id,
    const std::string& run_id,
    const std::string& task_id,
    MapIndex map_index,
    std::int64_t try_number
) {
    AttemptLog log;
    try {
        log.found = find_instance(services, dag_id, run_id, task_id, map_index);
    } catch (const Failure& missing) {
        if (missing.status() == 404) throw not_found("TaskInstance not found");
        throw;
    }
    const TaskInstance& live = log.found.instance;
    if (try_number < 1 || try_number > live.try_number) throw not_found("TaskInstance not found");
    log.try_number = static_cast<int>(try_number);
    log.path = executor::log_path(
        services.instance.logs, dag_id, run_id, task_id, map_index, log.try_number
    );
    log.complete = try_number < live.try_number || !holds_slots(live.state);
    look_elsewhere(services, request, log);
    return log;
}

char level_letter(task::Level level) {
    switch (level) {
        case task::Level::debug:
            return 'D';
        case task::Level::info:
            return 'I';
        case task::Level::warning:
            return 'W';
        case task::Level::error:
            return 'E';
    }
    unreachable();
}

std::string_view level_name(task::Level level) {
    switch (level) {
        case task::Level::debug:
            return "debug";
        case task::Level::info:
            return "info";
        case task::Level::warning:
            return "warning";
        case task::Level::error:
            return "error";
    }
    unreachable();
}

std::optional<task::Level> level_of_letter(std::string_view letter) {
    if (letter == "D") return task::Level::debug;
    if (letter == "I") return task::Level::info;
    if (letter == "W") return task::Level::warning;
    if (letter == "E") return task::Level::error;
    return std::nullopt;
}

Rows log_endpoints() {
    return {
        {"GET",
         "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}",
         "get_log",
         http::Access::signed_in,
         get_log},
    };
}

}  // namespace sluice::api
