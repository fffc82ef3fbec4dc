// live.hpp — tells browsers what changed: one thread follows the runtime's feed and writes to all
// event streams; keeps the recent past for those that come back. Thread-safe.
//
// Also tails logs for streams that ask for it, and answers callers who wait for a run's end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/auth.hpp"
#include "base/clock.hpp"
#include "http/message.hpp"
#include "model/states.hpp"
#include "runtime/runtime.hpp"
#include "store/queries.hpp"

namespace sluice::api {

class Versions;
struct Services;
struct TaskProgress;

class Live {
public:
    Live(
        runtime::Runtime& runtime, store::Queries& queries, Versions& versions, const Clock& clock
    );
    ~Live();
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;

    /// GET /ui/v1/stream. Throws Failure: 422 for topics that cannot be read, 429 over the limits.
    http::Reply open(Services& services, const http::Request& request, const Caller& caller);
    /// Streams that watch a run are told how far its tasks are, event `progress`. Before the first
    /// stream.
    void tell_progress(std::function<std::vector<TaskProgress>()> progress);
    /// Says goodbye to the streams of a session that was closed.
    void end_session(const std::string& session);

    /// Pushes `line(state)` every `interval` until the run has finished, then once more, and
    /// closes.
    void watch_run(
        RunKey run,
        std::chrono::milliseconds interval,
        std::shared_ptr<http::Stream> stream,
        std::function<std::string(RunState)> line
    );

    [[nodiscard]] std::size_t streams() const;
    /// Says goodbye to everyone and joins. Idempotent.
    void stop();

    static constexpr std::size_t max_streams = 500;
    static constexpr std::size_t max_streams_per_user = 20;
    static constexpr std::size_t max_topics = 64;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::api
