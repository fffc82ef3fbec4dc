// child.hpp — runs one child process of an operator from start to end: its output line by line, its
// input, cancel, memory limit. Blocks the calling thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "task/context.hpp"
#include "task/process.hpp"

namespace sluice::task {

enum class Stream { out, err };

struct ChildOrder {
    std::vector<std::string> argv;
    std::vector<std::string> environment;
    std::string cwd;
    std::string input;             // to its standard input
    std::int64_t memory_bytes{0};  // of the whole tree; 0 = no limit
    /// From SIGTERM to SIGKILL; the whole of a cancel stays under 1 s.
    std::chrono::milliseconds grace{700};
};

struct ChildReport {
    ChildExit exit;
    bool cancelled{false};
    bool over_memory{false};
    std::int64_t peak_bytes{0};  // only watched with a limit
};

/// Throws Error if it cannot be started. When the process ends, what is left of its group is ended
/// too. Of a line over 64 KiB the rest is cut; on standard output only beyond artefact_bytes.
ChildReport run_child(
    TaskContext& ctx,
    const ChildOrder& order,
    const std::function<void(Stream, std::string_view line)>& on_line
);

/// The words for a process that was ended for its memory: limit, peak and what to do.
std::string over_memory_text(std::int64_t limit_bytes, std::int64_t peak_bytes);
/// "1.5 GiB"
std::string size_text(std::int64_t bytes);
/// A tree may use this much: the limit and a fifth, as resident size counts shared pages twice.
std::int64_t memory_ceiling(std::int64_t limit_bytes);

}  // namespace sluice::task
