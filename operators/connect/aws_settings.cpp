#include "operators/connect/aws_settings.hpp"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/connect/aws_profile.hpp"
#include "operators/connect/sigv4.hpp"

namespace sluice::connect {

using Json = nlohmann::json;

namespace {

[[noreturn]] void refuse_setting(const task::Connection& connection, const std::string& why) {
    throw Error(ErrorCode::invalid, "connection \"" + connection.id + "\": " + why);
}

/// The settings of `extra`; of a key that may stand at several places the first one counts.
class Extra {
public:
    explicit Extra(const task::Connection& connection)
        : connection_(connection), json_(Json::parse(connection.extra, nullptr, false)) {
        if (!json_.is_object()) json_ = Json::object();
    }

    /// "/service_config/s3/bucket_name".
    [[nodiscard]] std::string text(std::initializer_list<const char*> places) const {
        for (const char* place : places) {
            const Json::json_pointer pointer(place);
            if (!json_.contains(pointer)) continue;
            const Json& value = json_.at(pointer);
            if (value.is_string() && !value.get<std::string>().empty()) return value;
        }
        return {};
    }
    /// A number, also one written as text (a URI has no others).
    [[nodiscard]] std::int64_t number(
        std::initializer_list<const char*> places, std::int64_t otherwise, std::int64_t least
    ) const {
        for (const char* place : places) {
            const Json::json_pointer pointer(place);
            if (!json_.contains(pointer)) continue;
            const Json& value = json_.at(pointer);
            std::int64_t found = least - 1;
            if (value.is_number_integer()) found = value.get<std::int64_t>();
            if (value.is_string()) found = std::atoll(value.get<std::string>().c_str());
            if (found < least)
                refuse_setting(
                    connection_,
                    "extra" + std::string(place) + " is no number of at least " +
                        std::to_string(least)
                );
            return found;
        }
        return otherwise;
    }
    [[nodiscard]] const Json& json() const { return json_; }

private:
    const task::Connection& connection_;
    Json json_;
};

bool is_address(const std::string& host) {
    return host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string::npos;
}

std::string host_of(const std::string& endpoint) {
    const auto begin = endpoint.find("://") + 3;
    const std::string rest = endpoint.substr(begin, endpoint.find('/', begin) - begin);
    return rest.starts_with('[') ? rest : rest.substr(0, rest.find(':'));
}

/// A name that may be a host's first label.
bool is_host_label(const std::string& bucket) {
    return !bucket.empty() && std::ranges::all_of(bucket, [](unsigned char c) {
        return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
    });
}

bool wants_path(const task::Connection& connection, const Extra& extra, const S3Settings& made) {
    const std::string style =
        extra.text({"/addressing_style", "/config_kwargs/s3/addressing_style"});
    if (style == "path") return true;
    if (style == "virtual") return false;
    if (!style.empty() && style != "auto")
        refuse_setting(
            connection, "addressing_style \"" + style + "\" is none of auto, path, virtual"
        );
    // A name with dots has no certificate under a wildcard; other stores seldom have such names.
    return !made.endpoint.empty() || !is_host_label(made.bucket);
}

std::string prefix_of(const task::Connection& connection, const Extra& extra) {
    std::string prefix = extra.text({"/prefix"});
    if (prefix.empty()) prefix = connection.schema;
    while (prefix.starts_with('/')) prefix.erase(0, 1);
    if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
    return prefix;
}

std::string endpoint_of(const task::Connection& connection, const Extra& extra) {
    const AwsEnvironment environment(connection);
    std::string endpoint =
        extra.text({"/endpoint_url", "/service_config/s3/endpoint_url", "/host"});
    if (endpoint.empty()) endpoint = environment.get("AWS_ENDPOINT_URL_S3");
    if (endpoint.empty()) endpoint = environment.get("AWS_ENDPOINT_URL");
    while (endpoint.ends_with('/')) endpoint.pop_back();
    if (!endpoint.empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://"))
        refuse_setting(
            connection, "endpoint_url \"" + endpoint + "\" is no http:// or https:// address"
        );
    return endpoint;
}

std::string region_of(const task::Connection& connection, const Extra& extra) {
    const AwsEnvironment environment(connection);
    std::string region = extra.text({"/region_name", "/region"});
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
        if (region.empty()) region = environment.get(name);
    if (region.empty())
        region = profile_value(environment, extra.text({"/profile_name"}), "region");
    return region.empty() ? "us-east-1" : region;
}

std::string ca_of(const task::Connection& connection, const Extra& extra) {
    const Json& json = extra.json();
    if (json.contains("verify") && (json["verify"] == false || json["verify"] == "false"))
        refuse_setting(
            connection,
            "certificates are always checked: instead of verify false, name the server's authority "
            "in \"ca_file\" (PEM)"
        );
    const std::string file = extra.text({"/ca_file"});
    if (!file.empty()) return file;
    const std::string verify = extra.text({"/verify"});
    if (!verify.empty() && verify != "true") return verify;
    return AwsEnvironment(connection).get("AWS_CA_BUNDLE");
}

std::string encryption_of(const task::Connection& connection, const Extra& extra) {
    std::string wanted = extra.text({"/server_side_encryption"});
    const bool key = !extra.text({"/sse_kms_key_id"}).empty();
    if (wanted.empty() && key) wanted = "aws:kms";
    if (!wanted.empty() && wanted != "AES256" && wanted != "aws:kms" && wanted != "aws:kms:dsse")
        refuse_setting(
            connection,
            "server_side_encryption \"" + wanted + "\" is none of AES256, aws:kms, aws:kms:dsse"
        );
    if (key && wanted == "AES256")
        refuse_setting(connection, "sse_kms_key_id is for server_side_encryption aws:kms");
    return wanted;
}

}  // namespace

bool is_object_store(const task::Connection& connection) {
    return connection.type == "s3" || connection.type == "aws";
}

AwsEnvironment::AwsEnvironment(const task::Connection& connection) {
    const Json extra = Json::parse(connection.extra, nullptr, false);
    if (!extra.is_object() || !extra.contains("environment")) return;
    for (const auto& [name, value] : extra["environment"].items())
        if (value.is_string()) values_[name] = value.get<std::string>();
}

std::string AwsEnvironment::get(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : found->second;
}

S3Settings s3_settings(const task::Connection& connection) {
    if (!is_object_store(connection))
        refuse_setting(
            connection, "it is of type \"" + connection.type + "\", an object store (s3) is needed"
        );
    const Extra extra(connection);
    S3Settings made;
    made.connection = connection.id;
    made.bucket = extra.text({"/bucket_name", "/service_config/s3/bucket_name"});
    if (made.bucket.empty()) made.bucket = connection.host;
    if (made.bucket.empty()) refuse_setting(connection, "it names no bucket (its host)");
    if (made.bucket.find_first_of("/: ") != std::string::npos)
        refuse_setting(
            connection,
            "\"" + made.bucket + "\" is no bucket's name; the server's address is endpoint_url"
        );
    made.prefix = prefix_of(connection, extra);
    made.endpoint = endpoint_of(connection, extra);
    made.region = region_of(connection, extra);
    made.path_style = wants_path(connection, extra, made);
    if (!made.path_style && !made.endpoint.empty() && is_address(host_of(made.endpoint)))
        refuse_setting(
            connection, "addressing_style virtual needs a name, " + made.endpoint + " has none"
        );
    made.encryption = encryption_of(connection, extra);
    made.kms_key_id = extra.text({"/sse_kms_key_id"});
    made.storage_class = extra.text({"/storage_class"});
    made.ca_file = ca_of(connection, extra);
    made.retries = static_cast<int>(extra.number({"/retries"}, made.retries, 0));
    // Airflow counts the first try too.
    if (extra.json().contains(Json::json_pointer("/config_kwargs/retries/max_attempts")))
        made.retries = static_cast<int>(
            extra.number({"/config_kwargs/retries/max_attempts"}, made.retries + 1, 1) - 1
        );
    made.connect_seconds = extra.number(
        {"/connect_timeout", "/config_kwargs/connect_timeout"}, made.connect_seconds, 1
    );
    made.stall_seconds =
        extra.number({"/read_timeout", "/config_kwargs/read_timeout"}, made.stall_seconds, 1);
    made.part_bytes = extra.number({"/part_bytes"}, made.part_bytes, std::int64_t{5} << 20);
    made.cache_bytes = extra.number({"/cache_bytes"}, made.cache_bytes, 1);
    return made;
}

std::string s3_url(const S3Settings& settings, const std::string& key) {
    std::string base = settings.endpoint;
    if (base.empty()) {
        base = "https://s3." + settings.region + ".amazonaws.com";
        if (settings.region.starts_with("cn-")) base += ".cn";
    }
    const std::string path = "/" + uri_encode(key, true);
    if (settings.path_style)
        return base + "/" + uri_encode(settings.bucket) + (key.empty() ? "" : path);
    const auto host = base.find("://") + 3;
    return base.substr(0, host) + settings.bucket + '.' + base.substr(host) + path;
}

}  // namespace sluice::connect
