// live_frames.hpp — what a batch of changes says to one browser, by the topics it watches. Looks up
// names of runs and tasks, in the database where memory has none; throws what `Queries` throws. Not
// thread-safe: Live guards it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "api/json.hpp"
#include "api/live_batch.hpp"
#include "runtime/runtime.hpp"
#include "store/queries.hpp"

namespace sluice::api {

class Versions;
struct TaskProgress;

class LiveFrames {
public:
    LiveFrames(runtime::Runtime& runtime, store::Queries& queries, Versions& versions);

    /// One server-sent event, "" if nothing of the batch belongs to the topics.
    std::string frame_for(const std::vector<Topic>& topics, const Batch& batch);

    /// How far tasks of the runs are that the topics name; "" if none is.
    std::string progress_for(
        const std::vector<Topic>& topics, const std::vector<TaskProgress>& progress
    );

private:
    /// What the ids of a run stand for.
    struct RunName {
        std::string dag_id;
        std::string run_id;
        DagPtr dag;
        int version_number{};
    };

    const RunName* name_of(RunKey key);
    void remember(RunKey key, const std::string& dag_id, const std::string& run_id, VersionId id);
    Json tasks_for(const std::vector<Topic>& topics, const Batch& batch);
    Json runs_for(const std::vector<Topic>& topics, const Batch& batch);
    Json dags_for(const std::vector<Topic>& topics, const Batch& batch);

    runtime::Runtime& runtime_;
    store::Queries& queries_;
    Versions& versions_;
    std::map<RunKey, RunName> names_;
};

}  // namespace sluice::api
