#include "config.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include <unistd.h>

namespace sluice {
namespace {

/// A cgroup's memory limit in bytes; 0 = none.
std::int64_t container_limit() {
    for (const char* path :
         {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        std::ifstream in(path);
        std::int64_t bytes = 0;
        // "max" does not read as a number: no limit.
        if (in >> bytes && bytes > 0 && bytes < (std::int64_t{1} << 50)) return bytes;
    }
    return 0;
}

}  // namespace

std::string program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

int machine_cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

std::int64_t machine_memory_mb() {
    const std::int64_t physical =
        std::int64_t{::sysconf(_SC_PHYS_PAGES)} * std::int64_t{::sysconf(_SC_PAGESIZE)};
    const std::int64_t limit = container_limit();
    const std::int64_t bytes = limit > 0 ? std::min(limit, physical) : physical;
    return std::max<std::int64_t>(256, bytes / 10 * 7 >> 20);
}

}  // namespace sluice
