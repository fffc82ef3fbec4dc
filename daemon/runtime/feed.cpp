#include "runtime/feed.hpp"

#include <utility>

namespace sluice::runtime {

std::optional<ChangePtr> Feed::Subscription::next(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    ready_.wait_until(lock, deadline, [&] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return std::nullopt;
    ChangePtr change = std::move(queue_.front());
    queue_.pop_front();
    return change;
}

bool Feed::Subscription::take_overflow() {
    const std::lock_guard lock(mutex_);
    return std::exchange(overflow_, false);
}

void Feed::Subscription::on_ready(std::function<void()> callback) {
    const std::lock_guard lock(mutex_);
    on_ready_ = std::move(callback);
}

bool Feed::Subscription::closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
}

std::shared_ptr<Feed::Subscription> Feed::subscribe() {
    auto subscription = std::make_shared<Subscription>();
    const std::lock_guard lock(mutex_);
    subscription->closed_ = closed_;
    subscriptions_.push_back(subscription);
    return subscription;
}

void Feed::publish(const ChangePtr& change) {
    const std::lock_guard lock(mutex_);
    std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : subscriptions_) {
        const auto subscription = weak.lock();
        if (!subscription) continue;
        std::function<void()> ready;
        {
            const std::lock_guard inner(subscription->mutex_);
            if (subscription->queue_.size() >= queue_limit) {
                subscription->queue_.clear();
                subscription->overflow_ = true;
            }
            subscription->queue_.push_back(change);
            ready = subscription->on_ready_;
        }
        subscription->ready_.notify_all();
        if (ready) ready();
    }
}

void Feed::overflow() {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : subscriptions_) {
        const auto subscription = weak.lock();
        if (!subscription) continue;
        std::function<void()> ready;
        {
            const std::lock_guard inner(subscription->mutex_);
            subscription->queue_.clear();
            subscription->overflow_ = true;
            ready = subscription->on_ready_;
        }
        subscription->ready_.notify_all();
        if (ready) ready();
    }
}

void Feed::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& weak : subscriptions_) {
        const auto subscription = weak.lock();
        if (!subscription) continue;
        std::function<void()> ready;
        {
            const std::lock_guard inner(subscription->mutex_);
            subscription->closed_ = true;
            ready = subscription->on_ready_;
        }
        subscription->ready_.notify_all();
        if (ready) ready();
    }
}

std::size_t Feed::subscribers() const {
    const std::lock_guard lock(mutex_);
    std::size_t alive = 0;
    for (const auto& weak : subscriptions_) alive += weak.expired() ? 0U : 1U;
    return alive;
}

}  // namespace sluice::runtime
