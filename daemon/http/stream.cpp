#include "http/stream.hpp"

#include <utility>

namespace sluice::http {

bool Stream::push(std::string_view bytes) {
    std::function<void()> wake;
    bool alive = true;
    {
        const std::lock_guard lock(mutex_);
        if (closed_ || gone_) return false;
        if (waiting_.size() + bytes.size() > limit_) {
            closed_ = true;
            waiting_.clear();
            alive = false;
        } else {
            waiting_ += bytes;
        }
        wake = wake_;
    }
    if (wake) wake();
    return alive;
}

void Stream::close() {
    std::function<void()> wake;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        wake = wake_;
    }
    if (wake) wake();
}

bool Stream::closed() const {
    const std::lock_guard lock(mutex_);
    return closed_ || gone_;
}

void Stream::on_gone(std::function<void()> callback) {
    {
        const std::lock_guard lock(mutex_);
        if (!gone_) {
            on_gone_ = std::move(callback);
            return;
        }
    }
    if (callback) callback();
}

void Stream::set_wake(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
}

bool Stream::take(std::string& out) {
    out.clear();
    const std::lock_guard lock(mutex_);
    std::swap(out, waiting_);
    return !(closed_ && out.empty());
}

void Stream::gone() {
    std::function<void()> callback;
    {
        const std::lock_guard lock(mutex_);
        if (gone_) return;
        gone_ = true;
        waiting_.clear();
        wake_ = nullptr;
        callback = std::exchange(on_gone_, nullptr);
    }
    if (callback) callback();
}

std::string sse_event(std::string_view id, std::string_view event, std::string_view data) {
    std::string out;
    if (!id.empty()) out.append("id: ").append(id).append("\n");
    if (!event.empty()) out.append("event: ").append(event).append("\n");
    // A line break inside the data would end the field: each line gets its own.
    while (true) {
        const auto end = data.find('\n');
        out.append("data: ").append(data.substr(0, end)).append("\n");
        if (end == std::string_view::npos) break;
        data.remove_prefix(end + 1);
    }
    out += '\n';
    return out;
}

}  // namespace sluice::http
