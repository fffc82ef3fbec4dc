// offer.cpp — sends one request again and again over keep-alive connections and measures the
// answers, on one thread. Reads a bearer token and the body from standard input, prints JSON.
// Usage: offer HOST PORT TARGET CONNECTIONS SECONDS RATE BURST
// With RATE 0 a connection sends as soon as it has its answer. Otherwise RATE requests a second are
// due at fixed times, BURST of them at once, and an answer's time counts from when its request was
// due: a server that falls behind cannot hide it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Steady = std::chrono::steady_clock;
using Code = boost::system::error_code;

struct Load {
    http::request<http::string_body> request;
    net::ip::tcp::endpoint where;
    Steady::time_point begin;
    Steady::time_point end;
    Steady::duration interval{};  // between two bursts of all connections; 0 = none
    std::int64_t burst{1};
    std::int64_t due{0};  // requests whose time has been given out
    std::vector<double> milliseconds;
    std::int64_t sent{0};
    std::int64_t failed{0};
    std::string first_failure;

    void fail(std::string why) {
        if (failed++ == 0) first_failure = std::move(why);
    }
};

class Client : public std::enable_shared_from_this<Client> {
public:
    Client(net::io_context& io, Load& load) : socket_(io), timer_(io), load_(load) {
        socket_.connect(load.where);
        socket_.set_option(net::ip::tcp::no_delay(true));
    }

    void next() {
        if (load_.interval == Steady::duration{}) {
            from_ = Steady::now();
            if (from_ < load_.end) send();
            return;
        }
        from_ = load_.begin + load_.interval * (load_.due++ / load_.burst);
        if (from_ >= load_.end) return;
        if (from_ <= Steady::now()) return send();
        timer_.expires_at(from_);
        timer_.async_wait([self = shared_from_this()](Code) { self->send(); });
    }

private:
    void send() {
        ++load_.sent;
        http::async_write(
            socket_,
            load_.request,
            [self = shared_from_this()](Code error, std::size_t) {
                if (error) return self->load_.fail(error.message());
                self->read();
            }
        );
    }
    void read() {
        answer_ = {};
        http::async_read(
            socket_,
            buffer_,
            answer_,
            [self = shared_from_this()](Code error, std::size_t) {
                if (error) return self->load_.fail(error.message());
                self->note();
            }
        );
    }
    void note() {
        const std::chrono::duration<double, std::milli> took = Steady::now() - from_;
        load_.milliseconds.push_back(took.count());
        if (answer_.result() != http::status::ok)
            load_.fail(std::to_string(answer_.result_int()) + " " + answer_.body());
        next();
    }

    net::ip::tcp::socket socket_;
    net::steady_timer timer_;
    beast::flat_buffer buffer_;
    http::response<http::string_body> answer_;
    Steady::time_point from_;
    Load& load_;
};

double part(const std::vector<double>& sorted, double share) {
    if (sorted.empty()) return 0;
    const auto place = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(place, sorted.size() - 1)];
}

// For a message in JSON: what could end a string is left out.
std::string plain(std::string text) {
    std::erase_if(text, [](char c) { return c == '"' || c == '\\' || c < ' '; });
    return text.substr(0, 300);
}

void offer(char** argv) {
    Load load;
    std::string token;
    std::string body;
    std::getline(std::cin, token);
    std::getline(std::cin, body);
    const double seconds = std::atof(argv[5]);
    const double rate = std::atof(argv[6]);
    load.where = {net::ip::make_address(argv[1]), static_cast<std::uint16_t>(std::atoi(argv[2]))};
    load.request = {http::verb::post, argv[3], 11};
    load.request.set(http::field::host, argv[1]);
    load.request.set(http::field::authorization, "Bearer " + token);
    load.request.set(http::field::content_type, "application/json");
    load.request.body() = body;
    load.request.prepare_payload();
    const auto length = [](double s) {
        return std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(s));
    };
    load.burst = std::max(1, std::atoi(argv[7]));
    if (rate > 0) load.interval = length(static_cast<double>(load.burst) / rate);

    net::io_context io{1};
    std::vector<std::shared_ptr<Client>> clients;
    for (int i = 0; i < std::atoi(argv[4]); ++i)
        clients.push_back(std::make_shared<Client>(io, load));
    load.begin = Steady::now();
    load.end = load.begin + length(seconds);
    for (const auto& client : clients) client->next();
    io.run();
    const std::chrono::duration<double> took = Steady::now() - load.begin;

    auto& times = load.milliseconds;
    std::ranges::sort(times);
    std::printf(
        R"({"sent":%lld,"failed":%lld,"first_failure":"%s","seconds":%.3f,"per_second":%.0f,)"
        R"("p50_ms":%.2f,"p99_ms":%.2f,"max_ms":%.2f})"
        "\n",
        static_cast<long long>(load.sent),
        static_cast<long long>(load.failed),
        plain(load.first_failure).c_str(),
        took.count(),
        static_cast<double>(times.size()) / took.count(),
        part(times, 0.5),
        part(times, 0.99),
        part(times, 1)
    );
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 8)
            throw std::runtime_error("usage: offer HOST PORT TARGET CONNECTIONS SECONDS RATE BURST"
            );
        offer(argv);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
