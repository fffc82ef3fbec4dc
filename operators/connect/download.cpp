#include "operators/connect/download.hpp"

#include <cerrno>
#include <cstring>

#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

/// What the engine may need beside it to spill.
constexpr std::int64_t room_kept = std::int64_t{64} << 20;

std::int64_t size_of_folder(const fs::path& folder) {
    std::int64_t bytes = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error))
        if (entry->is_regular_file(error))
            bytes += static_cast<std::int64_t>(entry->file_size(error));
    return bytes;
}

}  // namespace

NewFile::NewFile(fs::path path) : path_(std::move(path)) { open(); }

NewFile::~NewFile() {
    out_.close();
    std::error_code ignored;
    if (!kept_) fs::remove(path_, ignored);
}

void NewFile::write(std::string_view bytes) {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    check();
    size_ += static_cast<std::int64_t>(bytes.size());
}

void NewFile::begin_anew() {
    out_.close();
    open();
}

void NewFile::keep() {
    out_.close();
    check();
    kept_ = true;
}

void NewFile::open() {
    out_.open(path_, std::ios::binary | std::ios::trunc);
    check();
    size_ = 0;
}

void NewFile::check() const {
    if (out_) return;
    const ErrorClass kind =
        errno == ENOSPC || errno == EDQUOT ? ErrorClass::resource : ErrorClass::transient;
    throw Failure(kind, "cannot write " + path_.string() + ": " + std::strerror(errno));
}

void check_room(
    const fs::path& folder, std::int64_t most, const std::string& address, std::int64_t bytes
) {
    const std::int64_t used = size_of_folder(folder);
    const std::string wants = address + " has " + std::to_string(bytes) + " bytes, ";
    if (used + bytes > most)
        throw Failure(
            ErrorClass::resource,
            wants + "the task has " + std::to_string(used) + " on its disk already and may have " +
                std::to_string(most) + " (cache_bytes of the connection)"
        );
    std::error_code error;
    const auto space = fs::space(folder, error);
    if (!error && static_cast<std::int64_t>(space.available) < bytes + room_kept)
        throw Failure(
            ErrorClass::resource,
            wants + "the disk of the task's working folder has room for " +
                std::to_string(space.available)
        );
}

}  // namespace sluice::connect
