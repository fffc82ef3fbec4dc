// /ui/v1 .../log/meta, lines, search, raw.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <sys/stat.h>

#include "api/failure.hpp"
#include "api/log_view.hpp"
#include "api/ui.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

constexpr std::size_t block = 4'096;
constexpr auto search_time = std::chrono::seconds(2);
constexpr std::int64_t raw_limit = std::int64_t{256} << 20;

AttemptLog log_from(Services& services, const Request& request) {
    const auto text = request.query_value("try").value_or("1");
    const auto map = std::atoi(request.query_value("map").value_or("-1").c_str());
    return find_log(
        services,
        request,
        request.param("dag_id"),
        request.param("run_id"),
        request.param("task_id"),
        static_cast<MapIndex>(map),
        std::atoll(text.c_str())
    );
}

task::Level level_from(const Request& request) {
    const auto text = request.query_value("level");
    if (!text || text->empty()) return task::Level::debug;
    const auto level = level_of_letter(*text);
    if (!level) throw failure(422, "level is one of D I W E");
    return *level;
}

/// Calls `visit(line)` for every line of the level until it says stop.
template <class Visit>
void for_lines(const executor::LogReader& reader, task::Level level, Visit visit) {
    std::uint64_t line = 0;
    std::uint64_t offset = 0;
    while (true) {
        const auto page = reader.follow(line, offset, block, level);
        for (const auto& item : page.lines)
            if (!visit(item)) return;
        if (page.at_end || (page.next_line == line && page.next_offset == offset)) return;
        line = page.next_line;
        offset = page.next_offset;
    }
}

Json line_json(const executor::LogLine& line) {
    return {line.number, to_millis(line.at), one_letter(level_letter(line.level)), line.event};
}

std::int64_t bytes_of(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_size) : 0;
}

Reply get_meta(Services& services, const Request& request, const Caller&) {
    const AttemptLog log = log_from(services, request);
    const executor::LogReader reader(log.path);
    std::map<char, std::int64_t> levels{{'D', 0}, {'I', 0}, {'W', 0}, {'E', 0}};
    Json first_error;
    std::int64_t lines = 0;
    for_lines(reader, task::Level::debug, [&](const executor::LogLine& line) {
        ++lines;
        ++levels[level_letter(line.level)];
        if (line.level == task::Level::error && first_error.is_null()) first_error = line.number;
        return true;
    });
    Json json;
    json["lines"] = lines;
    json["bytes"] = bytes_of(log.path);
    json["complete"] = log.complete;
    json["first_error"] = first_error;
    for (const char level : {'D', 'I', 'W', 'E'}) json["levels"][one_letter(level)] = levels[level];
    return reply(200, json);
}

Reply get_lines(Services& services, const Request& request, const Caller&) {
    const AttemptLog log = log_from(services, request);
    const task::Level level = level_from(request);
    const auto n = static_cast<std::size_t>(
        std::clamp(std::atoi(request.query_value("n").value_or("512").c_str()), 1, 4'096)
    );
    std::int64_t from = std::atoll(request.query_value("from").value_or("0").c_str());
    const executor::LogReader reader(log.path);
    Json json;
    Json list = Json::array();
    std::int64_t total = 0;
    if (level == task::Level::debug) {
        total = static_cast<std::int64_t>(reader.count());
        if (from < 0) from = std::max<std::int64_t>(0, total + from);
        for (const auto& line : reader.from_line(static_cast<std::uint64_t>(from), n).lines)
            list.push_back(line_json(line));
    } else {
        // Numbers of matching lines: the file is read through.
        std::vector<executor::LogLine> matching;
        for_lines(reader, level, [&](const executor::LogLine& line) {
            matching.push_back(line);
            return true;
        });
        total = static_cast<std::int64_t>(matching.size());
        if (from < 0) from = std::max<std::int64_t>(0, total + from);
        for (std::size_t i = static_cast<std::size_t>(from);
             i < std::min(static_cast<std::size_t>(from) + n, matching.size());
             ++i)
            list.push_back(line_json(matching[i]));
    }
    json["from"] = from;
    json["total"] = total;
    json["complete"] = log.complete;
    json["lines"] = std::move(list);
    return reply(200, json);
}

bool contains_ignoring_case(std::string_view text, std::string_view lower) {
    const auto found =
        std::search(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
            return std::tolower(static_cast<unsigned char>(a)) == static_cast<unsigned char>(b);
        });
    return found != text.end();
}

Reply search(Services& services, const Request& request, const Caller&) {
    const AttemptLog log = log_from(services, request);
    const task::Level level = level_from(request);
    std::string text = request.query_value("q").value_or("");
    if (text.empty()) throw failure(422, "q is missing: the text to look for");
    std::ranges::transform(text, text.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    const auto limit = static_cast<std::size_t>(
        std::clamp(std::atoi(request.query_value("limit").value_or("2000").c_str()), 1, 10'000)
    );
    const auto end = std::chrono::steady_clock::now() + search_time;
    Json json;
    Json numbers = Json::array();
    std::int64_t total = 0;
    bool partial = false;
    for_lines(executor::LogReader(log.path), level, [&](const executor::LogLine& line) {
        if (line.number % 1'024 == 0 && std::chrono::steady_clock::now() > end) {
            partial = true;
            return false;
        }
        if (!contains_ignoring_case(line.event, text)) return true;
        ++total;
        if (numbers.size() < limit) numbers.push_back(line.number);
        return true;
    });
    json["total"] = total;
    json["lines"] = std::move(numbers);
    json["partial"] = partial;
    return reply(200, json);
}

/// Nothing that could end the quoted file name or the header.
std::string file_name(std::string text) {
    for (char& c : text)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-' && c != '_' &&
            c != '+')
            c = '_';
    return text;
}

Reply get_raw(Services& services, const Request& request, const Caller&) {
    const AttemptLog log = log_from(services, request);
    if (bytes_of(log.path) > raw_limit)
        throw failure(413, "The log is larger than 256 MiB: read it from the file");
    std::string text;
    for_lines(executor::LogReader(log.path), task::Level::debug, [&](const auto& line) {
        text +=
            format_z(line.at) + " " + std::string(level_name(line.level)) + " " + line.event + "\n";
        return true;
    });
    Reply answer = http::text_reply(200, std::move(text));
    answer.set_header(
        "Content-Disposition",
        "attachment; filename=\"" +
            file_name(
                log.found.run.run.dag_id + "." + log.found.run.run.run_id + "." +
                log.found.task().id + "." + std::to_string(log.try_number)
            ) +
            ".log\""
    );
    return answer;
}

}  // namespace

Rows ui_log_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/log/meta", "", in, get_meta},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/log/lines", "", in, get_lines},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/log/search", "", in, search},
        {"GET", "/ui/v1/dags/{dag_id}/runs/{run_id}/tis/{task_id}/log/raw", "", in, get_raw},
    };
}

}  // namespace sluice::api
