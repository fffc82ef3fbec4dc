#include <csignal>
#include <filesystem>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/command/operators.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::task;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

struct Ran {
    Outcome outcome;
    Json xcom;
    std::vector<std::string> lines;
};

Ran run(
    const Operator& op, const Json& params, const std::function<void(FakeContext&)>& prepare = {}
) {
    FakeLedger ledger;
    FakeContext fake(ledger);
    if (prepare) prepare(fake);
    Ran ran;
    ran.outcome = fake.run(op, params);
    ran.xcom = fake.xcom();
    for (const auto& [level, line] : fake.logs()) ran.lines.push_back(line);
    return ran;
}

Ran shell(const Json& params) { return run(ops::shell_operator(), params); }
Ran bash(const std::string& command) { return shell({{"bash_command", command}}); }

}  // namespace

TEST_CASE("shell: an argv runs without a shell, its last line is the value", "[shell]") {
    const Ran ran = shell({{"argv", {"printf", "%s\\n", "a b; c", "$HOME", 7}}});
    REQUIRE(ran.outcome.kind == OutcomeKind::success);
    REQUIRE(ran.lines == std::vector<std::string>{"a b; c", "$HOME", "7"});
    REQUIRE(ran.xcom == 7);
}

TEST_CASE("shell: the last line is JSON if it is JSON, else text", "[shell]") {
    REQUIRE(bash("echo '{\"rows\": 3}'").xcom == Json{{"rows", 3}});
    REQUIRE(bash("echo hello").xcom == "hello");
    REQUIRE(bash("true").xcom.is_null());
    REQUIRE(bash("echo not last; printf 'unfinished'").xcom == "unfinished");
    const std::string deep(10'000, '[');
    REQUIRE(bash("echo '" + deep + "'").xcom == deep);
}

TEST_CASE("shell: exit codes decide, a pipe's first failure counts", "[shell]") {
    const Ran failed = bash("echo why >&2; exit 3");
    REQUIRE(failed.outcome.kind == OutcomeKind::failed);
    REQUIRE(failed.outcome.error_class == ErrorClass::transient);
    REQUIRE(failed.outcome.message == "exit code 3: why");
    REQUIRE(bash("false | true").outcome.kind == OutcomeKind::failed);
    REQUIRE(bash("echo $UNSET_VARIABLE").outcome.kind == OutcomeKind::failed);
    REQUIRE(bash("exit 99").outcome.kind == OutcomeKind::skipped);
    REQUIRE(
        shell({{"bash_command", "exit 4"}, {"exit_ok", {0, 4}}}).outcome.kind ==
        OutcomeKind::success
    );
    REQUIRE(
        shell({{"bash_command", "exit 99"}, {"skip_on_exit_code", nullptr}}).outcome.kind ==
        OutcomeKind::failed
    );
    REQUIRE(
        shell({{"bash_command", "exit 5"}, {"skip_on_exit_code", 5}}).outcome.kind ==
        OutcomeKind::skipped
    );
}

TEST_CASE("shell: a signal that is not ours is a failure of class resource", "[shell]") {
    const Ran ran = bash("kill -SEGV $$");
    REQUIRE(ran.outcome.error_class == ErrorClass::resource);
    REQUIRE_THAT(ran.outcome.message, Catch::Contains("signal 11"));
}

TEST_CASE("shell: env replaces, append_env adds, stdin and cwd are given", "[shell]") {
    const Json env{{"A", "1"}, {"N", 2}};
    REQUIRE(shell({{"bash_command", "echo $A$N ${HOME:-none}"}, {"env", env}}).xcom == "12 none");
    REQUIRE(
        shell({{"bash_command", "echo $A ${HOME:-none}"}, {"env", env}, {"append_env", true}}
        ).xcom != "1 none"
    );
    REQUIRE(shell({{"argv", {"cat"}}, {"stdin", "in\nput"}}).xcom == "put");
    REQUIRE(shell({{"argv", {"pwd"}}, {"cwd", "/usr"}}).xcom == "/usr");
    REQUIRE(bash("env | grep -c SECRET_OF_THE_DAEMON || true").xcom == 0);
}

TEST_CASE("shell: SLUICE_CONTEXT names a file with the run's facts", "[shell]") {
    const Ran ran = bash("tr -d '\\n' < $SLUICE_CONTEXT");
    REQUIRE(ran.xcom.at("dag_id") == "test_dag");
    REQUIRE(ran.xcom.at("data_interval_start") == "2026-01-05T00:00:00+00:00");
}

TEST_CASE("shell: binary output and lines of a mebibyte do no harm", "[shell]") {
    const Ran ran = bash(
        "head -c 100000 /dev/urandom; echo; head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end"
    );
    REQUIRE(ran.outcome.kind == OutcomeKind::success);
    REQUIRE(ran.xcom == "end");
    for (const auto& line : ran.lines) REQUIRE(line.size() < 66'000);
}

TEST_CASE("shell: a program that is not there is a permanent failure that names it", "[shell]") {
    const Ran ran = shell({{"argv", {"no-such-program"}}});
    REQUIRE(ran.outcome.error_class == ErrorClass::permanent);
    REQUIRE_THAT(ran.outcome.message, Catch::Contains("no-such-program"));
}

TEST_CASE("shell: out of memory names the limit", "[shell]") {
    const Ran ran =
        run(ops::shell_operator(),
            {{"argv", {"python3", "-c", "x = bytearray(400 << 20); import time; time.sleep(30)"}}},
            [](FakeContext& fake) {
                fake.job.resources.written = true;
                fake.job.resources.memory_bytes = 64 << 20;
            });
    REQUIRE(ran.outcome.error_class == ErrorClass::resource);
    REQUIRE_THAT(ran.outcome.message, Catch::Contains("64 MiB"));
}

TEST_CASE("shell: a cancel ends the command within a second", "[shell][cancel]") {
    FakeLedger ledger;
    FakeContext fake(ledger);
    TaskContext& ctx = fake.context();
    const auto begin = std::chrono::steady_clock::now();
    std::thread canceller([&] { ctx.cancel(); });
    const Outcome outcome =
        fake.run(ops::shell_operator(), {{"bash_command", "trap '' TERM; sleep 30; sleep 30"}});
    canceller.join();
    REQUIRE(outcome.kind == OutcomeKind::failed);
    REQUIRE(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("python: code, arguments and environment", "[python]") {
    const Ran ran =
        run(ops::python_operator(),
            {{"code",
              {"import sys, os, json",
               "print('log')",
               "print(json.dumps(sys.argv[1:] + [os.environ['A'], 'HOME' in os.environ or 1]))"}},
             {"args", {"x", 2}},
             {"env", {{"A", "1"}}}});
    INFO(ran.outcome.message);
    REQUIRE(ran.outcome.kind == OutcomeKind::success);
    REQUIRE(ran.lines.at(0) == "log");
    REQUIRE(ran.xcom.at(0) == "x");
    REQUIRE(ran.xcom.at(1) == "2");
    REQUIRE(ran.xcom.at(2) == "1");
}

TEST_CASE("python: a script is part of the bundle; its traceback is in the log", "[python]") {
    const auto bundle = [](FakeContext& fake) {
        fake.files({{"scripts/job.py", "import context_is_fine_without_this_module"}});
    };
    const Ran ran = run(ops::python_operator(), {{"script", "scripts/job.py"}}, bundle);
    REQUIRE(ran.outcome.kind == OutcomeKind::failed);
    REQUIRE_THAT(ran.outcome.message, Catch::Contains("ModuleNotFoundError"));
    REQUIRE(ran.lines.at(0) == "Traceback (most recent call last):");
    const Ran missing = run(ops::python_operator(), {{"script", "scripts/other.py"}}, bundle);
    REQUIRE(missing.outcome.error_class == ErrorClass::permanent);
    const Ran interpreter = run(ops::python_operator(), {{"code", "1"}, {"python", "/no/python"}});
    REQUIRE_THAT(interpreter.outcome.message, Catch::Contains("/no/python"));
    REQUIRE(
        run(ops::python_operator(), {{"code", "exit(99)"}}).outcome.kind == OutcomeKind::skipped
    );
}
