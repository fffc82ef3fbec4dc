#include "task/memory_group.hpp"

#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "task/process.hpp"

namespace sluice::task {
namespace {

namespace fs = std::filesystem;

/// Plain files in the place of a cgroup file system.
struct FakeRoot {
    FakeRoot() {
        std::string pattern = (fs::temp_directory_path() / "sluice-cgroup-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~FakeRoot() { fs::remove_all(path); }
    FakeRoot(const FakeRoot&) = delete;
    FakeRoot& operator=(const FakeRoot&) = delete;

    fs::path write(const fs::path& file, const std::string& text) const {
        fs::create_directories((path / file).parent_path());
        std::ofstream(path / file) << text;
        return path / file;
    }
    [[nodiscard]] std::string read(const fs::path& file) const {
        std::ifstream in(path / file);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    /// The only group that was made beside the one of the proof.
    [[nodiscard]] fs::path newest(const fs::path& folder) const {
        fs::path found;
        for (const auto& entry : fs::directory_iterator(path / folder))
            if (entry.is_directory() && entry.path() > found) found = entry.path();
        return found;
    }
    fs::path path;
};

}  // namespace

TEST_CASE("memory groups of cgroup v1: limit, members, kills", "[memory_group]") {
    const FakeRoot root;
    fs::create_directories(root.path / "memory/pod");
    const auto self = root.write("self", "5:cpu,cpuacct:/x\n4:memory:/pod\n0::/\n");
    std::string how;
    const auto groups = MemoryGroups::detect("a", how, root.path, self);
    REQUIRE(groups != nullptr);
    REQUIRE(groups->version() == CgroupVersion::v1);
    REQUIRE(how.find("v1") != std::string::npos);
    const auto group = groups->make(123 << 20);
    REQUIRE(group != nullptr);
    const fs::path folder = fs::relative(root.newest("memory/pod/sluice-a"), root.path);
    REQUIRE(root.read(folder / "memory.limit_in_bytes") == std::to_string(123 << 20));
    REQUIRE(group->add(42));
    REQUIRE(root.read(folder / "cgroup.procs") == "42");
    REQUIRE(group->killed() == 0);
    root.write(folder / "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    root.write(folder / "memory.max_usage_in_bytes", "77\n");
    REQUIRE(group->killed() == 2);
    REQUIRE(group->peak_bytes() == 77);
}

TEST_CASE("memory groups of cgroup v2 take the controller down to them", "[memory_group]") {
    const FakeRoot root;
    root.write("cgroup.controllers", "cpu memory");
    fs::create_directories(root.path / "user/daemon");
    const auto self = root.write("self", "0::/user/daemon\n");
    std::string how;
    const auto groups = MemoryGroups::detect("b", how, root.path, self);
    REQUIRE(groups != nullptr);
    REQUIRE(groups->version() == CgroupVersion::v2);
    REQUIRE(root.read("user/daemon/cgroup.subtree_control") == "+memory");
    const auto group = groups->make(1 << 20);
    const fs::path folder = fs::relative(root.newest("user/daemon/sluice-b"), root.path);
    REQUIRE(root.read(folder / "memory.max") == std::to_string(1 << 20));
    REQUIRE(root.read(folder / "memory.swap.max") == "0");
    root.write(folder / "memory.events", "low 0\noom 1\noom_kill 1\n");
    REQUIRE(group->killed() == 1);
}

TEST_CASE("without a memory cgroup there are no groups, and it says why", "[memory_group]") {
    const FakeRoot root;
    std::string how;
    const auto self = root.write("self", "3:cpu:/x\n");
    REQUIRE(MemoryGroups::detect("c", how, root.path, self) == nullptr);
    REQUIRE(how == "this process has no memory cgroup");
    const auto other = root.write("other", "3:memory:/x\n");
    REQUIRE(MemoryGroups::detect("c", how, root.path / "nowhere", other) == nullptr);
    REQUIRE(how.find("no cgroup can be made") != std::string::npos);
}

TEST_CASE(
    "where this host lets us, the kernel itself ends what is over its limit", "[memory_group]"
) {
    std::string how;
    const auto groups = MemoryGroups::detect("test-" + std::to_string(::getpid()), how);
    if (groups == nullptr) {
        WARN("not here: " + how);
        return;
    }
    const auto group = groups->make(64 << 20);
    REQUIRE(group != nullptr);
    Spawner spawner(Spawner::allowed_environment(""));
    // It waits to be a member before it takes memory.
    Command command{
        {"bash",
         "-c",
         "while ! grep -q sluice-test /proc/self/cgroup; do sleep 0.01; done; "
         "exec python3 -c 'x = bytearray(400 << 20)'"},
        spawner.environment(),
        ""
    };
    Child child = spawner.spawn(command);
    REQUIRE(group->add(child.pid()));
    while (!child.ended()) ::usleep(1'000);
    REQUIRE(child.reap().signal == SIGKILL);
    REQUIRE(group->killed() > 0);
    REQUIRE(group->peak_bytes() <= (64 << 20));
}

}  // namespace sluice::task
