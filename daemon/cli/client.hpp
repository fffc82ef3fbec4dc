// client.hpp — the CLI's way to a running daemon: its REST API over HTTP.
// Blocking; one client a command. Errors are Error with the server's own words.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace sluice::cli {

/// How a verb finds the daemon: `--home DIR` (address and password are read there) or `--url` and
/// `--token`.
struct Target {
    std::string home{".sluice"};
    std::string url;
    std::string token;
};

class Client {
public:
    /// Throws Error(unavailable) that says how to start the daemon when nothing answers.
    explicit Client(const Target& target);

    nlohmann::json get(const std::string& path);
    nlohmann::json post(const std::string& path, const nlohmann::json& body);
    nlohmann::json patch(const std::string& path, const nlohmann::json& body);
    nlohmann::json put(const std::string& path);
    void remove(const std::string& path);

    [[nodiscard]] const std::string& url() const { return url_; }

private:
    nlohmann::json request(const char* method, const std::string& path, const std::string* body);
    std::string url_;
    std::string token_;
};

/// As the user that is named, whose password is the file's first line; without one as the target
/// says.
Client client_as(Target target, const std::string& user, const std::string& password_file);

/// Percent-encodes one path segment or query value.
std::string encode(const std::string& text);

/// A field as text: strings as they are, null and absent as "", everything else as JSON.
std::string text_of(const nlohmann::json& object, const char* key);
/// The task of an instance, with its map index if it has one: "load[3]".
std::string task_of(const nlohmann::json& instance);

/// The address that the daemon of this home wrote when it began to serve; none if it is not
/// running.
std::optional<std::string> address_of(const std::string& home);

}  // namespace sluice::cli
