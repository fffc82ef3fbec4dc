// cluster_files.hpp — where the files of the private PostgreSQL lie and to whom they belong.
// Included by .cpp files of this folder only.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <sys/types.h>

namespace sluice::store {

/// Who runs PostgreSQL: `postgres` when we are root (it refuses root), else ourselves.
struct Owner {
    uid_t uid{};
    gid_t gid{};
    std::string name;
    bool drop_privileges{false};
};

struct ClusterFiles {
    Owner owner;
    std::filesystem::path programs;  // folder of initdb and postgres
    std::filesystem::path data;      // real folder, never a link
    std::filesystem::path socket;    // short enough for a socket in it
    std::filesystem::path log;
};

/// Finds or makes the folders: DIR/pg and DIR/pg.socket, each a folder or a link to one. Throws
/// Error(invalid) if the data needs another PostgreSQL major than there is.
ClusterFiles place_cluster(const std::filesystem::path& home);

/// Mode 0700, owned by `owner`.
void make_private_folder(const std::filesystem::path& folder, const Owner& owner);

/// Writes postgresql.conf and pg_hba.conf. True if they were different before.
bool write_settings(const ClusterFiles& files);

/// What a postmaster.pid says.
struct Postmaster {
    pid_t pid{};
    std::string socket;   // known once it listens
    bool listens{false};  // false: it is just starting
    bool ready{false};
    bool lives{false};  // the process is there and is a PostgreSQL on this folder
};
std::optional<Postmaster> postmaster_of(const std::filesystem::path& data);

/// Makes lock files of a dead server harmless, also when its process id is another's now.
void forget_stale_locks(const ClusterFiles& files);

std::string end_of_file(const std::filesystem::path& path, std::size_t bytes);

}  // namespace sluice::store
