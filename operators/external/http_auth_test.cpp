#include "operators/external/http_auth.hpp"

#include <sstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/hash.hpp"
#include "operators/connect/loopback.hpp"
#include "operators/external/url.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::ops;
using connect::Loopback;
using Json = nlohmann::json;

namespace {

task::Connection connection(const Loopback& server, const Json& extra) {
    return {
        .id = "api",
        .type = "http",
        .host = "127.0.0.1",
        .port = server.port(),
        .login = "ada",
        .password = Secret("pw secret"),
        .schema = "http",
        .extra = extra.dump(),
    };
}

/// Sends requests as `api` and keeps what the server saw.
struct Client {
    Client(const Loopback& server, const Json& extra)
        : fake(ledger), client(fake.context()), auth(client, connection(server, extra)) {
        request.url = "http://127.0.0.1:" + std::to_string(server.port()) + "/x";
    }
    HttpAnswer send() { return send_signed(client, auth, request); }
    task::FakeLedger ledger;
    task::FakeContext fake;
    HttpClient client;
    HttpAuth auth;
    HttpRequest request;
};

std::string hmac(const EVP_MD* digest, const std::string& key, const std::string& text) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    HMAC(
        digest,
        key.data(),
        static_cast<int>(key.size()),
        reinterpret_cast<const unsigned char*>(text.data()),
        text.size(),
        out,
        &size
    );
    return {reinterpret_cast<const char*>(out), size};
}

std::string ok(const std::string&) { return Loopback::reply(200, "{}"); }

/// The signature that AWS computes for a request, by its rules alone.
std::string aws_signature(const std::string& request, const std::string& secret) {
    const std::string proof = Loopback::header(request, "Authorization");
    const auto between = [&](const std::string& from, const std::string& to) {
        const auto begin = proof.find(from) + from.size();
        return proof.substr(begin, proof.find(to, begin) - begin);
    };
    const std::string scope = between("Credential=ada/", ",");
    const std::string names = between("SignedHeaders=", ",");
    const std::string line = request.substr(4, request.find(" HTTP/") - 4);
    const auto mark = line.find('?');
    std::string canonical = "GET\n" + line.substr(0, mark) + '\n' +
                            (mark == std::string::npos ? "" : line.substr(mark + 1)) + '\n';
    std::istringstream each(names);
    for (std::string name; std::getline(each, name, ';');) {
        std::string value = Loopback::header(request, name);
        if (name == "host") value = Loopback::header(request, "Host");
        if (name == "x-amz-date") value = Loopback::header(request, "X-Amz-Date");
        canonical += name + ':' + value + '\n';
    }
    canonical += '\n' + names + '\n' + sha256_hex("");
    const std::string text = "AWS4-HMAC-SHA256\n" + Loopback::header(request, "X-Amz-Date") + '\n' +
                             scope + '\n' + sha256_hex(canonical);
    std::string key = "AWS4" + secret;
    std::istringstream parts(scope);
    for (std::string part; std::getline(parts, part, '/');) key = hmac(EVP_sha256(), key, part);
    return to_hex(hmac(EVP_sha256(), key, text));
}

}  // namespace

TEST_CASE("http auth: none, basic, bearer and API key, by the connection", "[http][auth]") {
    Loopback server(ok);
    const auto asked = [&](const Json& extra) {
        Client client(server, extra);
        REQUIRE(client.send().reply);
        return server.asked().back();
    };
    CHECK(Loopback::header(asked({{"auth", "none"}}), "Authorization").empty());
    const std::string basic = "Basic YWRhOnB3IHNlY3JldA==";
    CHECK(Loopback::header(asked(Json::object()), "Authorization") == basic);
    CHECK(Loopback::header(asked({{"auth", "basic"}}), "Authorization") == basic);
    CHECK(Loopback::header(asked({{"auth", "bearer"}}), "Authorization") == "Bearer pw secret");
    CHECK(Loopback::header(asked({{"auth", "api_key"}}), "X-API-Key") == "pw secret");
    const std::string in_query = asked({{"auth", "api_key"}, {"api_key_in", "query"}});
    CHECK(in_query.starts_with("GET /x?api_key=pw%20secret HTTP/1.1"));
    CHECK(Loopback::header(asked({{"headers", {{"X-Team", "data"}}}}), "X-Team") == "data");
}

TEST_CASE("http auth: a way that there is not is refused by name", "[http][auth]") {
    Loopback server(ok);
    CHECK_THROWS_WITH(
        Client(server, {{"auth", "kerberos"}}),
        Catch::Contains("connection \"api\": auth \"kerberos\"")
    );
    CHECK_THROWS_WITH(Client(server, {{"auth", "oauth2"}}), Catch::Contains("token_url"));
    CHECK_THROWS_WITH(Client(server, {{"auth", "sigv4"}}), Catch::Contains("region"));
}

TEST_CASE("http auth: OAuth2 gets one token, keeps it, and a new one after a 401", "[http][auth]") {
    int tokens = 0;
    std::string valid;
    Loopback server([&](const std::string& request) {
        if (!request.starts_with("POST /token"))
            return Loopback::header(request, "Authorization") == "Bearer " + valid
                       ? Loopback::reply(200, "{}")
                       : Loopback::reply(401, "{}");
        valid = "t" + std::to_string(++tokens);
        return Loopback::reply(200, R"({"access_token":")" + valid + R"(","expires_in":300})");
    });
    Client client(server, {{"auth", "oauth2"}, {"token_url", "/token"}, {"scope", "orders:read"}});
    CHECK(client.send().reply->status == 200);
    CHECK(client.send().reply->status == 200);
    CHECK(tokens == 1);
    const std::string login = server.asked().front();
    CHECK(Loopback::header(login, "Authorization") == "Basic YWRhOnB3IHNlY3JldA==");
    CHECK_THAT(login, Catch::Contains("\r\n\r\ngrant_type=client_credentials&scope=orders%3Aread"));
    valid = "taken back";
    CHECK(client.send().reply->status == 200);
    CHECK(tokens == 2);
}

TEST_CASE("http auth: an OAuth2 token that has expired is fetched anew", "[http][auth]") {
    int tokens = 0;
    Loopback server([&](const std::string& request) {
        if (!request.starts_with("POST /token")) return Loopback::reply(200, "{}");
        ++tokens;
        return Loopback::reply(200, R"({"access_token":"t","expires_in":0})");
    });
    Client client(server, {{"auth", "oauth2"}, {"token_url", "/token"}, {"client_auth", "body"}});
    REQUIRE(client.send().reply);
    REQUIRE(client.send().reply);
    CHECK(tokens == 2);
    CHECK_THAT(server.asked().front(), Catch::Contains("client_id=ada&client_secret=pw%20secret"));
}

TEST_CASE("http auth: a wrong password of OAuth2 is of class auth", "[http][auth]") {
    Loopback server([](const std::string&) {
        return Loopback::reply(401, R"({"error":"invalid_client"})");
    });
    Client client(server, {{"auth", "oauth2"}, {"token_url", "/token"}});
    const HttpAnswer answer = client.send();
    REQUIRE_FALSE(answer.reply);
    CHECK(answer.failure.error_class == ErrorClass::auth);
    CHECK_THAT(answer.failure.message, Catch::Contains("/token is refused: 401"));
    CHECK_THAT(answer.failure.message, !Catch::Contains("pw secret"));
}

TEST_CASE("http auth: an HMAC signs method, target, time, key and body", "[http][auth]") {
    Loopback server(ok);
    Client client(server, {{"auth", "hmac"}});
    client.request.method = "POST";
    client.request.url += "?a=1";
    client.request.body = "{\"b\":2}";
    REQUIRE(client.send().reply);
    const std::string request = server.asked().back();
    const std::string text = "POST\n/x?a=1\n" + Loopback::header(request, "X-Timestamp") +
                             "\nada\n" + sha256_hex("{\"b\":2}");
    CHECK(Loopback::header(request, "X-Key-Id") == "ada");
    CHECK(
        Loopback::header(request, "X-Signature") == to_hex(hmac(EVP_sha256(), "pw secret", text))
    );
}

TEST_CASE("http auth: SigV4 is the signature that AWS computes", "[http][auth]") {
    Loopback server(ok);
    Client client(
        server, {{"auth", "sigv4"}, {"region", "eu-central-1"}, {"service", "execute-api"}}
    );
    client.request.url +=
        "?" + encode_query({{"page", "1"}, {"since", "2026-01-05T00:00:00+00:00"}});
    REQUIRE(client.send().reply);
    const std::string request = server.asked().back();
    const std::string proof = Loopback::header(request, "Authorization");
    CHECK_THAT(proof, Catch::Contains("/eu-central-1/execute-api/aws4_request"));
    CHECK_THAT(proof, Catch::EndsWith("Signature=" + aws_signature(request, "pw secret")));
}

TEST_CASE("addresses of a server: resolved, compared, found in a Link header", "[http][url]") {
    const std::string base = "https://api.example.com/v1/orders?page=1";
    CHECK(resolve_url(base, "/v1/orders?page=2") == "https://api.example.com/v1/orders?page=2");
    CHECK(resolve_url(base, "?page=2") == "https://api.example.com/v1/orders?page=2");
    CHECK(resolve_url(base, "https://other.example/x") == "https://other.example/x");
    CHECK(same_origin(base, "https://API.example.com:443/other"));
    CHECK_FALSE(same_origin(base, "http://api.example.com/v1"));
    CHECK_FALSE(same_origin(base, "https://api.example.com:8443/v1"));
    CHECK_FALSE(same_origin(base, "https://api.example.com.evil.example/v1"));
    CHECK(next_link("<https://a/1>; rel=\"prev\", <https://a/3>; rel=\"next\"") == "https://a/3");
    CHECK(next_link("<https://a/3,b>; title=\"a, b\"; rel=\"last next\"") == "https://a/3,b");
    CHECK_FALSE(next_link("<https://a/1>; rel=\"prev\"; title=\"next\""));
    CHECK_FALSE(next_link(""));
    CHECK_FALSE(next_link("broken; rel=next"));
}
