// forward.hpp — hands a request on to another daemon and its reply back, streams included. One io
// thread for all. Thread-safe: `forward` is called from many threads, each waits for its reply.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "http/message.hpp"

namespace sluice::http {

class Forwarder {
public:
    Forwarder();
    /// As stop().
    ~Forwarder();
    Forwarder(const Forwarder&) = delete;
    Forwarder& operator=(const Forwarder&) = delete;

    /// Sends the request as it came (credentials included) to `base`, "http://host:port", with the
    /// headers that say who handed it on. Throws Error(unavailable) when no reply comes.
    Reply forward(const Request& request, const std::string& base);
    /// Ends all streams and joins. Idempotent.
    void stop();

    /// Set on every request that was handed on: it is not handed on again.
    static constexpr const char* mark = "x-sluice-forwarded";

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
