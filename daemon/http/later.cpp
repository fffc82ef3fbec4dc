#include "http/later.hpp"

#include <utility>

namespace sluice::http {

void Later::ready(Make make) {
    std::unique_lock lock(mutex_);
    if (ready_) return;
    ready_ = true;
    make_ = std::move(make);
    tell(std::move(lock));
}

void Later::finish_by(Finish finish) {
    const std::lock_guard lock(mutex_);
    finish_ = std::move(finish);
}

void Later::on_ready(std::function<void(Make)> told) {
    std::unique_lock lock(mutex_);
    told_ = std::move(told);
    tell(std::move(lock));
}

void Later::tell(std::unique_lock<std::mutex> lock) {
    if (!make_ || !told_) return;
    Make make = std::exchange(make_, nullptr);
    const auto told = std::exchange(told_, nullptr);
    if (finish_)
        make = [make = std::move(make), finish = std::exchange(finish_, nullptr)] {
            return finish(make);
        };
    lock.unlock();
    told(std::move(make));
}

}  // namespace sluice::http
