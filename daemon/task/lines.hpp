// lines.hpp — cuts a byte stream into lines of bounded length. Not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/limits.hpp"

namespace sluice::task {

class Fd;

/// "\n" and "\r\n" end a line. Of a line that is too long the first `limit` bytes are kept and what
/// was cut is said at its end.
class LineSplitter {
public:
    using OnLine = std::function<void(std::string_view line)>;
    explicit LineSplitter(OnLine on_line, std::size_t limit = limits::log_line_bytes);
    void feed(std::string_view bytes);
    /// The last line, if no newline ended it.
    void finish();

private:
    void end_line();

    OnLine on_line_;
    std::size_t limit_;
    std::string line_;
    std::size_t cut_{0};  // bytes of the current line that were dropped
};

/// Reads once from a descriptor that does not block, and closes it at its end. False when there was
/// nothing to read now.
bool read_lines(Fd& fd, LineSplitter& lines);
/// A line as a log takes it: what is over the limit is cut, and its end says so.
std::string cut_line(std::string_view line, std::size_t limit = limits::log_line_bytes);

}  // namespace sluice::task
