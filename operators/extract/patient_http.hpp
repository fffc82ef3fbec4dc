// patient_http.hpp — asks an HTTP server until it answers: logs in, keeps to a rate, waits as the
// server asks (Retry-After) or longer and longer, and gives up in bounded time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "operators/connect/http_client.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

namespace sluice::extract {

/// The server wants a pause that is longer than an attempt should sit and wait.
class RateLimited : public engine::Failure {
public:
    RateLimited(const std::string& what, std::optional<Duration> retry_after)
        : Failure(ErrorClass::rate_limited, what), retry_after_(retry_after) {}
    [[nodiscard]] std::optional<Duration> retry_after() const { return retry_after_; }

private:
    std::optional<Duration> retry_after_;
};

/// The server refuses this request itself (4xx): asking again gives the same.
class Refused : public engine::Failure {
public:
    Refused(ErrorClass error_class, const std::string& what, long status = 0)
        : Failure(error_class, what), status_(status) {}
    [[nodiscard]] long status() const { return status_; }

private:
    long status_;
};

class PatientHttp {
public:
    /// A longer wait ends the attempt instead.
    static constexpr Duration longest_wait = std::chrono::seconds{60};

    /// `name` ("connection \"x\", GET /v1/orders") begins what the log says.
    PatientHttp(task::TaskContext& context, const task::Connection& connection, std::string name);
    ~PatientHttp();
    PatientHttp(const PatientHttp&) = delete;
    PatientHttp& operator=(const PatientHttp&) = delete;

    [[nodiscard]] const std::string& name() const;
    /// At least so much between two requests.
    void set_interval(Duration interval);
    /// A reply with status 2xx. `again` may change the request before another try. Throws Failure:
    /// transient (server away, 5xx, cut off), RateLimited, auth, Refused; without the name.
    connect::HttpReply send(
        connect::HttpRequest request,
        const std::function<void(connect::HttpRequest& request)>& again = {}
    );

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::extract
