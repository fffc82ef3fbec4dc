// chunk_files.hpp — the ranges of a table that have been read: one Parquet file each, in the task
// instance's spool folder, and the plan that says where the ranges begin. A file has its name when
// it is whole; so the next attempt, told of the plan by the checkpoint, reads what is missing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operators/extract/spool_folder.hpp"

namespace sluice::extract {

class ChunkFiles {
public:
    ChunkFiles(task::TaskContext& context, std::string key);

    /// Where the ranges begin, as the attempt before had it; none if there was none.
    [[nodiscard]] const std::optional<std::vector<std::string>>& found() const { return bounds_; }
    /// A plan of this attempt.
    void plan(const std::vector<std::string>& bounds);

    [[nodiscard]] bool has(std::size_t chunk) const { return done_.contains(chunk); }
    /// Where to write the rows of a range.
    [[nodiscard]] std::filesystem::path begin(std::size_t chunk) const;
    /// They are written. Not thread-safe.
    void finish(std::size_t chunk, std::int64_t rows);

    struct File {
        std::filesystem::path path;
        std::int64_t rows{};
    };
    /// In order of the ranges.
    [[nodiscard]] const std::map<std::size_t, File>& done() const { return done_; }
    void remove() noexcept { remove_spool_folder(place_); }

private:
    void take_over();

    task::TaskContext& context_;
    std::string key_;
    SpoolFolder place_;
    std::string plan_;  // id of the attempt whose plan it is
    std::optional<std::vector<std::string>> bounds_;
    std::map<std::size_t, File> done_;
};

}  // namespace sluice::extract
