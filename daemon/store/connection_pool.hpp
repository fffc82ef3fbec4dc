// connection_pool.hpp — a bounded number of connections for readers, opened when first needed.
// Thread-safe: a thread that finds none free waits. Never used by the journal.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::store {

class Connection;

class ConnectionPool {
public:
    explicit ConnectionPool(std::string url, std::size_t size = 4);
    ~ConnectionPool();
    ConnectionPool(const ConnectionPool&) = delete;
    ConnectionPool& operator=(const ConnectionPool&) = delete;

    /// A connection that goes back when the lease ends.
    class Lease {
    public:
        Lease(ConnectionPool& pool, std::unique_ptr<Connection> connection);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        Connection& operator*() { return *connection_; }
        Connection* operator->() { return connection_.get(); }

    private:
        ConnectionPool& pool_;
        std::unique_ptr<Connection> connection_;
    };
    /// Throws Error(unavailable) when the database is away, or no connection comes free in 10 s.
    Lease take();

private:
    void give_back(std::unique_ptr<Connection> connection);

    std::string url_;
    std::mutex mutex_;  // guards free_ and left_
    std::condition_variable freed_;
    std::vector<std::unique_ptr<Connection>> free_;
    std::size_t left_;  // connections that may still be opened
};

}  // namespace sluice::store
