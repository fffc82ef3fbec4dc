// s3_calls.hpp — one request to S3: signed, sent, judged, and sent again if that may help. For
// s3*.cpp only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "operators/connect/aws_credentials.hpp"
#include "operators/connect/aws_settings.hpp"
#include "operators/connect/http_client.hpp"
#include "operators/connect/sigv4.hpp"

namespace sluice::connect {

struct S3Call {
    std::string method{"GET"};
    std::string key{};  // with the prefix; "" = the bucket
    Pairs query{};
    Pairs headers{};
    std::string body{};
    std::function<void(const HttpReply& head, std::string_view bytes)> into{};
    bool may_be_missing{false};  // a 404 for a key is a reply
    /// Called before a second try; may change the call ("Range").
    std::function<void(S3Call&)> again{};
    /// Asked of a reply with status 200 (CompleteMultipartUpload says errors with it).
    bool looks_inside{false};
};

class S3Calls {
public:
    S3Calls(task::TaskContext& context, const task::Connection& connection);

    /// A reply with status 2xx, or 404 if that is asked for.
    HttpReply send(S3Call call);

    void try_once() { settings_.retries = 0; }
    [[nodiscard]] const S3Settings& settings() const { return settings_; }
    [[nodiscard]] std::string address(const std::string& full_key) const;
    [[nodiscard]] bool cancelled() const { return context_.cancelled(); }

private:
    /// What to do about an answer.
    struct Verdict {
        enum class Kind { fine, again, renew, fail } kind{Kind::fine};
        ErrorClass error_class{ErrorClass::none};
        std::string message{};
        std::optional<Duration> wait{};
    };
    HttpRequest signed_request(const S3Call& call);
    [[nodiscard]] Verdict judge(const S3Call& call, const HttpAnswer& answer) const;
    [[nodiscard]] Verdict judge_reply(const S3Call& call, const HttpReply& reply) const;
    [[nodiscard]] Duration pause(int attempt, const Verdict& verdict);

    task::TaskContext& context_;
    S3Settings settings_;
    HttpClient client_;
    AwsCredentialChain credentials_;
};

}  // namespace sluice::connect
