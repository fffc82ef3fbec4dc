#include "operators/extract/chunk_files.hpp"

#include <charconv>
#include <ctime>
#include <fstream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "operators/engine/failure.hpp"

namespace sluice::extract {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr const char* chunk_suffix = ".parquet";

/// Durable, and only then under its name.
void settle(const fs::path& from, const fs::path& to) {
    const int fd = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_to_write(from);
    const bool safe = ::fdatasync(fd) == 0;
    ::close(fd);
    if (!safe || ::rename(from.c_str(), to.c_str()) != 0) fail_to_write(to);
}

std::int64_t number_in(std::string_view text) {
    std::int64_t number = -1;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

}  // namespace

ChunkFiles::ChunkFiles(task::TaskContext& context, std::string key)
    : context_(context), key_(std::move(key)), place_(open_spool_folder(context)) {
    take_over();
}

void ChunkFiles::take_over() {
    const Json& checkpoint = context_.previous_checkpoint();
    if (!checkpoint.is_object() || checkpoint.value("chunks", "") == "" ||
        checkpoint.value("key", "") != key_)
        return;
    const std::time_t oldest =
        std::time(nullptr) - std::chrono::duration_cast<std::chrono::seconds>(oldest_spool).count();
    if (checkpoint.value("at", std::int64_t{0}) < oldest) return;
    const std::string plan = fs::path(checkpoint["chunks"].get<std::string>()).filename();
    std::ifstream in(place_.folder / (plan + ".plan"));
    const Json bounds = Json::parse(in, nullptr, false);
    if (!bounds.is_array()) return;
    bounds_ = bounds.get<std::vector<std::string>>();
    plan_ = plan;
    // <plan>.<range>.<rows>.parquet
    for (const auto& entry : fs::directory_iterator(place_.folder)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(plan + ".") || !name.ends_with(chunk_suffix)) continue;
        const std::string_view rest = std::string_view(name).substr(plan.size() + 1);
        const auto dot = rest.find('.');
        const std::int64_t chunk = number_in(rest);
        const std::int64_t rows = number_in(rest.substr(dot + 1));
        if (chunk < 0 || rows < 0) continue;
        done_[static_cast<std::size_t>(chunk)] = {entry.path(), rows};
    }
    // The attempt after this one is told too.
    context_.checkpoint(checkpoint);
}

void ChunkFiles::plan(const std::vector<std::string>& bounds) {
    plan_ = context_.info().attempt_id;
    bounds_ = bounds;
    const fs::path path = place_.folder / (plan_ + ".plan");
    const fs::path draft = path.string() + ".new";
    std::ofstream out(draft);
    out << Json(bounds).dump();
    out.close();
    if (!out) fail_to_write(draft);
    settle(draft, path);
    context_.checkpoint(
        {{"chunks", plan_}, {"key", key_}, {"at", static_cast<std::int64_t>(std::time(nullptr))}}
    );
}

fs::path ChunkFiles::begin(std::size_t chunk) const {
    // Of this attempt alone: one before it may still be writing.
    return place_.folder / (context_.info().attempt_id + "-" + std::to_string(chunk) + ".part");
}

void ChunkFiles::finish(std::size_t chunk, std::int64_t rows) {
    const fs::path path = place_.folder / (plan_ + "." + std::to_string(chunk) + "." +
                                           std::to_string(rows) + chunk_suffix);
    settle(begin(chunk), path);
    done_[chunk] = {path, rows};
}

}  // namespace sluice::extract
