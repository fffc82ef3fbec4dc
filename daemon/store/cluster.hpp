// cluster.hpp — the private PostgreSQL of a home folder: made on first start, started and stopped
// with the daemon, reached over a unix socket in a private folder only.
//
// Started as root everything of PostgreSQL runs as user `postgres`. Not thread-safe but for its own
// watch. Errors: Error.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace sluice::store {

class Cluster {
public:
    /// `home` is made if it is not there; nothing is started yet.
    explicit Cluster(const std::filesystem::path& home);
    /// Stops the server if this object started or adopted it.
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    /// Makes the cluster if there is none, starts the server (or adopts the one that a dead daemon
    /// left running on this home) and waits until it takes connections. The databases sluice, shop
    /// and warehouse exist afterwards. Throws Error(conflict) when another process has this home,
    /// Error(unavailable) with the end of the server's log when it does not start,
    /// Error(invalid) when the data is of another PostgreSQL major.
    void start();

    /// From now on, in a thread of its own until `stop`: a server that died is started again at
    /// once; one that somebody shut down is given a while to be started by hand and is then taken
    /// over, else started again too. Never two at once: PostgreSQL's own lock sees to that.
    void keep_alive();

    /// Stops the server: fast, and immediately if that takes longer than seven seconds. Idempotent.
    void stop();

    /// Process id of the running server, 0 = not running.
    [[nodiscard]] int pid() const;

    /// A URL that psql and libpq take. The server need not run.
    [[nodiscard]] std::string url(const std::string& database) const;

    /// The same for a home that another process serves. Throws Error(not_found) if the home has no
    /// cluster.
    static std::string url_of(const std::filesystem::path& home, const std::string& database);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::store
