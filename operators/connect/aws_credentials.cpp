#include "operators/connect/aws_credentials.hpp"

#include <array>
#include <fstream>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/connect/aws_profile.hpp"
#include "operators/connect/xml.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

using engine::Failure;
using Json = nlohmann::json;
using std::chrono::system_clock;

namespace {

constexpr std::chrono::minutes early{2};  // before the end, they are found anew
constexpr int profile_depth = 5;          // of source_profile

std::optional<system_clock::time_point> time_in(const std::string& text) {
    const auto parsed = parse_time(text);
    if (!parsed) return std::nullopt;
    return std::chrono::time_point_cast<system_clock::duration>(parsed->at);
}

std::string whole_file(const std::string& path) {
    std::ifstream file(path);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
}

std::string value_in(const std::map<std::string, std::string>& profile, const char* key) {
    const auto found = profile.find(key);
    return found == profile.end() ? "" : found->second;
}

/// A token must not go over the net in the clear, but to the hosts that AWS names.
bool may_ask(const std::string& url) {
    if (url.starts_with("https://")) return true;
    constexpr std::array<std::string_view, 6> hosts{
        "127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"
    };
    for (const std::string_view host : hosts) {
        const std::string begin = "http://" + std::string(host);
        if (url.starts_with(begin + '/') || url.starts_with(begin + ':')) return true;
    }
    return false;
}

}  // namespace

AwsCredentialChain::AwsCredentialChain(
    HttpClient& client, task::Connection connection, std::string region, std::string ca_file
)
    : client_(client),
      connection_(std::move(connection)),
      environment_(connection_),
      region_(std::move(region)),
      ca_file_(std::move(ca_file)) {}

const AwsCredentials& AwsCredentialChain::get() {
    const bool over = known_ && known_->expires && *known_->expires - early < system_clock::now();
    if (!known_ || over) known_ = find();
    return *known_;
}

bool AwsCredentialChain::renew() {
    const bool lasting = !known_ || !known_->expires;
    known_.reset();
    return !lasting;
}

void AwsCredentialChain::refuse(const std::string& why) const {
    throw Failure(ErrorClass::auth, "connection \"" + connection_.id + "\": " + why);
}

std::string AwsCredentialChain::setting(const char* key) const {
    const Json extra = Json::parse(connection_.extra, nullptr, false);
    if (!extra.is_object() || !extra.contains(key) || !extra[key].is_string()) return {};
    return extra[key].get<std::string>();
}

AwsCredentials AwsCredentialChain::find() {
    AwsCredentials found;
    const std::string role = setting("role_arn");
    const std::string profile = setting("profile_name");
    const std::string token_file = environment_.get("AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!connection_.login.empty()) {
        found.access_key = connection_.login;
        found.secret_key = connection_.password;
        found.session_token = Secret(setting("aws_session_token"));
        found.source = "the connection";
        if (found.secret_key.empty()) refuse("it has an access key but no secret key (password)");
    } else if (!profile.empty() || !environment_.get("AWS_PROFILE").empty()) {
        found = *from_profile(profile_name(environment_, profile), true, 0);
    } else if (auto web = from_web_identity(
                   token_file,
                   environment_.get("AWS_ROLE_ARN"),
                   environment_.get("AWS_ROLE_SESSION_NAME")
               )) {
        found = *std::move(web);
    } else if (auto usual = from_profile("default", false, 0)) {
        found = *std::move(usual);
    } else if (auto container = from_container()) {
        found = *std::move(container);
    } else if (auto instance = from_instance()) {
        found = *std::move(instance);
    } else {
        refuse(
            "no credentials: neither login and password, nor AWS_ACCESS_KEY_ID, AWS_PROFILE, "
            "AWS_WEB_IDENTITY_TOKEN_FILE, a default profile, the container's or the instance's role"
        );
    }
    return role.empty() ? found : assume(found, role);
}

std::optional<AwsCredentials> AwsCredentialChain::from_profile(
    const std::string& name, bool must_be, int depth
) {
    if (depth > profile_depth) refuse("profile " + name + ": source_profile goes in a circle");
    const auto profile = read_profile(environment_, name);
    const std::string source = "profile " + name;
    const std::string role = value_in(profile, "role_arn");
    if (auto web = from_web_identity(
            value_in(profile, "web_identity_token_file"),
            role,
            value_in(profile, "role_session_name")
        ))
        return web;
    if (const std::string base = value_in(profile, "source_profile");
        !base.empty() && !role.empty() && base != name)
        return assume(*from_profile(base, true, depth + 1), role);
    AwsCredentials found;
    found.access_key = value_in(profile, "aws_access_key_id");
    found.secret_key = Secret(value_in(profile, "aws_secret_access_key"));
    found.session_token = Secret(value_in(profile, "aws_session_token"));
    found.source = source;
    if (!found.access_key.empty() && !found.secret_key.empty()) return found;
    if (!must_be) return std::nullopt;
    for (const char* other : {"credential_process", "sso_session", "sso_start_url"})
        if (profile.contains(other))
            refuse(source + " has " + other + ", of which Sluice makes no use: give it keys");
    refuse(
        source + (profile.empty() ? " is not there" : " has no aws_access_key_id and secret key")
    );
}

std::optional<AwsCredentials> AwsCredentialChain::from_web_identity(
    const std::string& token_file, const std::string& role, const std::string& session
) {
    if (token_file.empty() || role.empty()) return std::nullopt;
    const std::string token = whole_file(token_file);
    if (token.empty()) refuse("the web identity token " + token_file + " cannot be read");
    AwsCredentials found = ask_sts(
        {{"Action", "AssumeRoleWithWebIdentity"},
         {"RoleArn", role},
         {"RoleSessionName", session.empty() ? "sluice" : session},
         {"WebIdentityToken", token}},
        nullptr
    );
    found.source = "the web identity of " + role;
    return found;
}

AwsCredentials AwsCredentialChain::assume(const AwsCredentials& with, const std::string& role) {
    Pairs form{{"Action", "AssumeRole"}, {"RoleArn", role}, {"RoleSessionName", "sluice"}};
    if (const std::string id = setting("external_id"); !id.empty())
        form.emplace_back("ExternalId", id);
    AwsCredentials found = ask_sts(std::move(form), &with);
    found.source = role + " by " + with.source;
    return found;
}

/// `with`: who signs; nobody for a web identity, whose token is the proof.
AwsCredentials AwsCredentialChain::ask_sts(Pairs form, const AwsCredentials* with) {
    std::string endpoint = setting("sts_endpoint_url");
    if (endpoint.empty()) endpoint = environment_.get("AWS_ENDPOINT_URL_STS");
    if (endpoint.empty()) endpoint = "https://sts." + region_ + ".amazonaws.com";
    while (endpoint.ends_with('/')) endpoint.pop_back();
    form.emplace_back("Version", "2011-06-15");
    HttpRequest request;
    request.method = "POST";
    request.url = endpoint + '/';
    request.ca_file = ca_file_;
    request.body = encode_query(form);
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    if (with != nullptr) {
        const std::string time = amz_time(system_clock::now());
        const auto host = endpoint.find("://") + 3;
        request.headers.emplace_back(
            "Host", endpoint.substr(host, endpoint.find('/', host) - host)
        );
        request.headers.emplace_back("x-amz-date", time);
        if (!with->session_token.empty())
            request.headers.emplace_back("x-amz-security-token", with->session_token.reveal());
        const std::string proof = sigv4_authorization(
            {with->access_key, with->secret_key, region_, "sts"},
            {"POST", "/", {}, request.headers, sha256_hex(request.body)},
            time
        );
        request.headers.emplace_back("Authorization", proof);
    }
    const HttpReply reply = send(request, "the token service " + endpoint);
    AwsCredentials found;
    found.access_key = xml_text(reply.body, "AccessKeyId");
    found.secret_key = Secret(xml_text(reply.body, "SecretAccessKey"));
    found.session_token = Secret(xml_text(reply.body, "SessionToken"));
    found.expires = time_in(xml_text(reply.body, "Expiration"));
    if (found.access_key.empty()) refuse("the token service " + endpoint + " gave no credentials");
    return found;
}

std::optional<AwsCredentials> AwsCredentialChain::from_container() {
    std::string url = environment_.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (const auto path = environment_.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !path.empty())
        url = "http://169.254.170.2" + path;
    if (url.empty()) return std::nullopt;
    if (!may_ask(url)) refuse("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor local");
    HttpRequest request;
    request.url = url;
    request.redirects = false;
    request.connect_seconds = 2;
    request.stall_seconds = 10;
    std::string token = environment_.get("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const auto file = environment_.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
        token = whole_file(file);
    if (!token.empty()) request.headers.emplace_back("Authorization", token);
    return from_endpoint(request, "the container's role");
}

std::optional<AwsCredentials> AwsCredentialChain::from_instance() {
    if (environment_.get("AWS_EC2_METADATA_DISABLED") == "true") return std::nullopt;
    std::string base = environment_.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.empty()) base = "http://169.254.169.254";
    while (base.ends_with('/')) base.pop_back();
    HttpRequest request;
    request.method = "PUT";
    request.url = base + "/latest/api/token";
    request.redirects = false;
    request.connect_seconds = 1;
    request.stall_seconds = 5;
    request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}};
    const HttpAnswer token = client_.send(request);
    // No such service: this is no machine of Amazon's.
    if (!token.reply || token.reply->status != 200) return std::nullopt;
    request.method = "GET";
    request.url = base + "/latest/meta-data/iam/security-credentials/";
    request.headers = {{"X-aws-ec2-metadata-token", token.reply->body}};
    const HttpAnswer role = client_.send(request);
    if (!role.reply || role.reply->status != 200) return std::nullopt;
    request.url += role.reply->body.substr(0, role.reply->body.find_first_of("\r\n"));
    return from_endpoint(request, "the instance's role");
}

/// JSON: AccessKeyId, SecretAccessKey, Token, Expiration.
AwsCredentials AwsCredentialChain::from_endpoint(
    const HttpRequest& request, const std::string& source
) {
    const HttpReply reply = send(request, source);
    const Json json = Json::parse(reply.body, nullptr, false);
    const auto text = [&](const char* key) {
        return json.is_object() && json.contains(key) && json[key].is_string()
                   ? json[key].get<std::string>()
                   : std::string();
    };
    AwsCredentials found;
    found.access_key = text("AccessKeyId");
    found.secret_key = Secret(text("SecretAccessKey"));
    found.session_token = Secret(text("Token"));
    found.expires = time_in(text("Expiration"));
    found.source = source;
    if (found.access_key.empty()) refuse(source + " gave no credentials");
    return found;
}

/// A reply that is a 200; three tries.
HttpReply AwsCredentialChain::send(const HttpRequest& request, const std::string& what) {
    const std::string name = "connection \"" + connection_.id + "\": " + what;
    for (int attempt = 1;; ++attempt) {
        HttpAnswer answer = client_.send(request);
        if (answer.reply && answer.reply->status == 200) return *std::move(answer.reply);
        const bool later = answer.reply ? answer.reply->status >= 500 || answer.reply->status == 429
                                        : answer.failure.error_class == ErrorClass::transient;
        if (later && attempt < 3 && client_.wait(std::chrono::milliseconds{300 * attempt}))
            continue;
        if (!answer.reply)
            throw Failure(answer.failure.error_class, name + ": " + answer.failure.message);
        const std::string code = xml_text(answer.reply->body, "Code");
        throw Failure(
            later ? ErrorClass::transient : ErrorClass::auth,
            name + " answers " + std::to_string(answer.reply->status) +
                (code.empty() ? "" : " " + code + ": " + xml_text(answer.reply->body, "Message"))
        );
    }
}

}  // namespace sluice::connect
