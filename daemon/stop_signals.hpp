// stop_signals.hpp — SIGINT and SIGTERM as something to ask for, so that what is to be taken away
// at the end is taken away.
#pragma once

#include <csignal>
#include <ctime>

namespace sluice {

/// Make it before any thread: the signals are blocked in all of them. Children of the spawner get
/// them back.
class StopSignals {
public:
    StopSignals() {
        sigemptyset(&signals_);
        sigaddset(&signals_, SIGINT);
        sigaddset(&signals_, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    }
    /// True from the first signal on.
    [[nodiscard]] bool came() const {
        constexpr timespec now{.tv_sec = 0, .tv_nsec = 0};
        came_ = came_ || sigtimedwait(&signals_, nullptr, &now) > 0;
        return came_;
    }

private:
    sigset_t signals_{};
    mutable bool came_{false};
};

}  // namespace sluice
