// stream.hpp — a reply that goes on: bytes pushed by any thread, sent by the connection that
// serves it. Thread-safe. Bounded: a reader that is too slow loses its stream, never the pusher
// its time.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace sluice::http {

class Stream {
public:
    explicit Stream(std::size_t limit_bytes = std::size_t{1} << 20) : limit_(limit_bytes) {}
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// False when the stream is over: the reader has gone, it was closed, or it was too slow (then
    /// it is closed here).
    bool push(std::string_view bytes);
    /// No more will come; what was pushed is still sent.
    void close();
    [[nodiscard]] bool closed() const;

    /// Called once when the connection has ended (from the io thread) or at once if it already
    /// has. Set by the handler before the reply is returned.
    void on_gone(std::function<void()> callback);

    /// A comment line every 15 s keeps proxies and dead peers honest; set for event streams.
    std::string heartbeat;

    // For the server.
    void set_wake(std::function<void()> wake);
    /// Moves what is waiting into `out`. False when closed and empty.
    bool take(std::string& out);
    void gone();

private:
    const std::size_t limit_;
    mutable std::mutex mutex_;  // guards everything below
    std::string waiting_;
    std::function<void()> wake_;
    std::function<void()> on_gone_;
    bool closed_{false};
    bool gone_{false};
};

/// One server-sent event: "id: 7\nevent: b\ndata: ...\n\n". `id` and `event` may be empty.
std::string sse_event(std::string_view id, std::string_view event, std::string_view data);

}  // namespace sluice::http
