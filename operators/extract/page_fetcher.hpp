// page_fetcher.hpp — gets one page of an HTTP API after the other, as patiently as
// patient_http.hpp.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "operators/extract/pager.hpp"
#include "operators/extract/patient_http.hpp"
#include "task/context.hpp"

namespace sluice::extract {

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
