#include "temporary_folder.hpp"

#include <ctime>
#include <string>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* folder_name = "sluice-dags-test-";

/// Removes those that no process holds and that are older than the moment between mkdtemp and
/// flock.
void sweep_folders() {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), ignored)) {
        if (!entry.path().filename().string().starts_with(folder_name)) continue;
        const int folder =
            ::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0) continue;
        struct stat info{};
        const bool ours = ::fstat(folder, &info) == 0 && info.st_uid == ::geteuid();
        const bool old = info.st_ctim.tv_sec + 60 < ::time(nullptr);
        if (ours && old && ::flock(folder, LOCK_EX | LOCK_NB) == 0)
            fs::remove_all(entry.path(), ignored);
        ::close(folder);
    }
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
    sweep_folders();
    std::string pattern =
        (fs::temp_directory_path() / (std::string(folder_name) + "XXXXXX")).string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw Error(ErrorCode::internal, "cannot make a temporary folder");
    path_ = pattern;
    lock_ = ::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::flock(lock_, LOCK_EX | LOCK_NB);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    ::close(lock_);
}

}  // namespace sluice
