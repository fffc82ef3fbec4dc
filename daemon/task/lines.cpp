#include "task/lines.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <unistd.h>

#include "task/process.hpp"

namespace sluice::task {
namespace {

std::string cut_note(std::size_t bytes, std::size_t limit) {
    return " ... [" + std::to_string(bytes) + " bytes cut: log_line_bytes is " +
           std::to_string(limit) + ']';
}

}  // namespace

std::string cut_line(std::string_view line, std::size_t limit) {
    if (line.size() <= limit) return std::string(line);
    return std::string(line.substr(0, limit)) + cut_note(line.size() - limit, limit);
}

LineSplitter::LineSplitter(OnLine on_line, std::size_t limit)
    : on_line_(std::move(on_line)), limit_(limit) {}

void LineSplitter::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto newline = bytes.find('\n');
        const std::string_view piece = bytes.substr(0, newline);
        const std::size_t room = limit_ - std::min(limit_, line_.size());
        line_.append(piece.substr(0, room));
        if (piece.size() > room) cut_ += piece.size() - room;
        if (newline == std::string_view::npos) return;
        end_line();
        bytes.remove_prefix(newline + 1);
    }
}

void LineSplitter::finish() {
    if (!line_.empty() || cut_ != 0) end_line();
}

void LineSplitter::end_line() {
    if (cut_ == 0 && !line_.empty() && line_.back() == '\r') line_.pop_back();
    if (cut_ != 0) line_ += cut_note(cut_, limit_);
    on_line_(line_);
    line_.clear();
    cut_ = 0;
}

bool read_lines(Fd& fd, LineSplitter& lines) {
    std::array<char, 64 * 1'024> buffer;
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count > 0) {
        lines.feed({buffer.data(), static_cast<std::size_t>(count)});
        return true;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    fd.reset();
    return false;
}

}  // namespace sluice::task
