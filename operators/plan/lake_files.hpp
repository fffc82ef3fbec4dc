// lake_files.hpp — files of a lake in a bucket, on the local disk for a dry run, which writes
// nothing into the bucket. Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "task/context.hpp"

namespace sluice::plan {

class LakeFiles {
public:
    /// `place` is a connection to an object store. Throws Error(invalid) if its settings are wrong.
    LakeFiles(const task::Connection& place, std::filesystem::path folder);
    ~LakeFiles();
    LakeFiles(const LakeFiles&) = delete;
    LakeFiles& operator=(const LakeFiles&) = delete;

    static bool lie_in_a_bucket(const task::Connection& place);

    /// Afterwards the file, named relative to the lake's root, lies in the folder. Throws Failure.
    void fetch(const std::string& file);
    /// Ends what fetches, and lets nothing more be fetched. From any thread.
    void stop();

private:
    struct State;
    std::filesystem::path folder_;
    std::unique_ptr<State> state_;
    std::mutex mutex_;  // one download at a time
};

}  // namespace sluice::plan
