#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.hpp"
#include "operators/external/external.hpp"
#include "operators/external/json_path.hpp"
#include "task/fake_context.hpp"
#include "task/process.hpp"

using namespace sluice;
using namespace sluice::task;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

/// Answers every connection with one reply and keeps what it was asked.
class Server {
public:
    explicit Server(std::string reply) : reply_(std::move(reply)) {
        listener_ = Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(
            ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0
        );
        REQUIRE(::listen(listener_.get(), 8) == 0);
        socklen_t size = sizeof address;
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] std::string url() const {
        return "http://127.0.0.1:" + std::to_string(port) + "/x";
    }

    int port{0};
    std::string asked;  // read after the request has been answered
    std::atomic<bool> got_one{false};

private:
    void serve() {
        for (;;) {
            const Fd client{::accept(listener_.get(), nullptr, nullptr)};
            if (!client) return;
            std::string text;
            std::array<char, 4'096> buffer{};
            while (!whole(text)) {
                const ssize_t count = ::read(client.get(), buffer.data(), buffer.size());
                if (count <= 0) break;
                text.append(buffer.data(), static_cast<std::size_t>(count));
            }
            asked = text;
            got_one = true;
            if (reply_.empty()) {
                // Never answers: waits until the client goes.
                while (::read(client.get(), buffer.data(), buffer.size()) > 0) {
                }
                continue;
            }
            ::send(client.get(), reply_.data(), reply_.size(), MSG_NOSIGNAL);
        }
    }

    static bool whole(const std::string& text) {
        const auto end = text.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const auto length = text.find("Content-Length: ");
        const std::size_t body =
            length == std::string::npos ? 0 : std::stoul(text.substr(length + 16));
        return text.size() >= end + 4 + body;
    }

    const std::string reply_;
    Fd listener_;
    std::thread thread_;
};

std::string reply(int status, const std::string& body, const std::string& headers = "") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" +
           body;
}

struct Ran {
    Outcome outcome;
    Json xcom;
};

Ran http(const Json& params, const std::function<void(FakeContext&)>& prepare = {}) {
    FakeLedger ledger;
    FakeContext fake(ledger);
    if (prepare) prepare(fake);
    Ran ran;
    ran.outcome = fake.run(ops::http_operator(), params);
    ran.xcom = fake.xcom();
    return ran;
}

}  // namespace

TEST_CASE("http: a JSON body is posted, the reply is the value", "[http]") {
    Server server(reply(201, R"({"id": 7})"));
    const Ran ran = http(
        {{"url", server.url()},
         {"body", {{"a", 1}}},
         {"query_params", {{"q", "a b&c"}}},
         {"headers", {{"X-Test", 5}}}}
    );
    INFO(ran.outcome.message);
    REQUIRE(ran.outcome.kind == OutcomeKind::success);
    REQUIRE(ran.xcom == Json{{"id", 7}});
    REQUIRE_THAT(server.asked, Catch::StartsWith("POST /x?q=a%20b%26c HTTP/1.1"));
    REQUIRE_THAT(server.asked, Catch::Contains("Content-Type: application/json"));
    REQUIRE_THAT(server.asked, Catch::Contains("X-Test: 5"));
    REQUIRE_THAT(server.asked, Catch::Contains("Idempotency-Key: "));
    REQUIRE_THAT(server.asked, Catch::EndsWith(R"({"a":1})"));
}

TEST_CASE("http: the idempotency key is the same for every attempt of an interval", "[http]") {
    const auto key = [](int try_number, const char* day) {
        Server server(reply(200, ""));
        http({{"url", server.url()}}, [&](FakeContext& fake) {
            fake.job.info.try_number = try_number;
            const Instant start = parse_time(day)->at;
            fake.interval(start, start + 24h);
        });
        const auto at = server.asked.find("Idempotency-Key: ");
        return server.asked.substr(at + 17, 64);
    };
    REQUIRE(key(1, "2026-01-05") == key(2, "2026-01-05"));
    REQUIRE(key(1, "2026-01-05") != key(1, "2026-01-06"));
}

TEST_CASE("http: address and credentials come from the connection", "[http]") {
    Server server(reply(200, "ok"));
    const Ran ran = http(
        {{"conn_id", "api"}, {"endpoint", "v1/items"}, {"method", "GET"}},
        [&](FakeContext& fake) {
            Connection connection;
            connection.id = "api";
            connection.type = "http";
            connection.host = "127.0.0.1";
            connection.port = server.port;
            connection.login = "ada";
            connection.password = Secret{"pw"};
            connection.extra = R"({"headers": {"X-Tenant": "t1"}})";
            fake.connect(connection);
        }
    );
    INFO(ran.outcome.message);
    REQUIRE(ran.xcom == "ok");
    REQUIRE_THAT(server.asked, Catch::StartsWith("GET /v1/items HTTP/1.1"));
    REQUIRE_THAT(server.asked, Catch::Contains("Authorization: Basic YWRhOnB3"));
    REQUIRE_THAT(server.asked, Catch::Contains("X-Tenant: t1"));
    REQUIRE_THAT(server.asked, !Catch::Contains("Idempotency-Key"));
}

TEST_CASE("http: a status decides the class of the failure", "[http]") {
    const auto run = [](const std::string& text) {
        Server server(text);
        return http({{"url", server.url()}}).outcome;
    };
    REQUIRE(run(reply(401, "no")).error_class == ErrorClass::auth);
    REQUIRE(run(reply(404, "no")).error_class == ErrorClass::permanent);
    REQUIRE(run(reply(500, "no")).error_class == ErrorClass::transient);
    const Outcome limited = run(reply(429, "slow", "Retry-After: 17\r\n"));
    REQUIRE(limited.error_class == ErrorClass::rate_limited);
    REQUIRE(limited.retry_after == Duration{17s});
    REQUIRE_THAT(run(reply(404, "no such item")).message, Catch::Contains("404: no such item"));
}

TEST_CASE("http: expectations on status and JSON are held", "[http]") {
    Server server(reply(404, R"({"items": [{"state": "done"}]})"));
    const Json status{"404"};
    const auto run = [&](const Json& json) {
        return http({{"url", server.url()},
                     {"expect", {{"status", {404, "200-299"}}, {"json", json}}}}
        ).outcome;
    };
    REQUIRE(run({{"$.items[0].state", "done"}}).kind == OutcomeKind::success);
    const Outcome wrong = run({{"$.items[-1]['state']", "new"}});
    REQUIRE(wrong.error_class == ErrorClass::data_quality);
    REQUIRE_THAT(wrong.message, Catch::Contains("\"done\", expected \"new\""));
    REQUIRE_THAT(run({{"$.nothing", 1}}).message, Catch::Contains("not in the reply"));
    REQUIRE_THROWS_AS(ops::find_path(Json{}, "items"), Error);
}

TEST_CASE("http: a refused connection is transient, a bad address permanent", "[http]") {
    int port = 0;
    {
        const Server gone(reply(200, ""));
        port = gone.port;
    }
    const auto refused = http({{"url", "http://127.0.0.1:" + std::to_string(port)}}).outcome;
    REQUIRE(refused.error_class == ErrorClass::transient);
    REQUIRE_THAT(refused.message, Catch::Contains("127.0.0.1"));
    REQUIRE(http({{"url", "file:///etc/passwd"}}).outcome.error_class == ErrorClass::permanent);
}

TEST_CASE("http: a cancel ends a request that nobody answers", "[http][cancel]") {
    Server server("");
    FakeLedger ledger;
    FakeContext fake(ledger);
    TaskContext& ctx = fake.context();
    std::chrono::steady_clock::time_point begin;
    std::thread canceller([&] {
        while (!server.got_one) std::this_thread::yield();
        begin = std::chrono::steady_clock::now();
        ctx.cancel();
    });
    const Outcome outcome = fake.run(ops::http_operator(), {{"url", server.url()}});
    canceller.join();
    REQUIRE(std::chrono::steady_clock::now() - begin < 1s);
    REQUIRE(outcome.message.ends_with("cancelled"));
}
