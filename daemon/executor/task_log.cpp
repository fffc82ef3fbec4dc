#include "executor/task_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.hpp"
#include "base/limits.hpp"
#include "task/job.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;
using task::Level;

std::string component(std::string_view key, std::string_view value) {
    std::string out = std::string(key) + '=';
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '/' || c == '%' || byte < 0x20 || byte == 0x7F) {
            out += '%' + to_hex({&c, 1});
        } else {
            out += c;
        }
    }
    if (out.size() <= limits::path_component_bytes) return out;
    const std::string hash = sha256_hex(value).substr(0, 16);
    std::size_t keep = limits::path_component_bytes - 17;
    // Not in the middle of a character.
    while (keep > 0 && (static_cast<unsigned char>(out[keep]) & 0xC0U) == 0x80U) --keep;
    return out.substr(0, keep) + '~' + hash;
}

std::string json_string(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::array<char, 8> little_endian(std::uint64_t value) {
    std::array<char, 8> bytes{};
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>((value >> (8 * i)) & 0xFFU);
    return bytes;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

std::string log_path(
    const std::string& root,
    std::string_view dag_id,
    std::string_view run_id,
    std::string_view task_id,
    int map_index,
    int try_number
) {
    std::string path = root + '/' + component("dag_id", dag_id) + '/' +
                       component("run_id", run_id) + '/' + component("task_id", task_id) + '/';
    if (map_index >= 0) path += "map_index=" + std::to_string(map_index) + '/';
    return path + "attempt=" + std::to_string(try_number) + ".log";
}

TaskLog::TaskLog(std::string path, const Redactor& redactor)
    : path_(std::move(path)), redactor_(redactor) {}

void TaskLog::append(Level level, std::string_view event, std::string_view source) {
    append(level, std::vector<std::string>{std::string(event)}, source);
}

void TaskLog::append(Level level, const std::vector<std::string>& events, std::string_view source) {
    if (events.empty()) return;
    const std::string middle = "\",\"level\":\"" + std::string(name(level)) + "\",\"event\":";
    const std::string end = ",\"source\":" + json_string(source) + "}\n";
    const std::lock_guard lock(mutex_);
    const Instant now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    const std::string begin = "{\"timestamp\":\"" + format_z(now) + middle;
    std::string text;
    std::vector<std::size_t> starts;
    for (const std::string& event : events) {
        starts.push_back(text.size());
        std::string clean = redactor_.redact(event);
        if (clean.size() > limits::log_line_bytes + 128) {
            const std::size_t cut = clean.size() - limits::log_line_bytes;
            clean.resize(limits::log_line_bytes);
            clean += " ... [" + std::to_string(cut) + " bytes cut: log_line_bytes is " +
                     std::to_string(limits::log_line_bytes) + ']';
        }
        text += begin + json_string(clean) + end;
    }
    write(text, starts);
}

void TaskLog::open() {
    if (file_ || broken_) return;
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), failed);
    const LogReader before(path_);
    if (before.exists()) {
        // The same attempt once more (its daemon was killed): go on behind what is there.
        lines_ = before.count();
        bytes_ = std::filesystem::file_size(path_, failed);
    }
    file_ = task::Fd{::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640)};
    if (!file_) {
        broken_ = true;
        spdlog::error("cannot write the task log {}: {}", path_, std::strerror(errno));
    }
}

void TaskLog::write(const std::string& text, const std::vector<std::size_t>& starts) {
    open();
    if (!file_) return;
    if (!write_all(file_.get(), text)) {
        broken_ = true;
        spdlog::error("cannot write the task log {}: {}", path_, std::strerror(errno));
        file_.reset();
        return;
    }
    std::string entries;
    for (const std::size_t start : starts) {
        if (lines_ != 0 && lines_ % lines_per_index_entry == 0) {
            const auto entry = little_endian(bytes_ + start);
            entries.append(entry.data(), entry.size());
        }
        ++lines_;
    }
    bytes_ += text.size();
    if (entries.empty()) return;
    if (!index_) {
        const std::string path = path_ + ".idx";
        index_ = task::Fd{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640)};
    }
    if (index_) write_all(index_.get(), entries);
}

void TaskLog::close() {
    const std::lock_guard lock(mutex_);
    file_.reset();
    index_.reset();
}

std::uint64_t TaskLog::lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
}

std::optional<Level> level_of(std::string_view text) {
    for (const Level level : {Level::debug, Level::info, Level::warning, Level::error})
        if (name(level) == text) return level;
    return std::nullopt;
}

namespace {

LogLine parse_line(const std::string& text, std::uint64_t number) {
    LogLine line;
    line.number = number;
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) {
        // Not written by us: shown as it is.
        line.event = text;
        return line;
    }
    if (const auto at = parse_time(json.value("timestamp", ""))) line.at = at->at;
    line.level = level_of(json.value("level", "")).value_or(Level::info);
    line.event = json.value("event", "");
    line.source = json.value("source", "");
    return line;
}

/// A cheap look at the level, before a line is parsed.
bool may_pass(const std::string& text, Level at_least) {
    if (at_least == Level::debug) return true;
    const std::size_t at = text.find("\"level\":\"");
    if (at == std::string::npos) return true;
    const std::size_t begin = at + 9;
    const auto level = level_of(text.substr(begin, text.find('"', begin) - begin));
    return !level || *level >= at_least;
}

}  // namespace

bool LogReader::exists() const { return ::access(path_.c_str(), R_OK) == 0; }

LogReader::Anchor LogReader::anchor_before(std::uint64_t line) const {
    const std::uint64_t wanted = line / lines_per_index_entry;
    if (wanted == 0) return {0, 0};
    std::ifstream file(path_ + ".idx", std::ios::binary | std::ios::ate);
    if (!file) return {0, 0};
    const std::uint64_t entries = static_cast<std::uint64_t>(file.tellg()) / 8;
    const std::uint64_t entry = std::min(wanted, entries);
    if (entry == 0) return {0, 0};
    std::array<char, 8> bytes{};
    file.seekg(static_cast<std::streamoff>((entry - 1) * 8));
    file.read(bytes.data(), bytes.size());
    std::uint64_t offset = 0;
    for (std::size_t i = 8; i-- > 0;) offset = offset << 8U | static_cast<unsigned char>(bytes[i]);
    return {entry * lines_per_index_entry, offset};
}

std::uint64_t LogReader::count() const {
    const Anchor anchor = anchor_before(UINT64_MAX);
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(anchor.offset));
    std::uint64_t lines = anchor.line;
    std::array<char, 64 * 1'024> buffer;
    while (file) {
        file.read(buffer.data(), buffer.size());
        lines += static_cast<std::uint64_t>(
            std::count(buffer.data(), buffer.data() + file.gcount(), '\n')
        );
    }
    return lines;
}

LogPage LogReader::from_line(std::uint64_t first, std::size_t limit, Level at_least) const {
    const Anchor anchor = anchor_before(first);
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(anchor.offset));
    std::uint64_t offset = anchor.offset;
    std::uint64_t line = anchor.line;
    for (std::string text; line < first && std::getline(file, text); ++line) {
        if (file.eof()) break;
        offset += text.size() + 1;
    }
    if (line < first) {
        LogPage page;
        page.next_line = line;
        page.next_offset = offset;
        page.at_end = true;
        return page;
    }
    return follow(line, offset, limit, at_least);
}

LogPage LogReader::follow(
    std::uint64_t line, std::uint64_t offset, std::size_t limit, Level at_least
) const {
    LogPage page;
    page.next_line = line;
    page.next_offset = offset;
    std::ifstream file(path_, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    for (std::string text; page.lines.size() < limit && std::getline(file, text);) {
        if (file.eof()) break;  // no newline yet: being written
        if (may_pass(text, at_least)) page.lines.push_back(parse_line(text, page.next_line));
        ++page.next_line;
        page.next_offset += text.size() + 1;
    }
    page.at_end = !file || file.peek() == std::ifstream::traits_type::eof();
    return page;
}

LogPage LogReader::tail(std::size_t limit, Level at_least) const {
    const std::uint64_t total = count();
    if (at_least == Level::debug)
        return from_line(total > limit ? total - limit : 0, limit, at_least);
    // Backwards in blocks of the index, until enough lines of the level are found.
    LogPage result;
    std::deque<LogLine> found;
    std::uint64_t end = total;
    while (end > 0 && found.size() < limit) {
        const std::uint64_t begin = (end - 1) / lines_per_index_entry * lines_per_index_entry;
        LogPage page = from_line(begin, end - begin, at_least);
        while (!page.lines.empty() && page.lines.back().number >= end) page.lines.pop_back();
        if (end == total) {
            const LogPage last = from_line(total, 1);
            result.next_line = total;
            result.next_offset = last.next_offset;
        }
        found.insert(found.begin(), page.lines.begin(), page.lines.end());
        end = begin;
    }
    while (found.size() > limit) found.pop_front();
    result.lines.assign(found.begin(), found.end());
    result.at_end = true;
    return result;
}

}  // namespace sluice::executor
