// progress.hpp — how far a long operation is: rows, bytes and the share of the whole, told at most
// twice a second. What is over sooner says nothing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "operators/engine/database.hpp"
#include "task/context.hpp"

namespace sluice::lake {

/// For loops that count themselves. One thread's.
class Progress {
public:
    /// `total` rows in all, -1 = unknown.
    Progress(task::TaskContext& context, std::string what, std::int64_t total = -1);
    /// What is done from now on.
    void call(std::string what) { what_ = std::move(what); }
    /// So many until now; -1 = unknown. `fraction` counts where there is no total.
    void reach(std::int64_t rows, std::int64_t bytes, std::optional<double> fraction = {});

private:
    task::TaskContext& context_;
    std::string what_;
    std::int64_t total_;
    std::chrono::system_clock::time_point begin_;
    std::chrono::steady_clock::time_point next_;
};

/// For one long statement: while this lives, a thread asks the engine how far it is, and looks how
/// large the files in `folder` (if not "") have become.
class Watch {
public:
    Watch(
        task::TaskContext& context,
        engine::Database& database,
        std::string what,
        std::int64_t total_rows,
        std::string folder = ""
    );
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

private:
    void watch();

    Progress progress_;
    engine::Database& database_;
    std::int64_t total_;
    std::string folder_;
    std::mutex mutex_;  // guards over_
    std::condition_variable wake_;
    bool over_{false};
    std::thread thread_;
};

}  // namespace sluice::lake
