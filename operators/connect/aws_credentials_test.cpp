#include "operators/connect/aws_credentials.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/connect/loopback.hpp"
#include "operators/engine/failure.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::connect;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct Chain {
    Chain() {
        std::string pattern = (fs::temp_directory_path() / "aws-XXXXXX").string();
        folder = mkdtemp(pattern.data());
        environment = {{"HOME", folder.string()}, {"AWS_EC2_METADATA_DISABLED", "true"}};
    }
    ~Chain() { fs::remove_all(folder); }

    std::string file(const std::string& name, const std::string& text) const {
        fs::create_directories((folder / name).parent_path());
        std::ofstream(folder / name) << text;
        return (folder / name).string();
    }
    /// "access key, secret key, token, source", or what went wrong.
    std::string found() {
        json all = extra;
        all["environment"] = environment;
        connection.extra = all.dump();
        HttpClient client(fake.context());
        AwsCredentialChain chain(client, connection, "eu-west-1", "");
        try {
            const AwsCredentials& who = chain.get();
            return who.access_key + ", " + who.secret_key.reveal() + ", " +
                   who.session_token.reveal() + ", " + who.source;
        } catch (const engine::Failure& failure) {
            return std::string(name(failure.error_class())) + ": " + failure.what();
        }
    }

    task::FakeLedger ledger;
    task::FakeContext fake{ledger};
    fs::path folder;
    task::Connection connection{.id = "lake", .type = "s3", .host = "bucket"};
    json extra = json::object();
    json environment;
};

std::string sts_reply(const std::string& key) {
    return Loopback::reply(
        200,
        "<R><Credentials><AccessKeyId>" + key +
            "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>"
    );
}

std::string json_reply() {
    return Loopback::reply(
        200,
        R"({"AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"})"
    );
}

std::string local(const Loopback& server) {
    return "http://127.0.0.1:" + std::to_string(server.port());
}

}  // namespace

TEST_CASE("the connection's own keys come first", "[aws]") {
    Chain chain;
    chain.file(".aws/credentials", "[default]\naws_access_key_id = f\naws_secret_access_key = f\n");
    chain.connection.login = "k";
    chain.connection.password = Secret("s");
    chain.extra["aws_session_token"] = "t";
    CHECK(chain.found() == "k, s, t, the connection");
}

TEST_CASE("profiles are read from both files", "[aws]") {
    Chain chain;
    chain.file(
        ".aws/credentials",
        "# mine\n[default]\naws_access_key_id = d\naws_secret_access_key=ds\n\n"
        "[work]\naws_access_key_id=w\naws_secret_access_key = ws=\naws_session_token = wt\n"
    );
    CHECK(chain.found() == "d, ds, , profile default");
    chain.environment["AWS_PROFILE"] = "work";
    CHECK(chain.found() == "w, ws=, wt, profile work");
    chain.extra["profile_name"] = "other";
    CHECK(chain.found() == "auth: connection \"lake\": profile other is not there");
    chain.environment["AWS_CONFIG_FILE"] = chain.file(
        "config",
        "[profile other]\ns3 =\n  aws_access_key_id = no\naws_access_key_id = o\n"
        "aws_secret_access_key = os\nregion = eu-north-1\n[profile sso]\nsso_session = x\n"
    );
    CHECK(chain.found() == "o, os, , profile other");
    CHECK(s3_settings(chain.connection).region == "eu-north-1");
    chain.extra["profile_name"] = "sso";
    CHECK(chain.found().find("has sso_session, of which Sluice makes no use") != std::string::npos);
}

TEST_CASE("the region is the connection's, the environment's, the profile's", "[aws]") {
    Chain chain;
    chain.environment["AWS_CONFIG_FILE"] = chain.file("config", "[default]\nregion = eu-north-1\n");
    chain.connection.extra = json{{"environment", chain.environment}}.dump();
    CHECK(s3_settings(chain.connection).region == "eu-north-1");
    chain.environment["AWS_DEFAULT_REGION"] = "eu-west-3";
    chain.connection.extra = json{{"environment", chain.environment}}.dump();
    CHECK(s3_settings(chain.connection).region == "eu-west-3");
    chain.connection.extra =
        json{{"environment", chain.environment}, {"region_name", "sa-east-1"}}.dump();
    CHECK(s3_settings(chain.connection).region == "sa-east-1");
}

TEST_CASE("a web identity's token becomes keys", "[aws]") {
    Chain chain;
    Loopback sts([](const std::string& request) {
        const bool right = request.find("Action=AssumeRoleWithWebIdentity") != std::string::npos &&
                           request.find("WebIdentityToken=to%2Fken") != std::string::npos &&
                           request.find("RoleArn=arn%3Arole") != std::string::npos;
        return right ? sts_reply("k") : Loopback::reply(400, "<Error><Code>No</Code></Error>");
    });
    chain.environment["AWS_ENDPOINT_URL_STS"] = local(sts);
    chain.environment["AWS_ROLE_ARN"] = "arn:role";
    chain.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = chain.file("token", "to/ken\n");
    CHECK(chain.found() == "k, s, t, the web identity of arn:role");
    chain.environment["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/nowhere";
    CHECK(chain.found().starts_with("auth: connection \"lake\": the web identity token /nowhere"));
}

TEST_CASE("a role is taken on with what was found, signed", "[aws]") {
    Chain chain;
    Loopback sts([](const std::string& request) {
        const std::string proof = Loopback::header(request, "Authorization");
        const bool right = proof.find("Credential=base/") != std::string::npos &&
                           proof.find("/eu-west-1/sts/aws4_request") != std::string::npos &&
                           request.find("ExternalId=x") != std::string::npos;
        return right
                   ? sts_reply("role")
                   : Loopback::reply(403, "<R><Code>AccessDenied</Code><Message>no</Message></R>");
    });
    chain.connection.login = "base";
    chain.connection.password = Secret("secret");
    chain.extra = {{"role_arn", "arn:role"}, {"sts_endpoint_url", local(sts)}};
    CHECK(chain.found().ends_with("answers 403 AccessDenied: no"));
    chain.extra["external_id"] = "x";
    CHECK(chain.found() == "role, s, t, arn:role by the connection");
}

TEST_CASE("a container's endpoint gives keys for its token", "[aws]") {
    Chain chain;
    Loopback server([](const std::string& request) {
        const bool right = Loopback::header(request, "Authorization") == "token" &&
                           request.starts_with("GET /creds ");
        return right ? json_reply() : Loopback::reply(401, "");
    });
    chain.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = local(server) + "/creds";
    chain.environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = chain.file("token", "token\n");
    CHECK(chain.found() == "k, s, t, the container's role");
    chain.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://example.com/creds";
    CHECK(chain.found().find("neither https nor local") != std::string::npos);
}

TEST_CASE("an instance's role is asked for with a session token", "[aws]") {
    Chain chain;
    Loopback server([](const std::string& request) {
        if (request.starts_with("PUT /latest/api/token ")) return Loopback::reply(200, "session");
        if (Loopback::header(request, "X-aws-ec2-metadata-token") != "session")
            return Loopback::reply(401, "");
        if (request.starts_with("GET /latest/meta-data/iam/security-credentials/worker "))
            return json_reply();
        return Loopback::reply(200, "worker\n");
    });
    CHECK(chain.found().starts_with("auth: connection \"lake\": no credentials: neither"));
    chain.environment.erase("AWS_EC2_METADATA_DISABLED");
    chain.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = local(server);
    CHECK(chain.found() == "k, s, t, the instance's role");
}
