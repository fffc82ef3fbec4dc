// task_log.hpp — one file of JSON lines per attempt, written by the daemon, with an index of line
// offsets beside it; and its reader, which works while the attempt runs.
//
// A line: {"timestamp":"2026-01-05T02:00:00.123456Z","level":"info","event":"...","source":"task"}
// `FILE.idx` holds, as 8 bytes little-endian each, the offsets of the lines 256, 512, ... (the
// first line is 0); a log of fewer lines has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.hpp"
#include "executor/redactor.hpp"
#include "task/context.hpp"
#include "task/process.hpp"

namespace sluice::executor {

inline constexpr std::uint64_t lines_per_index_entry = 256;

/// logs/dag_id=D/run_id=R/task_id=T/[map_index=K/]attempt=N.log below `root`. `/`, `%` and control
/// characters are percent-encoded; a component over 255 bytes is cut and ends in ~ and a hash.
std::string log_path(
    const std::string& root,
    std::string_view dag_id,
    std::string_view run_id,
    std::string_view task_id,
    int map_index,
    int try_number
);

/// Thread-safe. The file is made with its first line; each call is one write.
class TaskLog {
public:
    /// What `redactor` knows when a line is written is not in it. Both must outlive the log.
    TaskLog(std::string path, const Redactor& redactor);

    void append(task::Level level, std::string_view event, std::string_view source = "task");
    /// Many lines in one write.
    void append(task::Level level, const std::vector<std::string>& events, std::string_view source);
    /// Everything is on its way to the disk already; closes the files.
    void close();
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t lines() const;

private:
    void open();
    void write(const std::string& text, const std::vector<std::size_t>& starts);

    const std::string path_;
    const Redactor& redactor_;
    mutable std::mutex mutex_;  // guards all below
    task::Fd file_;
    task::Fd index_;
    std::uint64_t lines_{0};
    std::uint64_t bytes_{0};
    bool broken_{false};  // the disk refused a write: said once in the daemon's log
};

struct LogLine {
    std::uint64_t number{};  // 0-based
    Instant at;
    task::Level level{task::Level::info};
    std::string event;
    std::string source;
};

struct LogPage {
    std::vector<LogLine> lines;
    std::uint64_t next_line{};    // where the next page begins
    std::uint64_t next_offset{};  // the same place in bytes: for following
    bool at_end{false};           // nothing was behind the page when it was read
};

/// Reads a log at any time. Lines that are being written (no newline yet) do not count. Any thread,
/// one reader each. A file that is not there has no lines.
class LogReader {
public:
    explicit LogReader(std::string path) : path_(std::move(path)) {}

    [[nodiscard]] bool exists() const;
    [[nodiscard]] std::uint64_t count() const;
    /// At most `limit` lines of `at_least` or above, from line number `first`.
    [[nodiscard]] LogPage from_line(
        std::uint64_t first, std::size_t limit, task::Level at_least = task::Level::debug
    ) const;
    /// Goes on from a page's `next_line` and `next_offset`.
    [[nodiscard]] LogPage follow(
        std::uint64_t line,
        std::uint64_t offset,
        std::size_t limit,
        task::Level at_least = task::Level::debug
    ) const;
    /// The last `limit` lines of that level.
    [[nodiscard]] LogPage tail(std::size_t limit, task::Level at_least = task::Level::debug) const;

private:
    struct Anchor {
        std::uint64_t line;
        std::uint64_t offset;
    };
    [[nodiscard]] Anchor anchor_before(std::uint64_t line) const;

    std::string path_;
};

std::optional<task::Level> level_of(std::string_view name);

}  // namespace sluice::executor
