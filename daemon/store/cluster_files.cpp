#include "store/cluster_files.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"

namespace sluice::store {
namespace fs = std::filesystem;
namespace {

// A socket's path may have 107 bytes: ".s.PGSQL.5432" and a slash are fourteen of them.
constexpr std::size_t socket_folder_bytes = 93;
constexpr const char* root_state_folder = "/var/lib/sluice";

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
    throw Error(ErrorCode::invalid, path.string() + ": " + what + ": " + std::strerror(errno));
}

Owner find_owner() {
    if (::geteuid() != 0) return {::geteuid(), ::getegid(), "", false};
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr) {
        throw Error(
            ErrorCode::invalid,
            "PostgreSQL does not run as root and there is no user postgres: install postgresql"
        );
    }
    return {user->pw_uid, user->pw_gid, "postgres", true};
}

std::string read_line(const fs::path& path) {
    std::ifstream in{path};
    std::string line;
    std::getline(in, line);
    return line;
}

int major_of(std::string_view text) {
    int major = 0;
    std::from_chars(text.data(), text.data() + text.size(), major);
    return major;
}

// Debian keeps every major in its own folder; elsewhere the one on PATH is taken.
std::vector<std::pair<int, fs::path>> installed_programs() {
    std::vector<std::pair<int, fs::path>> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
        const fs::path bin = entry.path() / "bin";
        if (fs::exists(bin / "postgres", error) && fs::exists(bin / "initdb", error)) {
            found.emplace_back(major_of(entry.path().filename().string()), bin);
        }
    }
    std::ranges::sort(found);
    if (!found.empty()) return found;
    std::stringstream path{std::getenv("PATH") == nullptr ? "" : std::getenv("PATH")};
    for (std::string folder; std::getline(path, folder, ':');) {
        const fs::path bin{folder};
        if (fs::exists(bin / "postgres", error) && fs::exists(bin / "initdb", error)) {
            found.emplace_back(0, fs::canonical(bin / "postgres").parent_path());
            break;
        }
    }
    return found;
}

fs::path choose_programs(const fs::path& home, const fs::path& data) {
    const auto installed = installed_programs();
    if (installed.empty()) {
        throw Error(ErrorCode::invalid, "PostgreSQL is not installed: apt-get install postgresql");
    }
    std::error_code error;
    if (!fs::exists(data / "PG_VERSION", error)) return installed.back().second;
    const int needed = major_of(read_line(data / "PG_VERSION"));
    for (const auto& [major, programs] : installed) {
        if (major == needed || major == 0) return programs;
    }
    const std::string wanted = std::to_string(needed);
    const std::string here = std::to_string(installed.back().first);
    std::string what = (home / "pg").string() + " was made by PostgreSQL " + wanted +
                       ", installed here is " + here + ": install postgresql-" + wanted;
    if (needed < installed.back().first) {
        what +=
            ", or upgrade the folder with `pg_upgrade -b /usr/lib/postgresql/" + wanted +
            "/bin -B /usr/lib/postgresql/" + here + "/bin -d " + data.string() +
            " -D NEWFOLDER` (a folder made by initdb with --data-checksums and the --wal-segsize "
            "that pg_controldata tells of the old one)";
    }
    throw Error(ErrorCode::invalid, what);
}

// Whether `owner` may go through every folder above `path`.
bool can_reach(const fs::path& path, const Owner& owner) {
    for (fs::path folder = path.parent_path(); folder != folder.parent_path();
         folder = folder.parent_path()) {
        struct stat info{};
        if (::stat(folder.c_str(), &info) != 0) return false;
        const mode_t needed = info.st_uid == owner.uid   ? S_IXUSR
                              : info.st_gid == owner.gid ? S_IXGRP
                                                         : S_IXOTH;
        if ((info.st_mode & needed) == 0) return false;
    }
    return true;
}

fs::path make_unique_folder(const fs::path& parent, const std::string& prefix, const Owner& owner) {
    std::string name = (parent / (prefix + "XXXXXX")).string();
    if (::mkdtemp(name.data()) == nullptr) fail(name, "cannot be made");
    if (owner.drop_privileges && ::chown(name.c_str(), owner.uid, owner.gid) != 0) {
        fail(name, "cannot be given to " + owner.name);
    }
    return name;
}

// A folder outside the home, short and open to its owner only.
fs::path make_state_folder(const Owner& owner) {
    if (owner.drop_privileges) {
        fs::create_directories(root_state_folder);
        ::chmod(root_state_folder, 0711);
        return make_unique_folder(root_state_folder, "", owner);
    }
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    std::error_code error;
    if (runtime != nullptr && fs::is_directory(runtime, error) &&
        std::strlen(runtime) < socket_folder_bytes - 20) {
        return make_unique_folder(runtime, "sluice-", owner);
    }
    return make_unique_folder("/tmp", "sluice-", owner);
}

bool is_private(const fs::path& folder, const Owner& owner) {
    struct stat info{};
    return ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
           info.st_uid == owner.uid && (info.st_mode & 0077) == 0;
}

// PostgreSQL's setting is a list with commas and quotes: simple names only.
bool fits_socket(const fs::path& folder) {
    const std::string& text = folder.native();
    return text.size() <= socket_folder_bytes && std::ranges::all_of(text, [](unsigned char c) {
               return std::isalnum(c) != 0 || std::strchr("/._-", c) != nullptr;
           });
}

void link_to(const fs::path& link, const fs::path& target) {
    fs::remove(link);
    fs::create_symlink(target, link);
}

fs::path place_data(const fs::path& home, const Owner& owner) {
    fs::path data = home / "pg";
    if (fs::is_symlink(data)) {
        fs::path target = fs::read_symlink(data);
        // An empty place is left by a first start that was killed before initdb was through.
        if (fs::is_directory(target.parent_path())) return target;
    }
    if (can_reach(data, owner)) return data;
    const fs::path target = make_state_folder(owner) / "pg";
    link_to(data, target);
    return target;
}

fs::path place_socket(const fs::path& home, const Owner& owner) {
    fs::path socket = home / "pg.socket";
    if (fs::is_symlink(socket)) {
        fs::path target = fs::read_symlink(socket);
        if (is_private(target, owner)) return target;
    } else if (fits_socket(socket) && can_reach(socket, owner)) {
        make_private_folder(socket, owner);
        return socket;
    }
    // The folder's name is taken from nobody else: it is new, and ours alone.
    const fs::path target = make_state_folder(owner);
    if (fs::is_directory(socket) && !fs::is_symlink(socket)) fs::remove_all(socket);
    link_to(socket, target);
    return target;
}

constexpr const char* settings_text = R"(# Written by sluice at every start: changes are lost.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 100
max_locks_per_transaction = 256
shared_buffers = 128MB
huge_pages = off
work_mem = 16MB
maintenance_work_mem = 64MB
effective_cache_size = 1GB
random_page_cost = 1.1
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = minimal
max_wal_senders = 0
wal_buffers = 16MB
max_wal_size = 4GB
min_wal_size = 80MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
jit = off
autovacuum_naptime = 20s
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] %a '
lc_messages = 'C'
default_text_search_config = 'pg_catalog.simple'
)";

std::string content_of(const fs::path& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

// True if the file was different before.
bool write_file(const fs::path& path, const std::string& content, const Owner& owner) {
    if (content_of(path) == content) return false;
    const fs::path fresh = path.string() + ".new";
    std::ofstream out{fresh, std::ios::binary | std::ios::trunc};
    out << content;
    out.close();
    if (!out) fail(fresh, "cannot be written");
    ::chmod(fresh.c_str(), 0600);
    if (owner.drop_privileges && ::chown(fresh.c_str(), owner.uid, owner.gid) != 0) {
        fail(fresh, "cannot be given to " + owner.name);
    }
    fs::rename(fresh, path);
    return true;
}

// By its command line, which is open to everybody; the rest of /proc/PID may be closed to us.
bool is_postgres_on(pid_t pid, const fs::path& data) {
    std::string command = content_of(fs::path{"/proc"} / std::to_string(pid) / "cmdline");
    std::vector<std::string> arguments;
    std::stringstream in{command};
    for (std::string argument; std::getline(in, argument, '\0');) arguments.push_back(argument);
    if (arguments.empty()) return false;
    const std::string program = fs::path{arguments[0]}.filename().string();
    if (program != "postgres" && program != "postmaster") return false;
    std::error_code error;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (!arguments[i].starts_with("-D")) continue;
        const std::string folder = arguments[i].size() > 2    ? arguments[i].substr(2)
                                   : i + 1 < arguments.size() ? arguments[i + 1]
                                                              : "";
        return fs::equivalent(folder, data, error);
    }
    // Started with PGDATA: a server works in its data folder.
    return fs::equivalent(fs::path{"/proc"} / std::to_string(pid) / "cwd", data, error);
}

// A number in a lock file that is nobody's stops no server; PostgreSQL sees to that file, and we
// leave it alone, for somebody may be starting a server by hand this very moment.
bool belongs_to_a_stranger(pid_t pid, const fs::path& data) {
    const bool exists = pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
    return exists && !is_postgres_on(pid, data);
}

bool was_just_written(const fs::path& path) {
    std::error_code error;
    const auto written = fs::last_write_time(path, error);
    return !error && fs::file_time_type::clock::now() - written < std::chrono::seconds{2};
}

}  // namespace

void make_private_folder(const fs::path& folder, const Owner& owner) {
    fs::create_directory(folder);
    if (::chmod(folder.c_str(), 0700) != 0) fail(folder, "cannot be made private");
    if (owner.drop_privileges && ::chown(folder.c_str(), owner.uid, owner.gid) != 0) {
        fail(folder, "cannot be given to " + owner.name);
    }
}

ClusterFiles place_cluster(const fs::path& home) {
    ClusterFiles files;
    files.owner = find_owner();
    // PostgreSQL's user must get through; what is secret in here has mode 0600.
    if (files.owner.drop_privileges && ::chmod(home.c_str(), 0711) != 0) {
        fail(home, "cannot be opened to " + files.owner.name);
    }
    files.data = place_data(home, files.owner);
    files.socket = place_socket(home, files.owner);
    files.log = home / "pg.log";
    files.programs = choose_programs(home, files.data);
    return files;
}

bool write_settings(const ClusterFiles& files) {
    const std::string settings =
        std::string{settings_text} + "unix_socket_directories = '" + files.socket.string() + "'\n";
    const bool changed = write_file(files.data / "postgresql.conf", settings, files.owner);
    // The socket's folder is open to its owner (and root) only: that is the password.
    return write_file(files.data / "pg_hba.conf", "local all all trust\n", files.owner) || changed;
}

std::optional<Postmaster> postmaster_of(const fs::path& data) {
    std::ifstream in{data / "postmaster.pid"};
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    if (lines.empty()) return std::nullopt;
    Postmaster postmaster;
    postmaster.pid = major_of(lines[0]);
    if (lines.size() > 4) postmaster.socket = lines[4];
    if (lines.size() > 7) postmaster.ready = lines[7].starts_with("ready");
    postmaster.listens = !postmaster.socket.empty() || lines.size() > 7;
    postmaster.lives = postmaster.pid > 1 && is_postgres_on(postmaster.pid, data);
    return postmaster;
}

void forget_stale_locks(const ClusterFiles& files) {
    const fs::path socket = files.socket / ".s.PGSQL.5432";
    const fs::path socket_lock = socket.string() + ".lock";
    std::error_code error;
    if (belongs_to_a_stranger(major_of(content_of(socket_lock)), files.data)) {
        fs::remove(socket, error);
        fs::remove(socket_lock, error);
    }

    // The pid file of a dead server also names the shared memory that must be free. Our own number,
    // its parent's, does not stop the server.
    const fs::path pid_file = files.data / "postmaster.pid";
    const std::string content = content_of(pid_file);
    const std::size_t end = content.find('\n');
    if (end == std::string::npos) {
        if (!was_just_written(pid_file)) fs::remove(pid_file, error);  // cut off: written half
    } else if (belongs_to_a_stranger(major_of(content), files.data)) {
        write_file(pid_file, std::to_string(::getpid()) + content.substr(end), files.owner);
    }
}

std::string end_of_file(const fs::path& path, std::size_t bytes) {
    std::string content = content_of(path);
    if (content.size() > bytes) content.erase(0, content.size() - bytes);
    return content;
}

}  // namespace sluice::store
