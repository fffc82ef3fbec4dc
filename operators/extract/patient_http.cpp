#include "operators/extract/patient_http.hpp"

#include <algorithm>
#include <random>

#include "operators/connect/patience.hpp"
#include "operators/external/http_auth.hpp"

namespace sluice::extract {

using engine::Failure;
using Clock = std::chrono::steady_clock;

struct PatientHttp::State {
    task::TaskContext& context;
    std::string name;
    ops::HttpClient client;
    ops::HttpAuth auth;
    Duration interval{};
    Clock::time_point next{};
    int retries;
    std::mt19937_64 random{std::random_device{}()};

    State(task::TaskContext& the_context, const task::Connection& connection, std::string the_name)
        : context(the_context),
          name(std::move(the_name)),
          client(the_context),
          auth(client, connection),
          retries(connect::retries_of(connection)) {}

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
    /// Waits for another try, or throws what the reply means.
    void judge(const ops::HttpReply& reply, int failures);
    void judge(const ops::HttpFailure& failure, int failures);
};

void PatientHttp::State::judge(const ops::HttpFailure& failure, int failures) {
    if (context.cancelled()) cancelled();
    const bool again = failure.error_class == ErrorClass::transient;
    if (!again || failures >= retries) throw Failure(failure.error_class, failure.message);
    pause(connect::backoff(failures, random), failure.message);
}

void PatientHttp::State::judge(const ops::HttpReply& reply, int failures) {
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
        throw Refused(ErrorClass::permanent, what, reply.status);
    }
    const auto asked = ops::retry_after(reply);
    const bool says_when = limited || (reply.status == 503 && asked);
    if (says_when && (failures >= retries || (asked && *asked > longest_wait)))
        throw RateLimited(what, asked);
    if (failures >= retries)
        throw Failure(
            ErrorClass::transient, what + ", " + std::to_string(failures + 1) + " times in a row"
        );
    pause(asked.value_or(connect::backoff(failures, random)), what);
}

PatientHttp::PatientHttp(
    task::TaskContext& context, const task::Connection& connection, std::string name
)
    : state_(std::make_unique<State>(context, connection, std::move(name))) {}

PatientHttp::~PatientHttp() = default;

const std::string& PatientHttp::name() const { return state_->name; }

void PatientHttp::set_interval(Duration interval) { state_->interval = interval; }

connect::HttpReply PatientHttp::send(
    connect::HttpRequest request, const std::function<void(connect::HttpRequest& request)>& again
) {
    State& state = *state_;
    for (int failures = 0;; ++failures) {
        if (failures > 0 && again) again(request);
        state.keep_rate();
        ops::HttpAnswer answer = ops::send_signed(state.client, state.auth, request);
        if (!answer.reply) {
            state.judge(answer.failure, failures);
        } else if (answer.reply->status < 200 || answer.reply->status > 299) {
            state.judge(*answer.reply, failures);
        } else {
            return std::move(*answer.reply);
        }
    }
}

}  // namespace sluice::extract
