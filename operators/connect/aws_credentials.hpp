// aws_credentials.hpp — who we are at AWS and what speaks like it. In this order: the connection's
// login and password; its or the environment's profile, if one is named; a web identity; the
// default profile; the container's endpoint; the instance's (IMDSv2). With `role_arn` in extra,
// that role is taken on with what was found.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "operators/connect/aws_settings.hpp"
#include "operators/connect/http_client.hpp"
#include "operators/connect/sigv4.hpp"

namespace sluice::connect {

struct AwsCredentials {
    std::string access_key;
    Secret secret_key;
    Secret session_token;
    std::optional<std::chrono::system_clock::time_point> expires;
    std::string source;  // "the connection", "profile default", ...: for messages
};

/// Finds them, keeps them, and finds them anew shortly before they expire. One thread only.
class AwsCredentialChain {
public:
    /// `region` and `ca_file` are for the token service (STS).
    AwsCredentialChain(
        HttpClient& client, task::Connection connection, std::string region, std::string ca_file
    );

    /// Throws Failure(auth) that says where was looked, Failure(transient) if a service that gives
    /// them does not answer.
    const AwsCredentials& get();
    /// After a refusal: true if they may be others when found anew (they are forgotten then).
    bool renew();

private:
    AwsCredentials find();
    std::optional<AwsCredentials> from_profile(const std::string& name, bool must_be, int depth);
    std::optional<AwsCredentials> from_web_identity(
        const std::string& token_file, const std::string& role, const std::string& session
    );
    std::optional<AwsCredentials> from_container();
    std::optional<AwsCredentials> from_instance();
    AwsCredentials assume(const AwsCredentials& with, const std::string& role);
    AwsCredentials ask_sts(Pairs form, const AwsCredentials* with);
    AwsCredentials from_endpoint(const HttpRequest& request, const std::string& source);
    HttpReply send(const HttpRequest& request, const std::string& what);
    [[nodiscard]] std::string setting(const char* key) const;  // text in extra
    [[noreturn]] void refuse(const std::string& why) const;

    HttpClient& client_;
    task::Connection connection_;
    AwsEnvironment environment_;
    std::string region_;
    std::string ca_file_;
    std::optional<AwsCredentials> known_;
};

}  // namespace sluice::connect
