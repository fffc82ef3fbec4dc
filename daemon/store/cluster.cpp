#include "store/cluster.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "store/cluster_files.hpp"
#include "store/cluster_process.hpp"
#include "store/pq.hpp"

namespace sluice::store {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr const char* superuser = "sluice";
constexpr const char* databases[] = {"sluice", "shop", "warehouse"};
constexpr auto start_deadline = 60s;
constexpr auto fast_stop_deadline = 7s;
constexpr auto poll = std::chrono::milliseconds{2};
constexpr auto watch_pace = 200ms;
// Who shuts the server down by hand may mean to start it by hand.
constexpr auto by_hand = 15s;

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || std::strchr("/._-~", c) != nullptr) {
            out += c;
        } else {
            out += '%';
            out += hex[byte >> 4];
            out += hex[byte & 15];
        }
    }
    return out;
}

std::string url_for(const fs::path& socket_folder, const std::string& database) {
    return "postgresql:///" + percent_encoded(database) +
           "?host=" + percent_encoded(socket_folder.string()) + "&user=" + superuser;
}

}  // namespace

struct Cluster::State {
    explicit State(fs::path h) : home(std::move(h)) {}

    fs::path home;
    int lock{-1};  // of DIR/pg.lock, held while this object may run the server
    ClusterFiles files;
    std::mutex mutex;  // guards server while the watch runs
    Server server;

    std::thread watcher;
    std::mutex watch_mutex;  // pairs with watch_ended
    std::condition_variable watch_ended;
    std::atomic<bool> ending{false};

    void watch();
    void revive();
    void end_watch();
    void take_lock();
    void drop_lock();
    void make_cluster();
    void start_server();
    bool adopt_server(bool settings_changed, Steady::time_point deadline);
    void wait_until_ready(Steady::time_point deadline);
    void make_databases();
};

Cluster::Cluster(const fs::path& home)
    : state_(std::make_unique<State>(fs::absolute(home).lexically_normal())) {}

Cluster::~Cluster() {
    try {
        stop();
    } catch (const std::exception&) {
        // A server that does not end is found again by the next start.
    }
}

int Cluster::pid() const {
    const std::lock_guard lock(state_->mutex);
    return state_->server.alive() ? state_->server.pid : 0;
}

std::string Cluster::url(const std::string& database) const {
    return url_of(state_->home, database);
}

std::string Cluster::url_of(const fs::path& home, const std::string& database) {
    const fs::path socket = fs::absolute(home).lexically_normal() / "pg.socket";
    std::error_code error;
    if (!fs::exists(socket, error)) {
        throw Error(
            ErrorCode::not_found,
            home.string() + " has no private PostgreSQL; start one: sluice standalone --home " +
                home.string()
        );
    }
    // libpq must be given the short folder, not the link to it.
    return url_for(fs::is_symlink(socket) ? fs::read_symlink(socket) : socket, database);
}

void Cluster::State::take_lock() {
    const fs::path path = home / "pg.lock";
    lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) {
        throw Error(ErrorCode::invalid, path.string() + ": " + std::strerror(errno));
    }
    // A daemon that was killed while it started a child leaves the lock with that child until its
    // exec: a moment. A daemon that lives keeps it.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    do {
        if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    } while (std::chrono::steady_clock::now() < deadline);
    ::close(std::exchange(lock, -1));
    throw Error(ErrorCode::conflict, "another sluice runs on " + home.string());
}

void Cluster::State::drop_lock() {
    if (lock >= 0) ::close(std::exchange(lock, -1));
}

void Cluster::State::make_cluster() {
    // Made beside its place and renamed: a start that was killed half-way is no cluster.
    const fs::path fresh = files.data.parent_path() / (files.data.filename().string() + ".new");
    fs::remove_all(fresh);
    make_private_folder(fresh, files.owner);
    const std::string output = run_and_wait(
        files.owner,
        {(files.programs / "initdb").string(),
         "--pgdata=" + fresh.string(),
         std::string{"--username="} + superuser,
         "--auth=trust",
         "--data-checksums",
         "--encoding=UTF8",
         "--locale=C",
         // Who writes the first byte of a new segment fills it with zeros and waits for the disk:
         // 16 MB of them would hold up every commit for some 20 ms.
         "--wal-segsize=4",
         "--no-sync",
         "--no-instructions"}
    );
    std::error_code missing;
    if (!fs::exists(fresh / "PG_VERSION", missing)) {
        throw Error(ErrorCode::unavailable, "initdb failed: " + output);
    }
    // The databases are made by a server that takes no connections and waits for no disk; one
    // syncfs then does what some thousand fsyncs would.
    std::string statements;
    for (const char* database : databases) {
        statements += std::string{"create database "} + database + "\n";
    }
    const std::string made = run_and_wait(
        files.owner,
        {(files.programs / "postgres").string(),
         "--single",
         "-D",
         fresh.string(),
         "-c",
         "fsync=off",
         "-c",
         "log_min_messages=error",
         "postgres"},
        statements
    );
    if (made.find("ERROR") != std::string::npos || made.find("FATAL") != std::string::npos) {
        throw Error(ErrorCode::unavailable, "the databases could not be made: " + made);
    }
    const int folder = ::open(fresh.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || ::syncfs(folder) != 0) {
        throw Error(ErrorCode::unavailable, fresh.string() + ": " + std::strerror(errno));
    }
    ::close(folder);
    fs::rename(fresh, files.data);
}

void Cluster::State::wait_until_ready(Steady::time_point deadline) {
    const std::string url = url_for(files.socket, "postgres");
    while (true) {
        if (!server.alive()) {
            server = {};
            throw Error(
                ErrorCode::unavailable, "PostgreSQL did not start: " + end_of_file(files.log, 2000)
            );
        }
        // Asking the server before it says "ready" in its pid file would fill its log.
        if (postmaster_of(files.data).value_or(Postmaster{}).ready) {
            try {
                const Connection answers(url, "sluice start");
                return;
            } catch (const ConnectionLost&) {
                // Ready a moment later.
            }
        }
        if (ending) throw Error(ErrorCode::unavailable, "PostgreSQL is not needed any more");
        if (Steady::now() > deadline) {
            server.stop(0s);
            throw Error(ErrorCode::unavailable, "PostgreSQL did not start within a minute");
        }
        ::usleep(static_cast<useconds_t>(std::chrono::microseconds{poll}.count()));
    }
}

// Takes over a server that runs on our data: the one of a dead daemon, or one that somebody starts
// by hand, which may be at its very beginning. False: there is none, or none that can be kept.
bool Cluster::State::adopt_server(bool settings_changed, Steady::time_point deadline) {
    auto running = postmaster_of(files.data);
    if (!running || !running->lives) return false;
    server = Server::adopt(running->pid);
    while (running && running->lives && !running->listens && server.alive()) {
        if (ending || Steady::now() > deadline) break;
        ::usleep(static_cast<useconds_t>(std::chrono::microseconds{poll}.count()));
        running = postmaster_of(files.data);
    }
    // It is kept when it listens where we look and has our settings.
    if (!settings_changed && running && running->socket == files.socket.string()) {
        try {
            wait_until_ready(deadline);
            return true;
        } catch (const Error&) {
            // It was dying itself.
        }
    }
    server.stop(fast_stop_deadline);
    return false;
}

void Cluster::State::start_server() {
    const bool settings_changed = write_settings(files);
    const auto deadline = Steady::now() + start_deadline;
    while (true) {
        if (adopt_server(settings_changed, deadline)) return;
        forget_stale_locks(files);
        server = Server::spawn(
            files.owner,
            {(files.programs / "postgres").string(), "-D", files.data.string()},
            files.log
        );
        try {
            wait_until_ready(deadline);
            return;
        } catch (const Error& error) {
            // Backends of a killed server end by themselves when they notice, and it is itself
            // there for a moment; until then the new one refuses to start. So it does when somebody
            // started another one a moment earlier: that one is taken over.
            const std::string_view why = error.what();
            const bool another_lives = why.find("shared memory block") != std::string_view::npos ||
                                       why.find("postmaster.pid\"") != std::string_view::npos ||
                                       why.find(".s.PGSQL.5432.lock\"") != std::string_view::npos;
            if (!another_lives || ending || Steady::now() > deadline) throw;
            ::usleep(20'000);
        }
    }
}

void Cluster::State::watch() {
    bool shut_down = false;  // somebody did that by hand
    Steady::time_point since;
    auto pause = std::chrono::milliseconds{watch_pace};
    for (;;) {
        {
            std::unique_lock guard(watch_mutex);
            watch_ended.wait_for(guard, pause, [this] { return ending.load(); });
        }
        if (ending) return;
        pause = watch_pace;
        const std::lock_guard guard(mutex);
        if (server.alive()) continue;
        // A server that is shut down removes its pid file, one that dies does not.
        const auto left = postmaster_of(files.data);
        if (!left) {
            if (!std::exchange(shut_down, true)) {
                spdlog::warn("PostgreSQL was shut down; it is started again in 15 s at the latest");
                since = Steady::now();
            }
            if (Steady::now() - since < by_hand) continue;
        } else if (!left->lives) {
            spdlog::error("PostgreSQL died; starting it again");
        }
        try {
            revive();
            shut_down = false;
        } catch (const Error& error) {
            if (!ending) spdlog::error("PostgreSQL could not be started again: {}", error.what());
            pause = std::chrono::seconds{1};
        }
    }
}

void Cluster::State::revive() {
    server.stop(0s);  // it is dead: only its number is given back
    start_server();
    spdlog::info("PostgreSQL runs again as process {}", server.pid);
}

void Cluster::State::end_watch() {
    {
        const std::lock_guard guard(watch_mutex);
        ending = true;
    }
    watch_ended.notify_all();
    if (watcher.joinable()) watcher.join();
    ending = false;
}

void Cluster::State::make_databases() {
    Connection connection{url_for(files.socket, "postgres"), "sluice start"};
    constexpr Query exists_sql{
        "database_exists", "select exists (select from pg_database where datname = $1)"
    };
    for (const char* database : databases) {
        Params params;
        params.add(database);
        if (connection.run(exists_sql, params).boolean(0, 0)) continue;
        connection.script(std::string{"create database "} + database);
    }
}

void Cluster::start() {
    State& state = *state_;
    if (state.server.alive()) return;
    fs::create_directories(state.home);
    state.take_lock();
    try {
        state.files = place_cluster(state.home);
        if (!fs::exists(state.files.data / "PG_VERSION")) state.make_cluster();
        state.start_server();
        state.make_databases();
    } catch (const fs::filesystem_error& error) {
        stop();
        throw Error(ErrorCode::invalid, error.what());
    } catch (...) {
        stop();
        throw;
    }
}

void Cluster::keep_alive() {
    SLUICE_CHECK(!state_->watcher.joinable());
    state_->watcher = std::thread([this] { state_->watch(); });
}

void Cluster::stop() {
    state_->end_watch();
    state_->server.stop(fast_stop_deadline);
    state_->server = {};
    state_->drop_lock();
}

}  // namespace sluice::store
