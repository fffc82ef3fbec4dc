#include "task/lines.hpp"

#include <algorithm>
#include <utility>

namespace sluice::task {

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
    if (cut_ != 0)
        line_ += " ... [" + std::to_string(cut_) + " bytes cut: log_line_bytes is " +
                 std::to_string(limit_) + ']';
    on_line_(line_);
    line_.clear();
    cut_ = 0;
}

}  // namespace sluice::task
