// sftp_login.hpp — how an SFTP server proves who it is, and how we do.
#pragma once

#include <string>

#include "task/context.hpp"

namespace sluice::connect {

/// Files that libcurl wants lie in the attempt's working folder.
struct SftpLogin {
    std::string known_hosts;  // a file
    std::string fingerprint;  // SHA-256 of the server's key in base64, in its place
    std::string key_file;     // "" = the password is used
    Secret passphrase;
};

/// From login, password and extra. Throws Error(invalid) if host or login are missing,
/// Failure(permanent) for a file that cannot be read.
SftpLogin sftp_login(task::TaskContext& context, const task::Connection& connection);

}  // namespace sluice::connect
