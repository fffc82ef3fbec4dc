#include "task/child.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "task/fake_context.hpp"
#include "task/lines.hpp"

using namespace sluice;
using namespace sluice::task;
using namespace std::chrono_literals;

namespace {

struct Ran {
    ChildReport report;
    std::vector<std::string> out;
    std::vector<std::string> err;
    std::chrono::milliseconds took{};
};

class Bench {
public:
    FakeLedger ledger;
    FakeContext fake{ledger};

    ChildOrder order(std::vector<std::string> argv) {
        ChildOrder out;
        out.argv = std::move(argv);
        out.environment = fake.context().spawner().environment();
        return out;
    }

    Ran run(const ChildOrder& what) {
        Ran ran;
        const auto begin = std::chrono::steady_clock::now();
        ran.report = run_child(fake.context(), what, [&](Stream stream, std::string_view line) {
            (stream == Stream::out ? ran.out : ran.err).emplace_back(line);
        });
        ran.took = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - begin
        );
        return ran;
    }
};

/// A zombie that its new parent has not yet reaped is not alive.
bool alive(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number;
    std::string name;
    std::string state;
    return stat >> number >> name >> state && state != "Z";
}

bool gone_within(pid_t pid, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (alive(pid) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return !alive(pid);
}

}  // namespace

TEST_CASE("lines are cut at newlines and at the limit", "[task][lines]") {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); }, 4);
    splitter.feed("ab");
    splitter.feed("c\r\n\nabcdef");
    splitter.feed("gh\nlast");
    splitter.finish();
    splitter.finish();
    REQUIRE(lines.size() == 4);
    REQUIRE(lines[0] == "abc");
    REQUIRE(lines[1].empty());
    REQUIRE(lines[2] == "abcd ... [4 bytes cut: log_line_bytes is 4]");
    REQUIRE(lines[3] == "last");
}

TEST_CASE("a child gets its input and its output comes line by line", "[task][child]") {
    Bench bench;
    auto order = bench.order({"bash", "-c", "cat; echo err >&2; exit 7"});
    order.input = std::string(300'000, 'x') + "\nend";
    const Ran ran = bench.run(order);
    REQUIRE(ran.report.exit.exit_code == 7);
    REQUIRE(ran.out.size() == 2);
    REQUIRE(ran.out[1] == "end");
    REQUIRE(ran.out[0].size() == 300'000);  // it may be a value; a log cuts it
    REQUIRE(ran.err == std::vector<std::string>{"err"});
}

TEST_CASE("a program that is not there is named", "[task][child]") {
    Bench bench;
    REQUIRE_THROWS_WITH(
        bench.run(bench.order({"no-such-program"})), Catch::Contains("no-such-program")
    );
    REQUIRE_THROWS_WITH(bench.run(bench.order({"/no/such"})), Catch::Contains("/no/such"));
    auto order = bench.order({"true"});
    order.cwd = "/no/folder";
    REQUIRE_THROWS_WITH(bench.run(order), Catch::Contains("/no/folder"));
}

TEST_CASE("a cancel ends a whole process group within a second", "[task][child][cancel]") {
    Bench bench;
    const std::string pids = bench.fake.context().scratch() + "/pids";
    // The shell and its child both ignore SIGTERM.
    auto order = bench.order(
        {"bash",
         "-c",
         "trap '' TERM; sleep 60 & echo $! > " + pids + "; echo up; while :; do wait; done"}
    );
    std::thread canceller;
    Ran ran;
    const auto begin = std::chrono::steady_clock::now();
    auto cancelled_at = begin;
    ran.report = run_child(bench.fake.context(), order, [&](Stream, std::string_view line) {
        if (line != "up") return;
        cancelled_at = std::chrono::steady_clock::now();
        canceller = std::thread([&] { bench.fake.context().cancel(); });
    });
    canceller.join();
    REQUIRE(std::chrono::steady_clock::now() - cancelled_at < 1s);
    REQUIRE(ran.report.cancelled);
    REQUIRE(ran.report.exit.signal == SIGKILL);
    pid_t grandchild = 0;
    std::ifstream(pids) >> grandchild;
    REQUIRE(grandchild > 0);
    REQUIRE(gone_within(grandchild, 2s));
}

TEST_CASE("what a task leaves in the background is ended with it", "[task][child]") {
    Bench bench;
    const Ran ran = bench.run(bench.order({"bash", "-c", "sleep 60 & echo $!"}));
    REQUIRE(ran.took < 2s);
    REQUIRE(gone_within(static_cast<pid_t>(std::stoi(ran.out.at(0))), 2s));
}

TEST_CASE(
    "a tree over its memory limit is ended, and the words name limit and peak", "[task][child]"
) {
    Bench bench;
    auto order = bench.order(
        {"python3",
         "-c",
         "import os,time\nif os.fork(): os.wait()\nelse:\n x=bytearray(300<<20); time.sleep(60)"}
    );
    order.memory_bytes = 100LL << 20;
    const Ran ran = bench.run(order);
    REQUIRE(ran.report.over_memory);
    REQUIRE(ran.report.exit.signal == SIGKILL);
    const std::string text = over_memory_text(order.memory_bytes, ran.report.peak_bytes);
    REQUIRE_THAT(text, Catch::Contains("100 MiB"));
    REQUIRE_THAT(text, Catch::Contains("resources.memory"));
}

TEST_CASE("a child has no core dumps and is the kernel's first choice", "[task][child]") {
    Bench bench;
    const Ran ran =
        bench.run(bench.order({"bash", "-c", "ulimit -c; cat /proc/self/oom_score_adj"}));
    REQUIRE(ran.out == std::vector<std::string>{"0", "500"});
}

TEST_CASE("processes that carry an instance's id are found and ended", "[task][child]") {
    const std::string id = "test-" + std::to_string(::getpid());
    Spawner spawner(Spawner::allowed_environment(id));
    Pipe out = make_pipe();
    Command command;
    command.argv = {"bash", "-c", "setsid sleep 60 & echo up; exec sleep 60"};
    command.environment = spawner.environment();
    command.stdout_fd = out.write.get();
    const Child child = spawner.spawn(command);
    std::array<char, 8> buffer{};
    REQUIRE(::read(out.read.get(), buffer.data(), buffer.size()) == 3);
    REQUIRE(end_instance(id, 5s) >= 2);
    REQUIRE(end_instance(id, 0s) == 0);
}
