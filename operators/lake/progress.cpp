#include "operators/lake/progress.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace sluice::lake {

namespace {

constexpr std::chrono::milliseconds pace{500};

/// Of the files in a folder, which grow meanwhile; -1 = it is not there.
std::int64_t bytes_in(const std::string& folder) {
    if (folder.empty()) return -1;
    std::error_code ignored;
    std::int64_t bytes = -1;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        std::error_code gone;
        const auto size = entry.file_size(gone);
        if (!gone) bytes = std::max<std::int64_t>(bytes, 0) + static_cast<std::int64_t>(size);
    }
    return bytes;
}

}  // namespace

Progress::Progress(task::TaskContext& context, std::string what, std::int64_t total)
    : context_(context),
      what_(std::move(what)),
      total_(total),
      begin_(std::chrono::system_clock::now()),
      next_(std::chrono::steady_clock::now() + pace) {}

void Progress::reach(std::int64_t rows, std::int64_t bytes, std::optional<double> fraction) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + pace;
    double share = fraction.value_or(0);
    if (total_ > 0 && rows >= 0) share = static_cast<double>(rows) / static_cast<double>(total_);
    (void)context_.ask(
        {{"type", "progress"},
         {"fraction", std::clamp(share, 0.0, 1.0)},
         {"what", what_},
         {"rows", rows},
         {"bytes", bytes},
         {"since_us", to_micros(std::chrono::time_point_cast<Duration>(begin_))}}
    );
}

Watch::Watch(
    task::TaskContext& context,
    engine::Database& database,
    std::string what,
    std::int64_t total_rows,
    std::string folder
)
    : progress_(context, std::move(what)),
      database_(database),
      total_(total_rows),
      folder_(std::move(folder)),
      thread_([this] { watch(); }) {}

Watch::~Watch() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void Watch::watch() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, pace, [this] { return over_; })) {
        lock.unlock();
        try {
            const double share = database_.progress().value_or(0);
            progress_.reach(
                total_ >= 0 ? static_cast<std::int64_t>(share * static_cast<double>(total_)) : -1,
                bytes_in(folder_),
                share
            );
        } catch (const std::exception&) {
            return;  // the channel is gone: so is the task
        }
        lock.lock();
    }
}

}  // namespace sluice::lake
