// loopback.hpp — an HTTP server of a test on 127.0.0.1, port 0: each request is answered by a
// function with the bytes to send. Not for product code.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.hpp"
#include "task/process.hpp"

namespace sluice::connect {

class Loopback {
public:
    /// Gets the whole request; "" = the connection is closed without a word.
    using Answer = std::function<std::string(const std::string& request)>;

    explicit Loopback(Answer answer) : answer_(std::move(answer)) {
        listener_ = task::Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* plain = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_.get(), plain, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
            ::getsockname(listener_.get(), plain, &size) != 0)
            throw Error(ErrorCode::internal, "no port for the test");
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Loopback() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
    }
    Loopback(const Loopback&) = delete;
    Loopback& operator=(const Loopback&) = delete;

    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] std::vector<std::string> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    /// The first lines of what was asked: "GET /x?page=1".
    [[nodiscard]] std::vector<std::string> targets() const {
        std::vector<std::string> out;
        for (const std::string& request : asked())
            out.push_back(request.substr(0, request.find(" HTTP/")));
        return out;
    }

    static std::string reply(int status, const std::string& body, const std::string& headers = "") {
        return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
               "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" +
               body;
    }
    /// The value of a header of a request; "" if it has none.
    static std::string header(const std::string& request, const std::string& name) {
        const auto at = request.find("\r\n" + name + ": ");
        if (at == std::string::npos) return {};
        const auto begin = at + name.size() + 4;
        return request.substr(begin, request.find("\r\n", begin) - begin);
    }

private:
    void serve() {
        for (;;) {
            const task::Fd client{::accept(listener_.get(), nullptr, nullptr)};
            if (!client) return;
            std::string text;
            std::array<char, 4'096> buffer{};
            while (!whole(text)) {
                const ssize_t count = ::read(client.get(), buffer.data(), buffer.size());
                if (count <= 0) break;
                text.append(buffer.data(), static_cast<std::size_t>(count));
            }
            {
                const std::lock_guard lock(mutex_);
                asked_.push_back(text);
            }
            const std::string reply = answer_(text);
            ::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
        }
    }
    static bool whole(const std::string& text) {
        if (text.starts_with('\x16')) return true;  // a TLS handshake
        const auto end = text.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::string length = header(text, "Content-Length");
        return text.size() >= end + 4 + (length.empty() ? 0 : std::stoul(length));
    }

    const Answer answer_;
    task::Fd listener_;
    int port_{0};
    mutable std::mutex mutex_;  // guards asked_
    std::vector<std::string> asked_;
    std::thread thread_;
};

}  // namespace sluice::connect
