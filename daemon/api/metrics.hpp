// metrics.hpp — what Prometheus scrapes at /metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "api/services.hpp"
#include "http/server.hpp"

namespace sluice::api {

/// Requests by method and class of status. Thread-safe.
class RequestCounters {
public:
    void count(const http::Request& request, int status);
    /// Lines of the metric sluice_http_requests_total.
    [[nodiscard]] std::string text() const;

private:
    static constexpr std::array<const char*, 6> methods{
        "GET", "POST", "PATCH", "PUT", "DELETE", "other"
    };
    std::array<std::array<std::atomic<std::uint64_t>, 6>, methods.size()> counts_{};
};

std::string metrics_text(
    Services& services, const RequestCounters& requests, const http::ServerCounters* server
);

}  // namespace sluice::api
