// waiter.hpp — who waits for a command's answer, and for how long.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <utility>

#include "base/instant.hpp"
#include "model/turn.hpp"

namespace sluice::runtime {

struct LoopFigures;

/// A thread that holds the future, or a function that is called with it once it has the answer: on
/// the loop's thread, so it must return at once.
class Waiter {
public:
    using Told = std::function<void(std::shared_future<Answer>)>;

    Waiter() = default;
    explicit Waiter(Told told) : told_(std::move(told)) {}

    std::future<Answer> future() { return promise_.get_future(); }
    void set_value(Answer answer) {
        promise_.set_value(std::move(answer));
        tell();
    }
    void set_exception(const std::exception_ptr& why) {
        promise_.set_exception(why);
        tell();
    }

private:
    void tell() {
        if (told_) told_(promise_.get_future().share());
    }

    std::promise<Answer> promise_;
    Told told_;
};

/// How long an answer is waited for.
class Patience {
public:
    explicit Patience(const LoopFigures& figures, Duration timeout = std::chrono::seconds{30});
    /// Asked now and then: throws Error(unavailable) when it is over.
    void check();

private:
    using Steady = std::chrono::steady_clock;

    const LoopFigures* figures_;
    Duration timeout_;
    Steady::time_point begin_{Steady::now()};
    Steady::time_point seen_available_{begin_};
};

}  // namespace sluice::runtime
