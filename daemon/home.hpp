// home.hpp — a daemon's home folder: who owns it, its password, secrets and address.
// Files: sluice.pid (locked while a daemon runs), sluice.url, admin.password, secrets (0600),
// instance.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/secret.hpp"

namespace sluice {

class Home {
public:
    /// Makes the folder if it is not there and takes it. Throws Error(conflict) naming the process
    /// that has it; a stale pid file of a dead daemon is no obstacle.
    explicit Home(std::filesystem::path folder);
    ~Home();
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;

    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    /// Stable over restarts, different for every home: marks this daemon's processes and lease.
    [[nodiscard]] const std::string& instance_id() const { return instance_id_; }
    /// Whether this home has a password for `admin`: it was made or put there earlier.
    [[nodiscard]] bool has_admin_password() const;
    /// The password of user `admin`; made on first use (mode 0600).
    Secret admin_password();
    /// The secret store: a JSON object of name -> text, made on first use with the secrets that the
    /// example policy names.
    [[nodiscard]] std::map<std::string, Secret> secrets() const;
    /// A secret of the store; made and added (random hex) if it is not there.
    [[nodiscard]] Secret secret_or_new(const std::string& name) const;
    /// Tells CLI verbs where this daemon serves.
    void write_address(const std::string& url) const;

private:
    void make_secrets() const;

    std::filesystem::path folder_;
    std::string instance_id_;
    int lock_fd_{-1};
};

/// Writes the whole file or nothing: a temporary name, then rename.
void write_private_file(const std::filesystem::path& path, const std::string& text);
/// `count` random bytes as lower hex, from the kernel.
std::string random_hex(std::size_t count);

}  // namespace sluice
