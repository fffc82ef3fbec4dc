// sftp_login.cpp — what a connection of type sftp says about keys, its own and the server's.
#include "operators/connect/sftp_login.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "operators/connect/patience.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

std::string setting(const Json& extra, const char* key) {
    const auto found = extra.find(key);
    return found != extra.end() && found->is_string() ? found->get<std::string>() : "";
}

/// A file that nobody else can read, in the attempt's working folder, which goes with it.
std::string private_file(
    task::TaskContext& context, const std::string& name, const std::string& text
) {
    const std::string path = context.scratch() + '/' + name;
    const mode_t before = ::umask(077);
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    ::umask(before);
    out << text << (text.ends_with('\n') ? "" : "\n");
    out.close();
    if (!out) throw engine::Failure(ErrorClass::resource, "cannot write " + path);
    return path;
}

void check_readable(const task::Connection& connection, const char* key, const std::string& path) {
    if (!std::ifstream(path))
        throw engine::Failure(
            ErrorClass::permanent,
            "connection \"" + connection.id + "\": the file of " + key + ", " + path +
                ", cannot be read"
        );
}

/// `host_key` as a line of a known_hosts file: "ssh-ed25519 AAAA...", or with a host before it.
std::string known_hosts_line(const task::Connection& connection, const std::string& key) {
    const std::string at = connection.port == 0 || connection.port == 22
                               ? connection.host
                               : '[' + connection.host + "]:" + std::to_string(connection.port);
    const auto type = std::min(key.find("ssh-"), key.find("ecdsa-"));
    if (type == std::string::npos)
        throw Error(
            ErrorCode::invalid,
            "connection \"" + connection.id +
                "\": extra.host_key is no public key: write \"ssh-ed25519 AAAA...\""
        );
    return at + ' ' + key.substr(type);
}

void set_host_key(
    task::TaskContext& context,
    const task::Connection& connection,
    const Json& extra,
    SftpLogin& login
) {
    std::string fingerprint = setting(extra, "host_key_fingerprint");
    if (fingerprint.starts_with("SHA256:")) fingerprint.erase(0, 7);
    while (fingerprint.ends_with('=')) fingerprint.pop_back();
    login.fingerprint = fingerprint;
    if (!fingerprint.empty()) return;
    if (const std::string key = setting(extra, "host_key"); !key.empty()) {
        login.known_hosts = private_file(context, "known_hosts", known_hosts_line(connection, key));
        return;
    }
    login.known_hosts = setting(extra, "known_hosts");
    if (!login.known_hosts.empty()) {
        check_readable(connection, "extra.known_hosts", login.known_hosts);
        return;
    }
    const char* home = std::getenv("HOME");
    const std::string usual = home == nullptr ? "" : std::string(home) + "/.ssh/known_hosts";
    // An empty one knows nobody, and the message says whose key is missing.
    login.known_hosts = std::ifstream(usual) ? usual : private_file(context, "known_hosts", "");
}

}  // namespace

SftpLogin sftp_login(task::TaskContext& context, const task::Connection& connection) {
    if (connection.host.empty() || connection.login.empty())
        throw Error(
            ErrorCode::invalid, "connection \"" + connection.id + "\" needs a host and a login"
        );
    const Json extra = extra_of(connection);
    SftpLogin login;
    set_host_key(context, connection, extra, login);
    login.key_file = setting(extra, "key_file");
    if (!login.key_file.empty()) check_readable(connection, "extra.key_file", login.key_file);
    if (const std::string key = setting(extra, "private_key"); !key.empty())
        login.key_file = private_file(context, "sftp_key", key);
    login.passphrase = Secret(setting(extra, "private_key_passphrase"));
    return login;
}

}  // namespace sluice::connect
