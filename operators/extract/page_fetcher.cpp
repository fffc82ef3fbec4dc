#include "operators/extract/page_fetcher.hpp"

#include <algorithm>
#include <charconv>
#include <random>

#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/external/http_auth.hpp"

namespace sluice::extract {

using Json = nlohmann::json;
using engine::Failure;
using Clock = std::chrono::steady_clock;

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
constexpr std::chrono::milliseconds first_wait{500};
constexpr std::chrono::milliseconds longest_backoff{30'000};

/// Somewhere between nothing and twice as much as before, so that many tasks do not knock at once.
Duration backoff(int failures, std::mt19937_64& random) {
    const auto most = std::min(longest_backoff, first_wait * (1 << std::min(failures, 10)));
    return std::chrono::milliseconds{
        std::uniform_int_distribution<std::int64_t>(most.count() / 4, most.count())(random)
    };
}

int retries_of(const task::Connection& connection) {
    const Json extra = Json::parse(connection.extra, nullptr, false);
    if (!extra.is_object()) return 5;
    const auto found = extra.find("retries");
    return found != extra.end() && found->is_number_integer()
               ? std::clamp(found->get<int>(), 0, 100)
               : 5;
}

}  // namespace

struct PageFetcher::State {
    task::TaskContext& context;
    task::Connection connection;
    std::string name;
    ops::HttpRequest base;
    std::vector<std::pair<std::string, std::string>> query;
    ops::HttpClient client;
    ops::HttpAuth auth;
    Duration interval{};
    Clock::time_point next{};
    int retries;
    std::mt19937_64 random{std::random_device{}()};

    State(task::TaskContext& the_context, const task::Connection& the_connection)
        : context(the_context),
          connection(the_connection),
          client(the_context),
          auth(client, the_connection),
          retries(retries_of(the_connection)) {}

    [[noreturn]] void cancelled() const { throw Failure(ErrorClass::transient, "cancelled"); }

    void keep_rate() {
        const auto now = Clock::now();
        if (next > now && !client.wait(std::chrono::duration_cast<Duration>(next - now)))
            cancelled();
        next = std::max(next, now) + interval;
    }
    void pause(Duration time, const std::string& why) {
        context.info(
            name + ": " + why + ", next try in " +
            std::to_string(std::chrono::ceil<std::chrono::milliseconds>(time).count()) + " ms"
        );
        if (!client.wait(time)) cancelled();
    }
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
    /// Waits for another try, or throws what the reply means.
    void judge(const ops::HttpReply& reply, int failures);
    void judge(const ops::HttpFailure& failure, int failures);
};

void PageFetcher::State::judge(const ops::HttpFailure& failure, int failures) {
    if (context.cancelled()) cancelled();
    const bool again = failure.error_class == ErrorClass::transient;
    if (!again || failures >= retries) throw Failure(failure.error_class, failure.message);
    pause(backoff(failures, random), failure.message);
}

void PageFetcher::State::judge(const ops::HttpReply& reply, int failures) {
    std::string what = "the server answered " + std::to_string(reply.status);
    const std::string begin = reply.body.substr(0, 200);
    if (!begin.empty()) what += ": " + begin;
    const bool limited = reply.status == 429;
    const bool later = reply.status >= 500 || reply.status == 408 || reply.status == 425;
    if (!limited && !later) {
        if (reply.status == 401 || reply.status == 403 || reply.status == 407)
            throw Failure(ErrorClass::auth, what);
        if (reply.status >= 300 && reply.status < 400)
            what += " (it sends us elsewhere, which is not followed: write that address)";
        throw Refused(ErrorClass::permanent, what);
    }
    const auto asked = ops::retry_after(reply);
    const bool says_when = limited || (reply.status == 503 && asked);
    if (says_when && (failures >= retries || (asked && *asked > longest_wait)))
        throw RateLimited(what, asked);
    if (failures >= retries)
        throw Failure(
            ErrorClass::transient, what + ", " + std::to_string(failures + 1) + " times in a row"
        );
    pause(asked.value_or(backoff(failures, random)), what);
}

PageFetcher::PageFetcher(
    task::TaskContext& context, const task::Connection& connection, const Json& from
)
    : state_(std::make_unique<State>(context, connection)) {
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
    state.interval = rate_interval(from.value("rate_limit", "")).value_or(Duration{});
    state.name = "connection \"" + connection.id + "\", " + state.base.method + ' ' +
                 endpoint.substr(0, endpoint.find('?'));
}

PageFetcher::~PageFetcher() = default;

const std::string& PageFetcher::name() const { return state_->name; }

FetchedPage PageFetcher::fetch(const Pager& pager) {
    State& state = *state_;
    const ops::HttpRequest request = state.request_for(pager);
    for (int failures = 0;; ++failures) {
        state.keep_rate();
        ops::HttpAnswer answer = ops::send_signed(state.client, state.auth, request);
        if (!answer.reply) {
            state.judge(answer.failure, failures);
            continue;
        }
        ops::HttpReply& reply = *answer.reply;
        if (reply.status < 200 || reply.status > 299) {
            state.judge(reply, failures);
            continue;
        }
        const auto link = reply.headers.find("link");
        return {
            std::move(reply.body), link == reply.headers.end() ? "" : link->second, request.url
        };
    }
}

}  // namespace sluice::extract
