#include "operators/extract/page_fetcher.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/external/http_auth.hpp"

namespace sluice::extract {

using Json = nlohmann::json;

std::optional<Duration> rate_interval(const std::string& text) {
    const auto slash = text.find('/');
    if (slash == std::string::npos) return std::nullopt;
    std::int64_t count = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + slash, count);
    if (failed != std::errc{} || end != text.data() + slash || count <= 0) return std::nullopt;
    const std::string unit = text.substr(slash + 1);
    Duration period{};
    if (unit == "s") period = std::chrono::seconds{1};
    if (unit == "m" || unit == "min") period = std::chrono::minutes{1};
    if (unit == "h") period = std::chrono::hours{1};
    if (unit == "d") period = std::chrono::hours{24};
    if (period == Duration{}) return std::nullopt;
    return std::max<Duration>(Duration{1}, period / count);
}

namespace {

constexpr std::size_t page_bytes = std::size_t{64} << 20;

}  // namespace

struct PageFetcher::State {
    PatientHttp http;
    ops::HttpRequest base;
    std::vector<std::pair<std::string, std::string>> query;

    ops::HttpRequest request_for(const Pager& pager) const {
        ops::HttpRequest request = base;
        if (!pager.url().empty()) {
            request.url = pager.url();
            return request;
        }
        auto parameters = query;
        for (auto& [key, value] : pager.parameters()) {
            std::erase_if(parameters, [&](const auto& known) { return known.first == key; });
            parameters.emplace_back(key, value);
        }
        // Sorted, as a signature of AWS wants them.
        std::ranges::stable_sort(parameters, {}, [](const auto& pair) { return pair.first; });
        ops::add_query(request.url, ops::encode_query(parameters));
        return request;
    }
};

namespace {

/// "connection \"x\", GET /v1/orders".
std::string request_name(const task::Connection& connection, const Json& from) {
    const std::string endpoint = from.at("endpoint").get<std::string>();
    return "connection \"" + connection.id + "\", " + from.value("method", "GET") + ' ' +
           endpoint.substr(0, endpoint.find('?'));
}

}  // namespace

PageFetcher::PageFetcher(
    task::TaskContext& context, const task::Connection& connection, const Json& from
)
    : state_(std::unique_ptr<State>(new State{
          .http = {context, connection, request_name(connection, from)}, .base = {}, .query = {}
      })) {
    State& state = *state_;
    const std::string endpoint = from.at("endpoint").get<std::string>();
    state.base.method = from.value("method", "GET");
    state.base.url = ops::http_url(connection, endpoint);
    state.base.headers = ops::pairs_of(from, "headers");
    state.base.redirects = false;
    state.base.reply_bytes = page_bytes;
    if (const auto body = from.find("body"); body != from.end() && !body->is_null()) {
        state.base.body = text_of(*body);
        if (!body->is_string() && !ops::has_header(state.base, "Content-Type"))
            state.base.headers.emplace_back("Content-Type", "application/json");
    }
    if (!ops::has_header(state.base, "Accept"))
        state.base.headers.emplace_back("Accept", "application/json");
    state.query = ops::pairs_of(from, "query_params");
    state.http.set_interval(rate_interval(from.value("rate_limit", "")).value_or(Duration{}));
}

PageFetcher::~PageFetcher() = default;

const std::string& PageFetcher::name() const { return state_->http.name(); }

FetchedPage PageFetcher::fetch(const Pager& pager) {
    const ops::HttpRequest request = state_->request_for(pager);
    ops::HttpReply reply = state_->http.send(request);
    const auto link = reply.headers.find("link");
    return {std::move(reply.body), link == reply.headers.end() ? "" : link->second, request.url};
}

}  // namespace sluice::extract
