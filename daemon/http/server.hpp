// server.hpp — the HTTP/1.1 server: connections are coroutines on one io thread, handlers are plain
// functions on a pool of blocking threads. The only part of Sluice that sees Beast (in server.cpp
// and session.cpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/limits.hpp"
#include "http/message.hpp"

namespace sluice::http {

struct ServerOptions {
    std::string address{"127.0.0.1"};
    std::uint16_t port{0};    // 0 = any free one
    std::size_t threads{32};  // most wait for a commit, not for a core
    std::size_t max_connections{limits::connections};
    std::size_t header_bytes{limits::request_header_bytes};
    std::size_t body_bytes{limits::request_body_bytes};
    std::chrono::milliseconds header_timeout{10'000};  // for the whole header, also while idle
    std::chrono::milliseconds body_timeout{60'000};
    std::chrono::milliseconds idle_timeout{75'000};
    std::chrono::milliseconds write_timeout{60'000};
    std::chrono::milliseconds stop_grace{3'000};
    std::chrono::milliseconds heartbeat{15'000};
};

/// Counts for /metrics. Read without a lock.
struct ServerCounters {
    std::atomic<std::uint64_t> connections{0};  // open now
    std::atomic<std::uint64_t> streams{0};      // open now
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};       // over the limit, or the pool was full
    std::atomic<std::uint64_t> bad_requests{0};  // not HTTP, too large, too slow
};

class Server {
public:
    /// Called on a pool thread; whatever it throws is answered with 500.
    using Handle = std::function<Reply(Request)>;

    /// Binds and listens. Throws Error naming address and port when that cannot be done.
    Server(ServerOptions options, Handle handle);
    /// As stop().
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] std::uint16_t port() const;
    [[nodiscard]] const ServerCounters& counters() const;

    /// Accepts no more, lets running requests end within `stop_grace`, closes streams, joins.
    void stop();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
