// later.hpp — a reply that is made later: when what it waits for has happened, on a pool thread,
// while no thread waits. Thread-safe.
#pragma once

#include <functional>
#include <mutex>

#include "http/message.hpp"

namespace sluice::http {

class Later {
public:
    /// Makes the reply; what it throws is answered as a handler's exception is.
    using Make = std::function<Reply()>;
    /// Makes it by `make`, and does what is to be done with every reply of a handler.
    using Finish = std::function<Reply(const Make& make)>;

    Later() = default;
    Later(const Later&) = delete;
    Later& operator=(const Later&) = delete;

    /// From any thread, also before the handler has returned; returns at once. The first counts.
    void ready(Make make);
    /// Called on the server's thread every 100 ms until the reply is made: to give up by `ready`.
    /// Must return at once. Set by the handler.
    std::function<void()> impatient;
    /// Set by whoever the handler's reply goes through.
    void finish_by(Finish finish);

    // For the server.
    void on_ready(std::function<void(Make)> told);

private:
    void tell(std::unique_lock<std::mutex> lock);

    std::mutex mutex_;  // guards everything below
    Make make_;
    Finish finish_;
    std::function<void(Make)> told_;
    bool ready_{false};
};

}  // namespace sluice::http
