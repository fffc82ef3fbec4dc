#include "store/connection_pool.hpp"

#include <chrono>

#include "base/error.hpp"
#include "store/pq.hpp"

namespace sluice::store {

ConnectionPool::ConnectionPool(std::string url, std::size_t size)
    : url_(std::move(url)), left_(size) {}

ConnectionPool::~ConnectionPool() = default;

ConnectionPool::Lease ConnectionPool::take() {
    {
        std::unique_lock lock(mutex_);
        const bool found = freed_.wait_for(lock, std::chrono::seconds{10}, [&] {
            return !free_.empty() || left_ > 0;
        });
        if (!found) {
            throw Error(ErrorCode::unavailable, "all connections to the database are busy");
        }
        if (!free_.empty() && free_.back()->ended()) {
            // The server was restarted: none of the idle ones is of use.
            left_ += free_.size();
            free_.clear();
        }
        if (!free_.empty()) {
            auto connection = std::move(free_.back());
            free_.pop_back();
            return Lease{*this, std::move(connection)};
        }
        --left_;
    }
    try {
        auto connection = std::make_unique<Connection>(url_, "sluice queries");
        connection->script("set statement_timeout = '30s'");
        // The server gives up first, unless the network to it is gone.
        connection->set_patience(std::chrono::seconds{35});
        return Lease{*this, std::move(connection)};
    } catch (const std::exception& error) {
        give_back(nullptr);
        throw Error(ErrorCode::unavailable, std::string{"the database is away: "} + error.what());
    }
}

void ConnectionPool::give_back(std::unique_ptr<Connection> connection) {
    {
        const std::lock_guard lock(mutex_);
        if (connection != nullptr && !connection->broken() && connection->idle()) {
            free_.push_back(std::move(connection));
        } else {
            // One that broke was most likely not alone: the others are opened again when needed.
            left_ += 1 + free_.size();
            free_.clear();
        }
    }
    freed_.notify_one();
}

ConnectionPool::Lease::Lease(ConnectionPool& pool, std::unique_ptr<Connection> connection)
    : pool_(pool), connection_(std::move(connection)) {}

ConnectionPool::Lease::~Lease() { pool_.give_back(std::move(connection_)); }

}  // namespace sluice::store
