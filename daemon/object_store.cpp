#include "object_store.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 19> aws_names{
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "HOME",
};

std::string environment_value(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace

task::Connection with_environment(task::Connection connection, const std::filesystem::path& home) {
    if (connection.type != "s3" && connection.type != "aws") return connection;
    Json extra = Json::parse(connection.extra, nullptr, false);
    if (!extra.is_object()) extra = Json::object();
    const std::string key = environment_value("AWS_ACCESS_KEY_ID");
    const std::string secret = environment_value("AWS_SECRET_ACCESS_KEY");
    if (connection.login.empty() && !extra.contains("profile_name") && !key.empty() &&
        !secret.empty()) {
        connection.login = key;
        connection.password = Secret(secret);
        if (const auto token = environment_value("AWS_SESSION_TOKEN"); !token.empty())
            extra["aws_session_token"] = token;
    }
    Json& environment = extra["environment"];
    if (!environment.is_object()) environment = Json::object();
    for (const char* name : aws_names)
        if (const auto value = environment_value(name);
            !value.empty() && !environment.contains(name))
            environment[name] = value;
    if (!home.empty() && !extra.contains("local_folder"))
        extra["local_folder"] = (home / "object-store" / connection.id).string();
    connection.extra = extra.dump();
    return connection;
}

}  // namespace sluice
