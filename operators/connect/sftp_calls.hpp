// sftp_calls.hpp — one transfer over SFTP (libcurl with libssh2): logged in, the server's key
// checked, judged, and tried again if that may help. For sftp*.cpp only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "operators/connect/curl.hpp"
#include "operators/connect/sftp_login.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

namespace sluice::connect {

struct SftpCall {
    std::string path;  // as the server knows it: "/in/x.csv", "/~/x.csv"; of a folder with '/' last
    bool head{false};  // only whether it is there, its size and time
    bool names{false};  // of a folder: names instead of lines as `ls -l` has them
    /// Gets the bytes. What it throws ends the transfer and comes out of send().
    std::function<void(std::string_view bytes)> into{};
    /// Called before each try; where the transfer is to begin.
    std::function<std::int64_t()> begin{};
};

struct SftpReply {
    std::int64_t bytes{0};     // of a file; also 0 if the server does not say
    std::int64_t changed{-1};  // seconds since 1970
};

/// The server cannot open it and does not say why: it may be a folder.
class NotOpened : public engine::Failure {
public:
    using Failure::Failure;
};

class SftpCalls {
public:
    /// Throws what sftp_login() does.
    SftpCalls(task::TaskContext& context, const task::Connection& connection);

    /// None if there is no such file or folder. Throws Failure: transient, auth, permanent.
    std::optional<SftpReply> send(const SftpCall& call);
    [[nodiscard]] std::string address(const std::string& path) const;
    /// "connection \"x\": sftp://host/in/x.csv".
    [[nodiscard]] std::string named(const std::string& path) const;

private:
    struct Try;
    Easy make_easy(const SftpCall& call, Try& coming) const;
    /// Waits for another try, or throws what went wrong.
    void judge(const Try& coming, int failures);
    [[noreturn]] void refuse_key(const Try& coming) const;

    task::TaskContext& context_;
    task::Connection connection_;
    SftpLogin login_;
    Multi multi_;
    int retries_;
    std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace sluice::connect
