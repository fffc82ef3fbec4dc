#include "executor/warm_workers.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "executor/test_orders.hpp"
#include "task/process.hpp"

using namespace sluice;
using namespace sluice::executor;
using namespace std::chrono_literals;

// ThreadSanitizer has a thread of its own in every process: nothing can be copied, all is started
// anew.
#ifndef __SANITIZE_THREAD__

namespace {

bool within(std::chrono::seconds patience, const std::function<bool()>& what) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!what()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The number after the command of /proc/PID/stat: 1 = parent, 2 = group.
pid_t stat_number(pid_t pid, int place) {
    const std::string stat = content("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream rest(stat.substr(stat.rfind(')') + 4));
    pid_t number = 0;
    for (int i = 0; i < place; ++i) rest >> number;
    return number;
}

/// Returns one end of a socket pair, `other` becomes the other.
int make_pair(task::Fd& other) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    other = task::Fd{ends[1]};
    return ends[0];
}

/// A worker that waits for its start message until our end closes.
struct Worker {
    Worker(WarmWorkers& warm, const std::string& folder)
        : child(warm.start(folder, theirs.get(), out.write.get(), out.write.get())) {
        theirs.reset();
    }
    task::Fd theirs;
    task::Fd mine{make_pair(theirs)};
    task::Pipe out{task::make_pipe()};
    std::optional<task::Child> child;
};

struct Fixture {
    explicit Fixture(const std::string& more = "SLUICE_TEST_NOTHING=1")
        : instance("test-warm-" + std::to_string(::getpid())),
          spawner({"PATH=/usr/bin:/bin", "SLUICE_INSTANCE=" + instance, more}),
          warm(spawner, std::filesystem::read_symlink("/proc/self/exe")) {}
    const std::string instance;
    task::Spawner spawner;
    WarmWorkers warm;
    TestFolder folder;
};

}  // namespace

TEST_CASE("a warm worker is the daemon's child, in a group and a folder of its own", "[warm]") {
    Fixture f;
    CHECK(f.warm.pid() == 0);  // none before there is something to do
    Worker one(f.warm, f.folder.path);
    REQUIRE(one.child);
    const pid_t source = f.warm.pid();
    Worker two(f.warm, f.folder.path);
    REQUIRE(two.child);
    CHECK(f.warm.pid() == source);
    CHECK(one.child->pid() != two.child->pid());
    for (const Worker* worker : {&one, &two}) {
        const pid_t pid = worker->child->pid();
        const std::string proc = "/proc/" + std::to_string(pid);
        CHECK(stat_number(pid, 1) == ::getpid());
        CHECK(stat_number(pid, 2) == pid);
        CHECK(within(10s, [&] {
            std::error_code gone;
            return std::filesystem::read_symlink(proc + "/cwd", gone) == f.folder.path;
        }));
        CHECK_THAT(content(proc + "/environ"), Catch::Contains(f.instance));
        CHECK(content(proc + "/oom_score_adj") == "500\n");
        CHECK_FALSE(worker->child->ended());
    }
    one.mine.reset();
    CHECK(within(10s, [&] { return one.child->ended(); }));
    CHECK(one.child->reap().signal == SIGKILL);  // its whole group, itself included
    CHECK_FALSE(two.child->ended());
}

TEST_CASE("a worker outlives its warm process; the next worker has another", "[warm][fault]") {
    Fixture f;
    Worker before(f.warm, f.folder.path);
    REQUIRE(before.child);
    const pid_t first = f.warm.pid();
    ::kill(first, SIGKILL);
    REQUIRE(within(10s, [&] { return f.warm.pid() == 0; }));
    CHECK(::kill(first, 0) != 0);  // reaped: nothing of it stays
    CHECK_FALSE(before.child->ended());
    Worker after(f.warm, f.folder.path);
    REQUIRE(after.child);
    CHECK(f.warm.pid() != first);
}

TEST_CASE("a warm process that is idle ends and comes again", "[warm]") {
    Fixture f("SLUICE_TEST_WARM_IDLE_MS=50");
    {
        Worker worker(f.warm, f.folder.path);
        REQUIRE(worker.child);
        REQUIRE(within(10s, [&] { return f.warm.pid() == 0; }));
        CHECK_FALSE(worker.child->ended());
    }
    const Worker again(f.warm, f.folder.path);
    CHECK(again.child);
}

TEST_CASE("with its owner the warm process goes", "[warm]") {
    pid_t source = 0;
    {
        Fixture f;
        const Worker worker(f.warm, f.folder.path);
        source = f.warm.pid();
        REQUIRE(source > 0);
    }
    CHECK(::kill(source, 0) != 0);
}

TEST_CASE("no warm process, no worker of it, and nothing left behind", "[warm][fault]") {
    for (const char* point : {"warm_before_copy", "warm_after_copy"}) {
        Fixture f(std::string("SLUICE_FAULT=") + point + ":1");
        for (int i = 0; i < 4; ++i) {
            const Worker worker(f.warm, f.folder.path);
            CHECK_FALSE(worker.child);
            CHECK(f.warm.pid() == 0);
        }
        // A copy that nobody knows has lost its socket, and ends.
        CHECK(within(10s, [&] { return task::end_instance(f.instance, 0ms) == 0; }));
    }
}

TEST_CASE("a program that cannot be run gives no warm worker", "[warm]") {
    task::Spawner spawner({"PATH=/usr/bin:/bin"});
    const TestFolder folder;
    WarmWorkers absent(spawner, folder.path + "/nothing");
    CHECK_FALSE(Worker(absent, folder.path).child);
    WarmWorkers other(spawner, "/bin/true");
    for (int i = 0; i < 4; ++i) CHECK_FALSE(Worker(other, folder.path).child);
}

#endif
