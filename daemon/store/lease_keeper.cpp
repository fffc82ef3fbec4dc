#include "store/lease_keeper.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "base/fault.hpp"
#include "store/pq.hpp"

namespace sluice::store {
namespace {

// A loop that has done nothing for so long hangs: another daemon may have the lease.
constexpr auto hang = std::chrono::seconds{60};

constexpr Query keep_lease_sql{"keep_lease", R"(
    update lease set expires = greatest(expires, clock_timestamp() + $2) where epoch = $1)"};

}  // namespace

LeaseKeeper::LeaseKeeper(std::string url, Duration lease) : url_(std::move(url)), lease_(lease) {}

LeaseKeeper::~LeaseKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void LeaseKeeper::renewed(std::int64_t epoch, Steady::time_point sent) {
    const std::lock_guard lock(mutex_);
    sent_at_ = std::max(sent_at_.load(), sent.time_since_epoch().count());
    loop_did_at_ = answered_at_ = Steady::now();
    if (std::exchange(epoch_, epoch) != 0) return;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    wake_.notify_all();
}

void LeaseKeeper::rest() {
    const std::lock_guard lock(mutex_);
    epoch_ = 0;
    sent_at_ = 0;
}

void LeaseKeeper::watch(int socket) {
    const std::lock_guard lock(mutex_);
    socket_ = socket;
}

bool LeaseKeeper::fresh() const {
    const auto sent = Steady::time_point{Steady::duration{sent_at_.load()}};
    return Steady::now() - sent < lease_ / 2;
}

bool LeaseKeeper::renew(std::int64_t epoch) {
    if (connection_ == nullptr || connection_->broken()) {
        connection_ = std::make_unique<Connection>(url_, "sluice lease");
        connection_->set_patience(lease_ / 2);
        // A long commit of the loop holds the row, and keeps the lease by that alone.
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(lease_ / 6);
        connection_->script("set lock_timeout = " + std::to_string(ms.count()));
    }
    Params params;
    params.add(epoch).add_interval(lease_);
    try {
        return connection_->run(keep_lease_sql, params).changed() > 0;
    } catch (const SqlError& error) {
        if (error.state() == "55P03") return true;  // the row is locked: the database is there
        throw;
    }
}

void LeaseKeeper::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (epoch_ == 0) {
            wake_.wait(lock);
            continue;
        }
        wake_.wait_for(lock, lease_ / 12);
        const auto sent = Steady::time_point{Steady::duration{sent_at_.load()}};
        const auto now = Steady::now();
        if (epoch_ == 0 || stopping_ || now - sent < lease_ * 2 / 5) continue;
        if (now - loop_did_at_ > hang) continue;
        const auto epoch = epoch_;
        lock.unlock();
        bool answered = false;
        bool mine = false;
        try {
            fault_point("renewing_lease");
            mine = renew(epoch);
            answered = true;
        } catch (const std::exception& error) {
            connection_.reset();
            spdlog::debug("the lease could not be kept: {}", error.what());
        }
        lock.lock();
        if (epoch_ != epoch) continue;
        if (answered) answered_at_ = Steady::now();
        if (mine) sent_at_ = std::max(sent_at_.load(), now.time_since_epoch().count());
        // The loop finds out by itself that the lease is another's; only silence it cannot see.
        if (Steady::now() - answered_at_ > lease_ && socket_ >= 0) {
            spdlog::warn("the run-state database has not answered for a lease: disconnected");
            ::shutdown(std::exchange(socket_, -1), SHUT_RDWR);
        }
    }
}

}  // namespace sluice::store
