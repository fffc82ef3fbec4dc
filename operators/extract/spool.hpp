// spool.hpp — the records of an HTTP source on their way: JSON lines in a file that outlives the
// attempt, and the checkpoint that lets the next one go on behind the last whole page.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "operators/extract/spool_folder.hpp"
#include "task/context.hpp"

namespace sluice::extract {

class Spool {
public:
    /// `key` says what is read; what another key left is not taken over. The file is this
    /// attempt's alone.
    Spool(task::TaskContext& context, std::string key);
    /// Removes this attempt's file if nothing can go on from it.
    ~Spool();
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;

    /// What the attempt before left for us, with its file's lines taken over; null if there is
    /// nothing.
    [[nodiscard]] const nlohmann::json& found() const { return found_; }
    /// Forgets everything that was read.
    void begin_anew();

    /// One record; line breaks between its parts become spaces.
    void add(std::string_view record);
    /// All records of a page are added. Durable from time to time.
    void end_page(const nlohmann::json& state);
    /// Makes the last page durable now; what goes wrong is only logged.
    void save() noexcept;

    /// Closes the file for reading.
    [[nodiscard]] const std::filesystem::path& finish();
    /// All is written elsewhere: the files of all attempts go.
    void remove() noexcept;

private:
    void flush();
    void take_over(const nlohmann::json& checkpoint);

    task::TaskContext& context_;
    std::string key_;
    SpoolFolder place_;
    std::filesystem::path file_;
    nlohmann::json found_;
    nlohmann::json last_;    // state behind the last whole page
    std::string waiting_;    // records of whole pages and of this one, not written yet
    std::int64_t bytes_{0};  // in the file and waiting
    std::int64_t whole_{0};  // up to the last whole page
    std::int64_t saved_{0};
    int fd_{-1};
    std::chrono::steady_clock::time_point saved_at_{std::chrono::steady_clock::now()};
};

}  // namespace sluice::extract
