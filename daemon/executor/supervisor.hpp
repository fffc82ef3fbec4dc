// supervisor.hpp — the daemon's side of one worker process: starts it, answers it, captures its
// output, watches its memory, ends it. `run` blocks a pool thread; `cancel` may come from any.
#pragma once

#include <string>

#include "executor/attempt_channel.hpp"
#include "executor/task_log.hpp"
#include "executor/warm_workers.hpp"
#include "model/attempt.hpp"
#include "task/job.hpp"
#include "task/process.hpp"

namespace sluice::executor {

class Supervisor {
public:
    /// `program` is the binary whose `worker` verb is run where `warm` has no worker to give;
    /// `scratch` the attempt's own folder, made and removed by the caller. All must outlive the
    /// supervisor.
    Supervisor(
        task::Spawner& spawner,
        WarmWorkers& warm,
        std::string program,
        std::string scratch,
        AttemptChannel& channel,
        TaskLog& log
    );
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// How it ended. A worker that dies without a result is a failure of class resource. Throws
    /// Error if it cannot be started.
    Outcome run(const task::Job& job);
    /// The worker is told; its group gets SIGTERM 400 ms later and SIGKILL after 800 ms.
    void cancel();

private:
    class Session;
    task::Spawner& spawner_;
    WarmWorkers& warm_;
    const std::string program_;
    const std::string scratch_;
    AttemptChannel& channel_;
    TaskLog& log_;
    task::Fd cancel_fd_;
};

}  // namespace sluice::executor
