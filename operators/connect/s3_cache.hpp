// s3_cache.hpp — objects as local files: in a folder of the attempt's working folder, which goes
// with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "operators/connect/s3.hpp"

namespace sluice::connect {

class S3Cache {
public:
    /// `name` is that of the folder.
    S3Cache(task::TaskContext& context, S3& s3, const std::string& name);

    /// Downloads the object unless it is here. Throws Failure(resource) if
    /// there is no room for it: the connection's `cache_bytes`, or the disk.
    std::filesystem::path fetch(const std::string& key);
    void drop(const std::string& key) noexcept;
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

private:
    S3& s3_;
    std::filesystem::path folder_;
};

/// Objects that fit the pattern as find_files() understands it, in order of their keys. Throws
/// Error(invalid) for a pattern that leaves the connection's prefix.
std::vector<S3Object> find_objects(S3& s3, const std::string& pattern);

}  // namespace sluice::connect
