#include "http/server.hpp"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.hpp"
#include "http/stream.hpp"

using namespace sluice;
using namespace sluice::http;
using namespace std::chrono_literals;

namespace {

/// A raw client: says what it is told, reads until the peer closes or `done` is in the text.
class Raw {
public:
    explicit Raw(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        timeval limit{10, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
    ~Raw() { ::close(fd_); }
    Raw(const Raw&) = delete;
    Raw& operator=(const Raw&) = delete;

    [[nodiscard]] bool connected() const { return connected_; }
    bool say(std::string_view text) {
        return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text.size());
    }
    void finish_sending() { ::shutdown(fd_, SHUT_WR); }
    std::string hear(std::string_view done = {}) {
        std::string text;
        char block[4096];
        while (done.empty() || text.find(done) == std::string::npos) {
            const auto size = ::recv(fd_, block, sizeof block, 0);
            if (size <= 0) break;
            text.append(block, static_cast<std::size_t>(size));
        }
        return text;
    }

private:
    int fd_;
    bool connected_{false};
};

Reply echo(const Request& request) {
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    return text_reply(200, request.method + " " + request.path + " " + request.body);
}

ServerOptions quick() {
    ServerOptions options;
    options.threads = 4;
    options.header_timeout = 300ms;
    options.body_timeout = 300ms;
    options.idle_timeout = 300ms;
    options.stop_grace = 500ms;
    return options;
}

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

template <class Condition>
bool eventually(Condition condition) {
    for (const auto end = std::chrono::steady_clock::now() + 10s;
         std::chrono::steady_clock::now() < end;
         std::this_thread::yield())
        if (condition()) return true;
    return false;
}

}  // namespace

TEST_CASE("a request is answered, with a date, its id and a length", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    client.say("GET /a+b?x=1 HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc\r\nConnection: close\r\n\r\n"
    );
    const std::string reply = client.hear();
    CHECK(reply.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(reply.find("X-Request-Id: abc\r\n") != std::string::npos);
    CHECK(reply.find("Date: ") != std::string::npos);
    CHECK(reply.ends_with("GET /a+b "));
}

TEST_CASE("HEAD has the length but not the body", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    client.say("HEAD /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string reply = client.hear();
    CHECK(reply.find("Content-Length: 10\r\n") != std::string::npos);
    CHECK(reply.ends_with("\r\n\r\n"));
}

TEST_CASE("pipelined requests are answered in order", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    std::string requests;
    for (int i = 0; i < 20; ++i)
        requests += "GET /n" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    requests +=
        "POST /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    client.say(requests);
    const std::string reply = client.hear();
    CHECK(count(reply, "HTTP/1.1 200 OK") == 21);
    CHECK(reply.find("/n3 ") < reply.find("/n4 "));
    CHECK(reply.ends_with("POST /last abc"));
}

TEST_CASE("a handler that throws is a 500 that tells nothing", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    client.say("GET /throw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string reply = client.hear();
    CHECK(reply.starts_with("HTTP/1.1 500"));
    CHECK(reply.find("secret") == std::string::npos);
}

TEST_CASE("a header that trickles in is cut off (slowloris)", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    const auto begin = std::chrono::steady_clock::now();
    client.say("GET / HTTP/1.1\r\nHost: x\r\n");
    std::thread trickle([&] {
        for (int i = 0; i < 200 && client.say("X-A: b\r\n"); ++i) std::this_thread::sleep_for(10ms);
    });
    client.hear();
    CHECK(std::chrono::steady_clock::now() - begin < 5s);
    trickle.join();
    Raw other(server.port());
    other.say("GET /still HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(other.hear().ends_with("GET /still "));
}

TEST_CASE("a body that never comes, and a connection that says nothing, are cut off", "[http]") {
    Server server(quick(), echo);
    Raw body(server.port());
    Raw silent(server.port());
    body.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    CHECK(body.hear().empty());
    CHECK(silent.hear().empty());
    CHECK(eventually([&] { return server.counters().connections == 0; }));
}

TEST_CASE("an oversized header is 431, an oversized body 413", "[http]") {
    Server server(quick(), echo);
    Raw header(server.port());
    header.say("GET / HTTP/1.1\r\nX-Long: " + std::string(200'000, 'a') + "\r\n\r\n");
    CHECK(header.hear().starts_with("HTTP/1.1 431"));
    Raw body(server.port());
    body.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n");
    CHECK(body.hear().starts_with("HTTP/1.1 413"));
    CHECK(server.counters().bad_requests == 2);
}

TEST_CASE("what is not HTTP is 400", "[http]") {
    Server server(quick(), echo);
    for (const std::string_view text : {
             "\x16\x03\x01\x02 hello\r\n\r\n",
             "GET / HTTP/9.9\r\n\r\n",
             "GET /a b HTTP/1.1\r\n\r\n",
             "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
             "GET / HTTP/1.1\r\nno colon here\r\n\r\n",
         }) {
        CAPTURE(text);
        Raw client(server.port());
        client.say(text);
        CHECK(client.hear().starts_with("HTTP/1.1 400"));
    }
}

TEST_CASE("a chunked body arrives whole, and Expect: 100-continue is answered", "[http]") {
    Server server(quick(), echo);
    Raw chunked(server.port());
    chunked.say(
        "POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    CHECK(chunked.hear().ends_with("POST /c abcde"));
    Raw expecting(server.port());
    expecting.say(
        "POST /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n"
    );
    CHECK(expecting.hear("\r\n\r\n").starts_with("HTTP/1.1 100"));
    expecting.say("ok");
    CHECK(expecting.hear().ends_with("POST /e ok"));
}

TEST_CASE("a peer that has closed its sending side still gets its answer", "[http]") {
    Server server(quick(), echo);
    Raw client(server.port());
    client.say("GET /half HTTP/1.1\r\nHost: x\r\n\r\n");
    client.finish_sending();
    CHECK(client.hear().ends_with("GET /half "));
}

TEST_CASE("many connections at once are all served", "[http]") {
    Server server(quick(), echo);
    std::vector<std::unique_ptr<Raw>> clients;
    for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<Raw>(server.port()));
    for (auto& client : clients)
        REQUIRE(client->say("GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    for (auto& client : clients) REQUIRE(client->hear().ends_with("GET /x "));
}

TEST_CASE("connections over the limit are closed, the others go on", "[http]") {
    ServerOptions options = quick();
    options.max_connections = 2;
    options.header_timeout = 5s;
    Server server(options, echo);
    Raw first(server.port());
    Raw second(server.port());
    REQUIRE(eventually([&] { return server.counters().connections == 2; }));
    Raw third(server.port());
    CHECK(third.hear().empty());
    first.say("GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(first.hear().ends_with("GET /first "));
}

TEST_CASE("a port in use is an error that names it", "[http]") {
    Server server(quick(), echo);
    ServerOptions same = quick();
    same.port = server.port();
    try {
        Server second(same, echo);
        FAIL("two servers on one port");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::conflict);
        CHECK(
            std::string(error.what())
                .find("port " + std::to_string(server.port()) + " is in use") != std::string::npos
        );
    }
}

TEST_CASE("a stop lets the running request end", "[http]") {
    std::promise<void> entered;
    std::promise<void> go_on;
    Server server(quick(), [&](const Request&) {
        entered.set_value();
        go_on.get_future().wait();
        return text_reply(200, "done");
    });
    Raw client(server.port());
    client.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    entered.get_future().wait();
    std::thread stopper([&] { server.stop(); });
    go_on.set_value();
    const std::string reply = client.hear();
    stopper.join();
    CHECK(reply.ends_with("done"));
    CHECK_FALSE(Raw(server.port()).connected());
}

TEST_CASE("an event stream gives what is pushed, and tells when its reader has gone", "[http]") {
    const auto stream = std::make_shared<Stream>();
    std::promise<void> gone;
    Server server(quick(), [&](const Request&) {
        Reply reply;
        reply.content_type = "text/event-stream";
        reply.body = sse_event("", "hello", "{}");
        reply.stream = stream;
        stream->on_gone([&] { gone.set_value(); });
        return reply;
    });
    {
        Raw client(server.port());
        client.say("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
        CHECK(client.hear("hello").find("Transfer-Encoding: chunked") != std::string::npos);
        CHECK(stream->push(sse_event("7", "b", "a\nb")));
        CHECK(client.hear("data: b").find("id: 7\nevent: b\ndata: a\n") != std::string::npos);
    }
    CHECK(gone.get_future().wait_for(5s) == std::future_status::ready);
    CHECK_FALSE(stream->push("x"));
    CHECK(eventually([&] { return server.counters().streams == 0; }));
}

TEST_CASE("a stream whose reader is too slow is closed, not its pusher held up", "[http]") {
    Stream stream(100);
    CHECK(stream.push(std::string(60, 'x')));
    CHECK_FALSE(stream.push(std::string(60, 'x')));
    CHECK(stream.closed());
}

TEST_CASE("a closed stream ends the reply and a stop ends open streams", "[http]") {
    const auto stream = std::make_shared<Stream>();
    std::atomic<bool> asked{false};
    Server server(quick(), [&](const Request&) {
        Reply reply;
        reply.stream = stream;
        asked = true;
        return reply;
    });
    Raw client(server.port());
    client.say("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(eventually([&] { return server.counters().streams == 1; }));
    stream->push("bye");
    server.stop();
    CHECK(client.hear().ends_with("3\r\nbye\r\n0\r\n\r\n"));
}
