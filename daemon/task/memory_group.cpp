#include "task/memory_group.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "task/process.hpp"

namespace sluice::task {
namespace {

namespace fs = std::filesystem;

/// One write, as the kernel wants it.
bool put(const fs::path& file, const std::string& text) {
    const Fd fd{::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::int64_t number_in(const fs::path& file) {
    std::ifstream in(file);
    std::int64_t number = 0;
    in >> number;
    return number;
}

/// The number after a word: "oom_kill 3".
std::int64_t number_after(const fs::path& file, const std::string& word) {
    std::ifstream in(file);
    std::string name;
    std::int64_t number = 0;
    while (in >> name >> number)
        if (name == word) return number;
    return 0;
}

bool make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directory(folder, error);
    return !error;
}

/// This process's cgroup: of the controller `memory` (v1), or the one of v2 ("0::/path").
std::optional<std::string> own_group(const fs::path& self, CgroupVersion version) {
    std::ifstream in(self);
    for (std::string line; std::getline(in, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool fits = version == CgroupVersion::v1
                              ? controllers.find(",memory,") != std::string::npos
                              : line.starts_with("0::");
        if (fits) return line.substr(second + 1);
    }
    return std::nullopt;
}

/// In v2 a group with processes cannot hand a controller on: this process goes to a leaf first.
bool hand_memory_on(const fs::path& group) {
    const fs::path control = group / "cgroup.subtree_control";
    if (put(control, "+memory")) return true;
    const fs::path leaf = group / "sluice-daemon";
    return make_folder(leaf) && put(leaf / "cgroup.procs", std::to_string(::getpid())) &&
           put(control, "+memory");
}

/// Groups that a killed daemon could not remove.
void remove_empty(const fs::path& folder) {
    std::error_code ignored;
    for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end;
         it.increment(ignored))
        if (it->is_directory(ignored)) ::rmdir(it->path().c_str());
}

}  // namespace

MemoryGroup::MemoryGroup(fs::path folder, CgroupVersion version)
    : folder_(std::move(folder)), version_(version) {}

MemoryGroup::~MemoryGroup() {
    // The kernel takes a moment to let ended processes go.
    for (int i = 0; i < 20 && ::rmdir(folder_.c_str()) != 0 && errno == EBUSY; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
}

bool MemoryGroup::add(pid_t pid) const {
    return put(folder_ / "cgroup.procs", std::to_string(pid));
}

std::int64_t MemoryGroup::killed() const {
    return number_after(
        folder_ / (version_ == CgroupVersion::v1 ? "memory.oom_control" : "memory.events"),
        "oom_kill"
    );
}

std::int64_t MemoryGroup::peak_bytes() const {
    return number_in(
        folder_ / (version_ == CgroupVersion::v1 ? "memory.max_usage_in_bytes" : "memory.peak")
    );
}

MemoryGroups::MemoryGroups(fs::path folder, CgroupVersion version)
    : folder_(std::move(folder)), version_(version) {}

MemoryGroups::~MemoryGroups() {
    remove_empty(folder_);
    ::rmdir(folder_.c_str());
}

std::unique_ptr<MemoryGroups> MemoryGroups::detect(
    const std::string& name, std::string& why, const fs::path& root, const fs::path& self
) {
    std::error_code error;
    const bool v2 = fs::exists(root / "cgroup.controllers", error);
    const auto version = v2 ? CgroupVersion::v2 : CgroupVersion::v1;
    const auto own = own_group(self, version);
    if (!own) {
        why = "this process has no memory cgroup";
        return nullptr;
    }
    // In a container the path may be the host's; its root is then this process's group.
    fs::path parent = (v2 ? root : root / "memory") / fs::path(*own).relative_path();
    if (!fs::is_directory(parent, error)) parent = v2 ? root : root / "memory";
    if (v2 && !hand_memory_on(parent)) {
        why = "cgroup v2 " + parent.string() + " does not hand its memory controller on";
        return nullptr;
    }
    const fs::path folder = parent / ("sluice-" + name);
    if (!make_folder(folder) || (v2 && !put(folder / "cgroup.subtree_control", "+memory"))) {
        why = "no cgroup can be made in " + parent.string();
        return nullptr;
    }
    remove_empty(folder);
    std::unique_ptr<MemoryGroups> groups(new MemoryGroups(folder, version));
    // The proof that a limit can be set.
    if (groups->make(std::int64_t{1} << 30) == nullptr) {
        why = "no memory limit can be set in " + folder.string();
        return nullptr;
    }
    why = std::string("cgroup ") + (v2 ? "v2 " : "v1 ") + folder.string();
    return groups;
}

std::unique_ptr<MemoryGroup> MemoryGroups::make(std::int64_t limit_bytes) const {
    static std::atomic<std::uint64_t> count{0};
    const fs::path folder = folder_ / (std::to_string(::getpid()) + '-' + std::to_string(++count));
    if (!make_folder(folder)) return nullptr;
    auto group = std::make_unique<MemoryGroup>(folder, version_);
    const std::string limit = std::to_string(limit_bytes);
    if (version_ == CgroupVersion::v1) {
        if (!put(folder / "memory.limit_in_bytes", limit)) return nullptr;
        put(folder / "memory.memsw.limit_in_bytes", limit);  // not every kernel counts swap
        return group;
    }
    if (!put(folder / "memory.max", limit)) return nullptr;
    put(folder / "memory.swap.max", "0");
    put(folder / "memory.oom.group", "1");
    return group;
}

}  // namespace sluice::task
