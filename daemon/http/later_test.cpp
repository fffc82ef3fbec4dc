#include "http/later.hpp"

#include <atomic>
#include <condition_variable>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.hpp"

using namespace sluice::http;
using namespace std::chrono_literals;

namespace {

using LaterPtr = std::shared_ptr<Later>;

/// Sends one request; the answer is all that comes until the peer closes.
class Caller {
public:
    Caller(std::uint16_t port, const std::string& path) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        timeval limit{10, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        const std::string text = "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
                                 "Content-Length: 0\r\n\r\n";
        REQUIRE(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) > 0);
    }
    ~Caller() { ::close(fd_); }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    std::string hear() const {
        std::string text;
        char block[4096];
        for (auto size = ::recv(fd_, block, sizeof block, 0); size > 0;
             size = ::recv(fd_, block, sizeof block, 0))
            text.append(block, static_cast<std::size_t>(size));
        return text;
    }

private:
    int fd_;
};

/// A server with one thread, all of whose replies come later.
struct World {
    std::mutex mutex;  // guards waiting
    std::condition_variable changed;
    std::vector<std::pair<std::string, LaterPtr>> waiting;
    Server server;

    explicit World(std::function<void(Later&)> prepare = {})
        : server(options(), [this, prepare = std::move(prepare)](const Request& request) {
              Reply reply;
              reply.later = std::make_shared<Later>();
              if (prepare) prepare(*reply.later);
              const std::lock_guard lock(mutex);
              waiting.emplace_back(request.path, reply.later);
              changed.notify_all();
              return reply;
          }) {}

    static ServerOptions options() {
        ServerOptions options;
        options.threads = 1;
        options.stop_grace = 200ms;
        return options;
    }

    std::vector<std::pair<std::string, LaterPtr>> wait_for(std::size_t count) {
        std::unique_lock lock(mutex);
        REQUIRE(changed.wait_for(lock, 10s, [&] { return waiting.size() >= count; }));
        return waiting;
    }
};

Later::Make text(const std::string& body) {
    return [body] { return text_reply(200, body); };
}

}  // namespace

TEST_CASE("many replies that come later hold no thread, and each finds its caller", "[later]") {
    World world;
    std::vector<std::unique_ptr<Caller>> callers;
    for (int i = 0; i < 40; ++i)
        callers.push_back(std::make_unique<Caller>(world.server.port(), "/" + std::to_string(i)));
    for (const auto& [path, later] : world.wait_for(40)) later->ready(text("for " + path));
    for (std::size_t i = 0; i < callers.size(); ++i)
        CHECK(callers[i]->hear().ends_with("\r\n\r\nfor /" + std::to_string(i)));
}

TEST_CASE("a reply that is there before the handler returns is sent, the first one", "[later]") {
    World world([](Later& later) {
        later.ready(text("first"));
        later.ready(text("second"));
        later.finish_by([](const Later::Make& make) {
            Reply reply = make();
            reply.body += " finished";
            return reply;
        });
    });
    CHECK(Caller(world.server.port(), "/x").hear().ends_with("first finished"));
}

TEST_CASE("what throws while a reply is made is a 500 that tells nothing", "[later]") {
    World world([](Later& later) {
        later.ready([]() -> Reply { throw std::runtime_error("secret detail"); });
    });
    const std::string reply = Caller(world.server.port(), "/x").hear();
    CHECK(reply.starts_with("HTTP/1.1 500"));
    CHECK(reply.find("secret") == std::string::npos);
}

TEST_CASE("who waits is asked now and then, and may give up", "[later]") {
    std::atomic<int> asked{0};
    World world([&](Later& later) {
        later.impatient = [&asked, &later] {
            if (++asked == 2) later.ready(text("given up"));
        };
    });
    CHECK(Caller(world.server.port(), "/x").hear().ends_with("given up"));
    CHECK(asked >= 2);
}

TEST_CASE("a stop does not wait for replies for ever; what comes then is dropped", "[later]") {
    World world;
    const Caller caller(world.server.port(), "/x");
    const auto waiting = world.wait_for(1);
    world.server.stop();
    CHECK(caller.hear().empty());
    waiting.front().second->ready(text("too late"));
}
