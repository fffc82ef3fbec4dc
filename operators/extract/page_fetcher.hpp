// page_fetcher.hpp — gets one page of an HTTP API after the other: logs in, keeps to the rate
// limit, waits as the server asks (Retry-After) or longer and longer, and gives up in bounded time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/engine/failure.hpp"
#include "operators/extract/pager.hpp"
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
    using Failure::Failure;
};

/// "5/s", "100/min", "1000/h" as the time between two requests; none for what is no such rate.
std::optional<Duration> rate_interval(const std::string& text);

/// What came for one page.
struct FetchedPage {
    std::string body;  // "" for 204 No Content
    std::string link;
    std::string url;  // that was asked, without what proves who we are
};

class PageFetcher {
public:
    /// A longer wait ends the attempt instead.
    static constexpr Duration longest_wait = std::chrono::seconds{60};

    PageFetcher(
        task::TaskContext& context, const task::Connection& connection, const nlohmann::json& from
    );
    ~PageFetcher();
    PageFetcher(const PageFetcher&) = delete;
    PageFetcher& operator=(const PageFetcher&) = delete;

    /// "connection \"x\", GET /v1/orders": begins every message.
    [[nodiscard]] const std::string& name() const;
    /// Throws Failure: transient (server away, 5xx, cut off), RateLimited, auth, Refused.
    FetchedPage fetch(const Pager& pager);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::extract
