#include "operators/lake/local_storage.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "operators/engine/error_number.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::lake {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

/// A disk may find out only now that it has no room, or that it is broken.
void sync_path(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
    const int number = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!synced)
        throw Failure(
            engine::class_of_errno(number),
            path.string() + " cannot be made safe: " + std::strerror(number)
        );
}

bool is_generation(const fs::path& folder) { return folder.filename().string().starts_with("g="); }

Instant changed_at(const fs::path& folder) {
    struct stat info{};
    if (::stat(folder.c_str(), &info) != 0) return Instant::max();
    return Instant{std::chrono::seconds{info.st_mtim.tv_sec}};
}

}  // namespace

fs::path LocalStorage::begin(const std::string& folder) {
    const fs::path path = root_ / folder;
    fs::create_directories(path);
    return path;
}

void LocalStorage::finish(const std::string& folder, const std::vector<std::string>& names) {
    for (const std::string& name : names) sync_path(root_ / folder / name);
    sync_path(root_ / folder);
}

void LocalStorage::drop(const std::string& folder) noexcept {
    std::error_code ignored;
    fs::remove_all(root_ / folder, ignored);
}

std::vector<std::string> LocalStorage::open(const std::vector<std::string>& files) {
    std::vector<std::string> paths;
    for (const std::string& file : files) paths.push_back((root_ / file).string());
    return paths;
}

std::int64_t LocalStorage::bytes(const std::string& file) {
    std::error_code error;
    const auto size = fs::file_size(root_ / file, error);
    if (error) throw Failure(ErrorClass::permanent, file + ": " + error.message());
    return static_cast<std::int64_t>(size);
}

/// The file is written beside its place and moved there.
void LocalStorage::put(const std::string& file, const std::string& bytes) {
    const fs::path path = root_ / file;
    const fs::path part = path.string() + ".part";
    fs::create_directories(path.parent_path());
    errno = 0;
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out)
        throw Failure(
            errno != 0 ? engine::class_of_errno(errno) : ErrorClass::transient,
            "cannot write " + part.string() + ": " + std::strerror(errno)
        );
    fs::rename(part, path);
}

void LocalStorage::remove_folder(const std::string& folder) {
    check_generation_folder(folder);
    const fs::path relative = fs::path(folder).lexically_normal();
    std::error_code error;
    fs::remove_all(root_ / relative, error);
    if (error)
        throw Failure(ErrorClass::transient, (root_ / relative).string() + ": " + error.message());
    for (fs::path above = relative.parent_path(); above.has_parent_path();
         above = above.parent_path())
        if (!fs::remove(root_ / above, error) || error) break;
}

std::vector<std::string> LocalStorage::unknown_folders(
    const std::string& dataset, const std::set<std::string>& known, Instant before
) {
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator entry(root_ / dataset_folder(dataset), error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        if (!entry->is_directory(error) || !is_generation(entry->path())) continue;
        entry.disable_recursion_pending();
        std::string name = entry->path().lexically_relative(root_).string();
        if (!known.contains(name) && changed_at(entry->path()) < before)
            found.push_back(std::move(name));
    }
    std::ranges::sort(found);
    return found;
}

std::string LocalStorage::lifecycle() {
    throw Failure(
        ErrorClass::permanent,
        "the lake lies in the folder " + root_.string() +
            ", which has no lifecycle rules: run `retain`"
    );
}

void LocalStorage::put_lifecycle(const std::string&) { (void)lifecycle(); }

}  // namespace sluice::lake
