#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.hpp"
#include "executor/check_process.hpp"
#include "executor/dag_checks.hpp"
#include "executor/frames.hpp"
#include "executor/local_executor.hpp"
#include "executor/task_log.hpp"
#include "executor/test_orders.hpp"
#include "executor/warm_process.hpp"
#include "executor/worker.hpp"
#include "task/child.hpp"

using namespace sluice;
using namespace sluice::executor;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

void write_text(const std::string& path, const std::string& text) {
    // Whole or not there: the test looks for it while it is written.
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
}

Outcome crash(task::TaskContext& ctx, const Json& params) {
    const std::string how = params.at("how");
    ctx.info("about to " + how);
    if (how == "abort") std::abort();
    if (how == "exit") {
        std::cerr << "dying words" << std::endl;
        ::_exit(7);
    }
    if (how == "memory") {
        std::vector<std::string> blocks;
        for (;;) blocks.emplace_back(8 << 20, 'x');
    }
    if (how == "throw") throw Error(ErrorCode::unauthorized, "wrong password");
    // Waits for the kill of the test, or its cancel, deaf to SIGTERM.
    std::signal(SIGTERM, SIG_IGN);
    write_text(params.at("pid_file"), std::to_string(::getpid()));
    for (;;) ::pause();
}

Outcome talk(task::TaskContext& ctx, const Json& params) {
    std::cout << "to stdout" << std::endl;
    std::cerr << "to stderr" << std::endl;
    ctx.info("a line");
    ctx.progress(0.5, "half");
    const auto claim = ctx.claim_output("raw.x", "dt=2026-01-05", "");
    OutputCommit output;
    output.dataset = "raw.x";
    output.generation = claim.generation;
    ctx.commit_output(output);
    ctx.checkpoint({{"at", 1}});
    const auto slices = ctx.inputs({"raw.y", task::InputQuery::Partitions::all, {}});
    std::ofstream(ctx.scratch() + "/file") << "x";
    ctx.xcom(
        "return_value",
        {{"slices", slices.size()},
         {"text", params.value("text", "")},
         {"file", ctx.file("sql/big.sql").size()},
         {"instance", std::getenv("SLUICE_INSTANCE") != nullptr},
         {"home", std::getenv("SECRET_OF_THE_DAEMON") == nullptr},
         {"secret", ctx.secret("key").reveal() == "the-key"},
         {"leak", "the-key"}}
    );
    try {
        (void)ctx.connection("nowhere");
    } catch (const Error& error) {
        ctx.warn(error.what());
    }
    return task::success();
}

/// Killed after its checkpoint, unless an attempt before it left one.
Outcome resume(task::TaskContext& ctx, const Json&) {
    const Json before = ctx.previous_checkpoint();
    if (!before.is_null()) {
        ctx.xcom("return_value", before);
        return task::success();
    }
    ctx.checkpoint({{"rows_done", 41}});
    ::raise(SIGKILL);
    return task::success();
}

Outcome polite(task::TaskContext& ctx, const Json& params) {
    std::atomic<bool> cancelled{false};
    ctx.on_cancel([&] {
        cancelled = true;
        cancelled.notify_all();
    });
    write_text(params.at("pid_file"), std::to_string(::getpid()));
    cancelled.wait(false);
    return task::fail(ErrorClass::permanent, "interrupted");
}

task::CheckResult checked(const task::CheckInput& input) {
    const std::string how = input.params.value("how", "");
    if (how == "abort") std::abort();
    if (how == "wait") ::pause();
    task::CheckResult result;
    result.compiled = {std::string(100'000, 'q')};
    result.reads = {"raw." + input.task.id};
    return result;
}

std::vector<task::Operator> worker_operators() {
    std::vector<task::Operator> table(5);
    table[0].name = "crash";
    table[0].run = crash;
    table[1].name = "polite";
    table[1].run = polite;
    table[2].name = "resume";
    table[2].run = resume;
    table[3].name = "talk";
    table[3].run = talk;
    table[4].name = "tell";
    table[4].run = talk;
    table[4].traits.hands_over = true;
    for (auto& op : table) {
        op.schema = R"({"type":"object","additionalProperties":true})";
        op.traits.isolation = Isolation::process;
        op.traits.data = true;
        op.check = checked;
    }
    return table;
}

/// This test program is its own worker: called as `program worker ...` it never comes to the tests.
[[maybe_unused]] const bool was_worker = [] {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::string program;
    std::string verb;
    std::getline(file, program, '\0');
    std::getline(file, verb, '\0');
    std::string flag;
    std::getline(file, flag, '\0');
    if (verb == "worker" && flag == "--check") ::_exit(check_main(worker_operators()));
    // The flag that a warm process blanks stands in no list here.
    static std::string blanked = "--warm";
    const char* idle = std::getenv("SLUICE_TEST_WARM_IDLE_MS");
    if (verb == "worker" && flag == blanked)
        warm_main(
            worker_fd,
            worker_operators(),
            [] {},
            blanked.data(),
            std::chrono::milliseconds{idle == nullptr ? 60'000 : std::atoi(idle)}
        );
    if (verb == "worker") ::_exit(worker_main(worker_fd, worker_operators()));
    return false;
}();

class Workers {
public:
    Workers() : operators_(worker_operators()) {
        ::setenv("SECRET_OF_THE_DAEMON", "s", 1);
        Settings settings;
        settings.logs_root = folder.path + "/logs";
        settings.scratch_root = folder.path + "/scratch";
        settings.instance = "test-workers-" + std::to_string(::getpid());
        settings.program = std::filesystem::read_symlink("/proc/self/exe");
        Services services;
        services.claim = [](const AttemptOrder&, const ClaimRequest& request) {
            return task::OutputClaim{7, "raw/x/" + request.partition};
        };
        services.inputs = [](const AttemptOrder&, const task::InputQuery& query) {
            return std::vector<task::InputSlice>(2, {query.dataset, "p", "", 1, {"f"}, 1});
        };
        services.secret = [](const std::string&) { return Secret{"the-key"}; };
        services.save_checkpoint = [this](const AttemptOrder&, const std::string& state) {
            checkpoint = state;
        };
        services.load_checkpoint = [this](const AttemptOrder&) { return checkpoint; };
        executor = std::make_unique<LocalExecutor>(
            settings,
            services,
            operators_,
            [this](std::vector<AttemptResult> results) {
                const std::lock_guard lock(mutex_);
                std::ranges::move(results, std::back_inserter(results_));
                changed_.notify_all();
            }
        );
    }

    AttemptResult wait_for_result() {
        std::unique_lock lock(mutex_);
        const bool ended = changed_.wait_for(lock, 30s, [&] { return !results_.empty(); });
        REQUIRE(ended);
        AttemptResult result = std::move(results_.front());
        results_.erase(results_.begin());
        return result;
    }

    AttemptResult run(const AttemptOrder& order) {
        executor->start({order});
        return wait_for_result();
    }

    std::string log(const AttemptOrder& order) const {
        std::ifstream file(log_path(folder.path + "/logs", "test", order.run->run_id, "t", -1, 1));
        return {std::istreambuf_iterator<char>(file), {}};
    }

    pid_t wait_for_pid() const {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        pid_t pid = 0;
        while (pid == 0 && std::chrono::steady_clock::now() < deadline)
            std::ifstream(pid_file()) >> pid;
        REQUIRE(pid > 0);
        return pid;
    }

    std::string pid_file() const { return folder.path + "/pid"; }

    TestFolder folder;
    std::string checkpoint{"null"};

private:
    std::vector<task::Operator> operators_;
    std::mutex mutex_;  // guards results_
    std::condition_variable changed_;
    std::vector<AttemptResult> results_;

public:
    std::unique_ptr<LocalExecutor> executor;
};

AttemptOrder crash_order(const std::string& how, const std::string& pid_file = "") {
    return test_order("crash", Json{{"how", how}, {"pid_file", pid_file}}.dump());
}

}  // namespace

TEST_CASE("messages larger than a frame come through in several, whatever the pieces", "[frames]") {
    const Json message{{"type", "x"}, {"text", std::string(3'500'000, 'y')}};
    const std::string bytes = encode_message(message) + encode_message({{"type", "z"}});
    MessageReader reader;
    std::vector<Json> messages;
    for (std::size_t at = 0; at < bytes.size(); at += 65'537) {
        reader.feed(std::string_view(bytes).substr(at, 65'537));
        while (auto next = reader.next()) messages.push_back(*next);
    }
    REQUIRE(messages.size() == 2);
    REQUIRE(messages[0] == message);
    REQUIRE_FALSE(reader.partial());
}

TEST_CASE("frames that are not ours are refused", "[frames]") {
    MessageReader version;
    version.feed(std::string("\x09\0\0\0\0\0\0\0", 8));
    REQUIRE_THROWS_AS(version.next(), Error);
    MessageReader length;
    length.feed(std::string("\x01\0\0\0\xff\xff\xff\x7f", 8));
    REQUIRE_THROWS_WITH(length.next(), Catch::Contains("frame_bytes"));
    MessageReader text;
    text.feed(std::string("\x01\0\0\0\x02\0\0\0[]", 10));
    REQUIRE_THROWS_AS(text.next(), Error);
    REQUIRE_THROWS_WITH(
        encode_message({{"t", std::string(65 << 20, 'x')}}), Catch::Contains("message_bytes")
    );
}

TEST_CASE("what a killed worker had checkpointed is given to the next attempt", "[worker]") {
    Workers workers;
    AttemptOrder order = test_order("resume");
    const AttemptResult killed = workers.run(order);
    REQUIRE(killed.outcome.kind == OutcomeKind::failed);
    REQUIRE(killed.outcome.error_class == ErrorClass::resource);
    REQUIRE(killed.checkpointed);
    REQUIRE(workers.checkpoint == R"({"rows_done":41})");
    workers.executor->acknowledge(order.key);
    order.key.start = 2;
    order.try_number = 2;
    const AttemptResult resumed = workers.run(order);
    REQUIRE(resumed.outcome.kind == OutcomeKind::success);
    REQUIRE(resumed.xcoms.at(0).value == R"({"rows_done":41})");
    REQUIRE(resumed.checkpointed);
}

TEST_CASE("a worker runs an operator: log, values, outputs, checkpoint, secrets", "[worker]") {
    Workers workers;
    const auto order = test_order("talk", R"({"text":"{{ ds }}"})", {}, [](Dag& dag) {
        dag.files["sql/big.sql"] = std::string(3 << 20, 's');
    });
    const auto result = workers.run(order);
    const std::string log = workers.log(order);
    INFO(log);
    REQUIRE(result.outcome.message.empty());
    REQUIRE(result.outcome.kind == OutcomeKind::success);
    const Json value = Json::parse(result.xcoms.at(0).value);
    REQUIRE(value.at("slices") == 2);
    REQUIRE(value.at("text") == "2026-01-05");
    REQUIRE(value.at("file") == 3 << 20);
    REQUIRE(value.at("instance") == true);
    REQUIRE(value.at("home") == true);
    REQUIRE(value.at("secret") == true);
    REQUIRE(value.at("leak") == "***");
    REQUIRE(result.outputs.at(0).generation == 7);
    REQUIRE(Json::parse(result.rendered).at("text") == "2026-01-05");
    REQUIRE(workers.checkpoint == R"({"at":1})");
    for (const char* line : {"to stdout", "to stderr", "a line", "SLUICE_CONN_NOWHERE"})
        REQUIRE_THAT(log, Catch::Contains(line));
    REQUIRE(std::filesystem::is_empty(workers.folder.path + "/scratch"));
}

TEST_CASE(
    "kill -9 of a worker is a failed attempt of class resource, with a log", "[worker][fault]"
) {
    Workers workers;
    const auto order = crash_order("wait", workers.pid_file());
    workers.executor->start({order});
    ::kill(workers.wait_for_pid(), SIGKILL);
    const auto result = workers.wait_for_result();
    REQUIRE(result.outcome.kind == OutcomeKind::failed);
    REQUIRE(result.outcome.error_class == ErrorClass::resource);
    REQUIRE_THAT(result.outcome.message, Catch::Contains("signal 9"));
    REQUIRE_THAT(workers.log(order), Catch::Contains("signal 9"));
}

TEST_CASE("a worker whose warm process dies is started anew", "[worker][fault]") {
    for (const char* point : {"warm_before_copy:1", "warm_after_copy:1"}) {
        ::setenv("SLUICE_FAULT", point, 1);
        Workers workers;
        ::unsetenv("SLUICE_FAULT");
        // One more than there may be failures.
        for (int i = 0; i < 4; ++i) {
            const auto order = test_order("talk", "{}", {}, [](Dag& dag) {
                dag.files["sql/big.sql"] = "select 1";
            });
            const auto result = workers.run(order);
            INFO(workers.log(order));
            REQUIRE(result.outcome.kind == OutcomeKind::success);
        }
        REQUIRE(std::filesystem::is_empty(workers.folder.path + "/scratch"));
    }
}

TEST_CASE("a worker that crashes or leaves is named with its last words", "[worker][fault]") {
    Workers workers;
    const auto aborted = workers.run(crash_order("abort"));
    REQUIRE(aborted.outcome.error_class == ErrorClass::resource);
    REQUIRE_THAT(aborted.outcome.message, Catch::Contains("signal 6"));
    const auto left = workers.run(crash_order("exit"));
    REQUIRE_THAT(left.outcome.message, Catch::Contains("exit code 7"));
    REQUIRE_THAT(left.outcome.message, Catch::Contains("dying words"));
    const auto thrown = workers.run(crash_order("throw"));
    REQUIRE(thrown.outcome.error_class == ErrorClass::auth);
    REQUIRE(thrown.outcome.message == "wrong password");
}

TEST_CASE("a worker out of memory: limit, peak and what to do are named", "[worker][fault]") {
    Workers workers;
    auto order = test_order("crash", R"({"how":"memory"})", [](Task& task) {
        task.resources.memory_bytes = 64 << 20;
    });
    const auto result = workers.run(order);
    REQUIRE(result.outcome.error_class == ErrorClass::resource);
    REQUIRE_THAT(result.outcome.message, Catch::Contains("the limit is 64 MiB"));
    REQUIRE_THAT(result.outcome.message, Catch::Contains("resources.memory"));
}

TEST_CASE("a cancel stops a worker within a second, polite or deaf", "[worker][cancel]") {
    for (const bool deaf : {false, true}) {
        Workers workers;
        const auto order =
            deaf ? crash_order("wait", workers.pid_file())
                 : test_order("polite", Json{{"pid_file", workers.pid_file()}}.dump());
        workers.executor->start({order});
        const pid_t pid = workers.wait_for_pid();
        const auto begin = std::chrono::steady_clock::now();
        workers.executor->cancel({order.key, CancelReason::user});
        const auto result = workers.wait_for_result();
        CAPTURE(deaf);
        REQUIRE(std::chrono::steady_clock::now() - begin < 1s);
        REQUIRE(result.outcome.kind == OutcomeKind::failed);
        REQUIRE(::kill(pid, 0) != 0);
    }
}

TEST_CASE("stop leaves no worker behind and reports it lost", "[worker]") {
    Workers workers;
    workers.executor->start({crash_order("wait", workers.pid_file())});
    const pid_t pid = workers.wait_for_pid();
    workers.executor->stop();
    REQUIRE(workers.wait_for_result().outcome.kind == OutcomeKind::lost);
    REQUIRE(::kill(pid, 0) != 0);
}

TEST_CASE("a DAG version is checked in a process of its own", "[worker][check]") {
    task::Spawner spawner(task::Spawner::allowed_environment(""));
    const std::string program = std::filesystem::read_symlink("/proc/self/exe");
    const auto good = check_in_worker(spawner, program, *test_order("talk").dag);
    REQUIRE(good.tasks.at(0).reads.at(0) == "raw.t");
    REQUIRE(good.tasks.at(0).compiled.at(0).size() == 100'000);
    REQUIRE_THROWS_WITH(
        check_in_worker(spawner, program, *crash_order("abort").dag), Catch::Contains("signal 6")
    );
    REQUIRE_THROWS_WITH(
        check_in_worker(spawner, program, *crash_order("wait").dag, 100ms),
        Catch::Contains("took too long")
    );
}

TEST_CASE(
    "processes that an earlier daemon left behind are ended before the first dispatch", "[worker]"
) {
    const std::string instance = "test-left-" + std::to_string(::getpid());
    task::Spawner spawner(task::Spawner::allowed_environment(instance));
    task::Pipe out = task::make_pipe();
    task::Command command;
    command.argv = {"bash", "-c", "echo up; exec sleep 60"};
    command.environment = spawner.environment();
    command.stdout_fd = out.write.get();
    const task::Child left = spawner.spawn(command);
    char up = 0;
    REQUIRE(::read(out.read.get(), &up, 1) == 1);
    const std::vector<task::Operator> none;
    const TestFolder folder;
    std::filesystem::create_directories(folder.path + "/sluice-abc123/x");
    std::filesystem::create_directories(folder.path + "/other");
    Settings settings;
    settings.instance = instance;
    settings.scratch_root = folder.path;
    const LocalExecutor executor(settings, {}, none, [](const std::vector<AttemptResult>&) {});
    REQUIRE(left.ended());
    REQUIRE_FALSE(std::filesystem::exists(folder.path + "/sluice-abc123"));
    REQUIRE(std::filesystem::exists(folder.path + "/other"));
}

TEST_CASE("a version is checked once, a failed check is tried again", "[worker][check]") {
    const auto operators = worker_operators();
    DagChecks checks(operators, std::filesystem::read_symlink("/proc/self/exe"));
    const auto dag = test_order("talk", "{}", {}, [](Dag& d) { d.hash = "h1"; }).dag;
    REQUIRE(checks.report(*dag) == checks.report(*dag));
    REQUIRE(checks.datasets(dag)->empty());
    const auto bad = crash_order("abort").dag;
    REQUIRE_THROWS_AS(checks.report(*bad), Error);
    REQUIRE_THROWS_AS(checks.report(*bad), Error);
}

TEST_CASE("what hands data sets over is checked with some, and not without", "[worker][check]") {
    const auto operators = worker_operators();
    DagChecks checks(operators, std::filesystem::read_symlink("/proc/self/exe"));
    const auto reads = [&](const std::string& op, const std::function<void(Task&)>& change) {
        const auto report = checks.report(*test_order(op, "{}", change).dag);
        return !report->tasks.empty() && !report->tasks.front().reads.empty();
    };
    REQUIRE(reads("talk", {}));
    REQUIRE_FALSE(reads("tell", {}));
    REQUIRE(reads("tell", [](Task& task) { task.inlets = {"raw.x"}; }));
    REQUIRE(reads("tell", [](Task& task) { task.outlets = {"raw.x"}; }));
    REQUIRE_FALSE(reads("unknown", [](Task& task) { task.inlets = {"raw.x"}; }));
}
