#include "operators/extract/spool.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace sluice::extract {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
constexpr std::chrono::seconds save_every{1};

}  // namespace

Spool::Spool(task::TaskContext& context, std::string key)
    : context_(context),
      key_(std::move(key)),
      place_(open_spool_folder(context)),
      file_(place_.folder / (context.info().attempt_id + ".jsonl")) {
    fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) fail_to_write(file_);
    take_over(context.previous_checkpoint());
}

Spool::~Spool() {
    if (fd_ >= 0) ::close(fd_);
    std::error_code ignored;
    if (saved_ == 0) fs::remove(file_, ignored);
}

void Spool::take_over(const Json& checkpoint) {
    if (!checkpoint.is_object() || checkpoint.value("spool", "") == "" ||
        checkpoint.value("key", "") != key_)
        return;
    const std::time_t oldest_time =
        std::time(nullptr) - std::chrono::duration_cast<std::chrono::seconds>(oldest_spool).count();
    if (checkpoint.value("at", std::int64_t{0}) < oldest_time) return;
    // Never the other attempt's own file: should that one still run, it may write on.
    const fs::path other =
        place_.folder / fs::path(checkpoint["spool"].get<std::string>()).filename();
    const auto bytes = checkpoint.at("bytes").get<std::int64_t>();
    const int from = ::open(other.c_str(), O_RDONLY | O_CLOEXEC);
    if (from < 0) return;
    std::int64_t copied = 0;
    std::string buffer(buffer_bytes, '\0');
    while (copied < bytes) {
        const auto want = std::min<std::int64_t>(bytes - copied, buffer_bytes);
        const ssize_t got = ::read(from, buffer.data(), static_cast<std::size_t>(want));
        if (got <= 0) break;
        if (::write(fd_, buffer.data(), static_cast<std::size_t>(got)) != got) {
            ::close(from);
            fail_to_write(file_);
        }
        copied += got;
    }
    ::close(from);
    if (copied != bytes) {
        begin_anew();
        return;
    }
    bytes_ = whole_ = bytes;
    last_ = found_ = checkpoint.at("state");
}

void Spool::begin_anew() {
    if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) fail_to_write(file_);
    bytes_ = whole_ = saved_ = 0;
    waiting_.clear();
    found_ = last_ = nullptr;
}

void Spool::add(std::string_view record) {
    const std::size_t begin = waiting_.size();
    waiting_ += record;
    // Between tokens only: inside a JSON string a line break is always escaped.
    for (std::size_t i = begin; i < waiting_.size(); ++i)
        if (waiting_[i] == '\n' || waiting_[i] == '\r') waiting_[i] = ' ';
    waiting_ += '\n';
    bytes_ += static_cast<std::int64_t>(waiting_.size() - begin);
    if (waiting_.size() >= buffer_bytes) flush();
}

void Spool::flush() {
    std::string_view rest = waiting_;
    while (!rest.empty()) {
        const ssize_t put = ::write(fd_, rest.data(), rest.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) fail_to_write(file_);
        rest.remove_prefix(static_cast<std::size_t>(put));
    }
    waiting_.clear();
}

void Spool::end_page(const Json& state) {
    last_ = state;
    whole_ = bytes_;
    if (std::chrono::steady_clock::now() - saved_at_ >= save_every) save();
}

void Spool::save() noexcept {
    try {
        if (last_.is_null()) return;
        saved_at_ = std::chrono::steady_clock::now();
        flush();
        if (::fdatasync(fd_) != 0) fail_to_write(file_);
        context_.checkpoint(
            {{"spool", file_.filename().string()},
             {"key", key_},
             {"bytes", whole_},
             {"at", static_cast<std::int64_t>(std::time(nullptr))},
             {"state", last_}}
        );
        saved_ = std::max<std::int64_t>(whole_, 1);
    } catch (const std::exception& error) {
        context_.warn(std::string("no checkpoint: ") + error.what());
    }
}

const fs::path& Spool::finish() {
    flush();
    return file_;
}

void Spool::remove() noexcept { remove_spool_folder(place_); }

}  // namespace sluice::extract
