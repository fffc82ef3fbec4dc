#include "operators/load/copy_sender.hpp"

#include <utility>

namespace sluice::load {

namespace {

constexpr std::size_t pieces_ahead = 4;

}  // namespace

CopySender::CopySender(connect::Postgres& postgres, const std::string& statement)
    : postgres_(postgres) {
    postgres_.copy_begin(statement);
    thread_ = std::thread([this] { send(); });
}

CopySender::~CopySender() {
    if (ended_) return;
    {
        const std::lock_guard lock(mutex_);
        ready_.clear();
    }
    join();
    postgres_.copy_abort();
}

void CopySender::put(std::string& bytes) {
    std::string room;
    room.reserve(bytes.capacity());
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return failure_ || ready_.size() < pieces_ahead; });
    if (failure_) std::rethrow_exception(failure_);
    ready_.push_back(std::exchange(bytes, std::move(room)));
    changed_.notify_all();
}

std::int64_t CopySender::end() {
    join();
    if (failure_) std::rethrow_exception(failure_);
    ended_ = true;
    return postgres_.copy_end();
}

void CopySender::join() {
    {
        const std::lock_guard lock(mutex_);
        last_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void CopySender::send() noexcept {
    std::unique_lock lock(mutex_);
    try {
        for (;;) {
            changed_.wait(lock, [this] { return last_ || !ready_.empty(); });
            if (ready_.empty()) return;
            const std::string piece = std::move(ready_.front());
            ready_.pop_front();
            changed_.notify_all();
            lock.unlock();
            postgres_.copy_put(piece);
            lock.lock();
        }
    } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        failure_ = std::current_exception();
        changed_.notify_all();
    }
}

}  // namespace sluice::load
