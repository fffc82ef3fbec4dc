// memory_group.hpp — memory limits that the kernel enforces: one memory cgroup (v1 or v2) for each
// process tree with a limit, where this daemon may make some. Without, the tree's resident size is
// watched instead. MemoryGroups is thread-safe; a MemoryGroup belongs to one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

namespace sluice::task {

enum class CgroupVersion { v1, v2 };

/// One process tree's group; its folder is removed with it.
class MemoryGroup {
public:
    MemoryGroup(std::filesystem::path folder, CgroupVersion version);
    ~MemoryGroup();
    MemoryGroup(const MemoryGroup&) = delete;
    MemoryGroup& operator=(const MemoryGroup&) = delete;

    /// The process and what it starts from now on. False if the kernel refuses.
    [[nodiscard]] bool add(pid_t pid) const;
    /// Processes in it that the kernel has ended for the limit.
    [[nodiscard]] std::int64_t killed() const;
    [[nodiscard]] std::int64_t peak_bytes() const;

private:
    const std::filesystem::path folder_;
    const CgroupVersion version_;
};

class MemoryGroups {
public:
    /// Looks whether groups can be made under this process's own memory cgroup. `name` tells those
    /// of several daemons apart. None = they cannot; `why` says for the log which it is.
    static std::unique_ptr<MemoryGroups> detect(
        const std::string& name,
        std::string& why,
        const std::filesystem::path& root = "/sys/fs/cgroup",
        const std::filesystem::path& self = "/proc/self/cgroup"
    );
    ~MemoryGroups();
    MemoryGroups(const MemoryGroups&) = delete;
    MemoryGroups& operator=(const MemoryGroups&) = delete;

    /// Null if it cannot be made now.
    [[nodiscard]] std::unique_ptr<MemoryGroup> make(std::int64_t limit_bytes) const;
    [[nodiscard]] CgroupVersion version() const { return version_; }

private:
    MemoryGroups(std::filesystem::path folder, CgroupVersion version);

    const std::filesystem::path folder_;
    const CgroupVersion version_;
};

}  // namespace sluice::task
