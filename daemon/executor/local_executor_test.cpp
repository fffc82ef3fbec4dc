#include "executor/local_executor.hpp"

#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "executor/task_log.hpp"
#include "executor/test_orders.hpp"
#include "task/child.hpp"

using namespace sluice;
using namespace sluice::executor;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

/// Operators that do what their parameters say.
std::vector<task::Operator> test_operators() {
    std::vector<task::Operator> table;
    const auto add = [&](std::string name, task::Traits traits, auto run) {
        task::Operator op;
        op.name = std::move(name);
        op.schema = R"({"type":"object"})";
        op.traits = traits;
        op.run = run;
        table.push_back(std::move(op));
    };
    add("instant", {.instant = true}, [](task::TaskContext&, const Json&) {
        return task::success();
    });
    add("empty", {.instant = true, .empty = true}, [](task::TaskContext&, const Json&) {
        return task::success();
    });
    add("say", {}, [](task::TaskContext& ctx, const Json& params) {
        for (const auto& line : params.at("lines")) ctx.info(line.get<std::string>());
        if (params.contains("value")) ctx.xcom("return_value", params.at("value"));
        return task::success();
    });
    add("throw", {}, [](task::TaskContext& ctx, const Json& params) -> Outcome {
        (void)ctx.connection(params.value("conn_id", "nowhere"));
        throw std::runtime_error("it broke");
    });
    add("wait", {}, [](task::TaskContext& ctx, const Json&) {
        std::mutex mutex;
        std::condition_variable changed;
        bool cancelled = false;
        ctx.on_cancel([&] {
            const std::lock_guard lock(mutex);
            cancelled = true;
            changed.notify_all();
        });
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return cancelled; });
        return task::fail(ErrorClass::permanent, "cancelled");
    });
    std::ranges::sort(table, {}, &task::Operator::name);
    return table;
}

class World {
public:
    explicit World(Services services = {}) : operators_(test_operators()) {
        Settings settings;
        settings.threads = 64;
        settings.logs_root = folder.path + "/logs";
        executor = std::make_unique<LocalExecutor>(
            settings,
            std::move(services),
            operators_,
            [this](std::vector<AttemptResult> results) {
                const std::lock_guard lock(mutex_);
                std::ranges::move(results, std::back_inserter(results_));
                changed_.notify_all();
            }
        );
    }

    std::vector<AttemptResult> wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        const bool all = changed_.wait_for(lock, 30s, [&] { return results_.size() >= count; });
        REQUIRE(all);
        return results_;
    }

    AttemptResult run(const AttemptOrder& order) {
        const std::size_t before = results().size();
        executor->start({order});
        return wait_for(before + 1).back();
    }

    std::vector<AttemptResult> results() {
        const std::lock_guard lock(mutex_);
        return results_;
    }

    std::vector<std::string> log(const AttemptOrder& order) const {
        const LogReader reader(log_path(
            folder.path + "/logs",
            order.dag->dag_id,
            order.run->run_id,
            order.dag->tasks[static_cast<std::size_t>(order.key.task.task)].id,
            -1,
            order.try_number
        ));
        std::vector<std::string> lines;
        for (const auto& line : reader.from_line(0, 1'000'000).lines) lines.push_back(line.event);
        return lines;
    }

    TestFolder folder;

private:
    std::vector<task::Operator> operators_;
    std::mutex mutex_;  // guards results_
    std::condition_variable changed_;
    std::vector<AttemptResult> results_;

public:
    std::unique_ptr<LocalExecutor> executor;  // last: it reports into the above
};

}  // namespace

TEST_CASE("an inline task logs, returns a value and succeeds", "[executor]") {
    World world;
    const auto order =
        test_order("say", Json{{"lines", {"one", "two"}}, {"value", {{"rows", 3}}}}.dump());
    const auto result = world.run(order);
    REQUIRE(result.key == order.key);
    REQUIRE(result.outcome.kind == OutcomeKind::success);
    REQUIRE(result.xcoms.size() == 1);
    REQUIRE(result.xcoms[0].value == R"({"rows":3})");
    REQUIRE(world.log(order) == std::vector<std::string>{"one", "two"});
}

TEST_CASE("params: the task's over the DAG's defaults, the run's conf over both", "[executor]") {
    World world;
    auto order = test_order(
        "say",
        Json{{"lines", {"{{ params.a }} {{ params.b }} {{ params.c }}"}}}.dump(),
        [](Task& task) { task.params = R"({"b":{"default":"task"},"c":{"default":"task"}})"; },
        [](Dag& dag) {
            dag.params =
                R"({"a":{"default":"dag"},"b":{"default":"dag"},"c":{"type":"string"},"d":{"type":"string"}})";
        }
    );
    DagRun run = *order.run;
    run.conf = R"({"c":"conf"})";
    order.run = std::make_shared<const DagRun>(std::move(run));
    REQUIRE(world.run(order).outcome.kind == OutcomeKind::success);
    REQUIRE(world.log(order) == std::vector<std::string>{"dag task conf"});
}

TEST_CASE("a task that says nothing leaves no log file", "[executor]") {
    World world;
    REQUIRE(world.run(test_order("instant")).outcome.kind == OutcomeKind::success);
    REQUIRE_FALSE(std::filesystem::exists(world.folder.path + "/logs"));
}

TEST_CASE("multiple_outputs splits an object, do_xcom_push false keeps it back", "[executor]") {
    World world;
    const std::string with = Json{{"lines", Json::array()}, {"value", {{"a", 1}, {"b", 2}}}}.dump();
    auto split = test_order("say", with, [](Task& task) { task.multiple_outputs = true; });
    REQUIRE(world.run(split).xcoms.size() == 3);
    auto silent = test_order("say", with, [](Task& task) { task.do_xcom_push = false; });
    REQUIRE(world.run(silent).xcoms.empty());
}

TEST_CASE("a failed attempt always has a log with the error", "[executor]") {
    World world;
    const auto order = test_order("throw");
    const auto result = world.run(order);
    REQUIRE(result.outcome.kind == OutcomeKind::failed);
    REQUIRE(result.outcome.error_class == ErrorClass::permanent);
    REQUIRE_THAT(result.outcome.message, Catch::Contains("SLUICE_CONN_NOWHERE"));
    REQUIRE_THAT(world.log(order).back(), Catch::Contains("SLUICE_CONN_NOWHERE"));
    const auto unknown = test_order("no_such_operator");
    REQUIRE(world.run(unknown).outcome.error_class == ErrorClass::permanent);
    REQUIRE_THAT(world.log(unknown).back(), Catch::Contains("no_such_operator"));
}

TEST_CASE("passwords of connections are in no log, value or message", "[executor][secrets]") {
    Services services;
    services.connection = [](const std::string& id) -> std::optional<task::Connection> {
        task::Connection connection;
        connection.id = id;
        connection.password = Secret{"pa ss\"word"};
        return connection;
    };
    World world(services);
    const auto order = test_order(
        "say",
        Json{
            {"conn_id", "db"},
            {"lines", {"it is pa ss\"word!", "url pa%20ss%22word", "b64 cGEgc3Mid29yZA=="}},
            {"value", "pa ss\"word"}
        }
            .dump()
    );
    const auto result = world.run(order);
    const auto lines = world.log(order);
    REQUIRE(lines.at(0) == "it is ***!");
    REQUIRE(lines.at(1) == "url ***");
    REQUIRE_THAT(lines.at(2), Catch::StartsWith("b64 ***"));
    REQUIRE(result.xcoms.at(0).value == R"("***")");
}

TEST_CASE("a value over the limit fails the task and names the limit", "[executor]") {
    World world;
    const auto result = world.run(test_order(
        "say", Json{{"lines", Json::array()}, {"value", std::string(70'000, 'x')}}.dump()
    ));
    REQUIRE(result.outcome.kind == OutcomeKind::failed);
    REQUIRE_THAT(result.outcome.message, Catch::Contains("inline_value_bytes"));
}

TEST_CASE("a running task is cancelled within a second", "[executor][cancel]") {
    World world;
    const auto order = test_order("wait");
    world.executor->start({order});
    const auto begin = std::chrono::steady_clock::now();
    world.executor->cancel({order.key, CancelReason::user});
    const auto result = world.wait_for(1).back();
    REQUIRE(std::chrono::steady_clock::now() - begin < 1s);
    REQUIRE(result.outcome.kind == OutcomeKind::failed);
    REQUIRE(result.outcome.message == "cancelled");
}

TEST_CASE("the end of an instant task does not wait for a slow one", "[executor]") {
    World world;
    const auto slow = test_order("wait");
    const auto quick = test_order("instant");
    world.executor->start({quick, slow, test_order("instant")});
    for (const auto& result : world.wait_for(2)) REQUIRE_FALSE(result.key == slow.key);
    world.executor->cancel({slow.key, CancelReason::user});
    REQUIRE(world.wait_for(3).back().key == slow.key);
}

TEST_CASE("empty tasks have ended when start returns, and are kept like others", "[executor]") {
    World world;
    const auto order = test_order("empty");
    const auto waiting = test_order("wait");
    world.executor->start({waiting, order, test_order("empty")});
    const auto results = world.results();
    REQUIRE(results.size() == 2);
    REQUIRE(results.front().key == order.key);
    REQUIRE(results.front().outcome.kind == OutcomeKind::success);
    REQUIRE(results.front().end_date >= order.start_date);
    REQUIRE(world.executor->alive().size() == 3);
    world.executor->start({order});  // told twice: nothing new
    world.executor->cancel({order.key, CancelReason::user});
    world.executor->repost();
    REQUIRE(world.results().size() == 4);
    REQUIRE(world.results().back().outcome.kind == OutcomeKind::success);
    world.executor->acknowledge(order.key);
    REQUIRE(world.executor->alive().size() == 2);
    world.executor->cancel({waiting.key, CancelReason::user});
    world.wait_for(5);
}

TEST_CASE("an empty mapped instance with a name of its own has it rendered", "[executor]") {
    World world;
    auto order = test_order("empty", "{}", [](Task& task) {
        task.map_index_template = "day {{ ti.map_index }}";
    });
    order.key.task.map_index = 3;
    REQUIRE(world.run(order).map_name == "day 3");
}

TEST_CASE("a task over its execution_timeout fails as transient", "[executor][timeout]") {
    World world;
    auto order = test_order("wait", "{}", [](Task& task) { task.execution_timeout = 50ms; });
    order.deadline =
        std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now() + 50ms);
    const auto result = world.run(order);
    REQUIRE(result.outcome.kind == OutcomeKind::failed);
    REQUIRE(result.outcome.error_class == ErrorClass::transient);
    REQUIRE(result.outcome.message == "execution_timeout after 50ms");
}

TEST_CASE("results are kept until they are acknowledged", "[executor]") {
    World world;
    const auto order = test_order("instant");
    world.run(order);
    REQUIRE(world.executor->alive() == std::vector<AttemptKey>{order.key});
    world.executor->start({order});  // told twice: nothing new
    world.executor->repost();
    REQUIRE(world.wait_for(2).back().key == order.key);
    world.executor->acknowledge(order.key);
    world.executor->repost();
    REQUIRE(world.executor->alive().empty());
    REQUIRE(world.results().size() == 2);
}

TEST_CASE("stop ends everything and reports it lost", "[executor]") {
    World world;
    std::vector<AttemptOrder> orders;
    for (int i = 0; i < 100; ++i) orders.push_back(test_order("wait"));
    world.executor->start(orders);
    world.executor->stop();
    const auto results = world.results();
    REQUIRE(results.size() == 100);
    for (const auto& result : results) REQUIRE(result.outcome.kind == OutcomeKind::lost);
    world.executor->start({test_order("instant")});
    REQUIRE(world.results().back().outcome.kind == OutcomeKind::lost);
}

TEST_CASE("as many tasks wait at once as there are threads", "[executor]") {
    World world;
    std::vector<AttemptOrder> orders;
    for (int i = 0; i < 64; ++i) orders.push_back(test_order("wait"));
    world.executor->start(orders);
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (world.executor->load().running < 64 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    REQUIRE(world.executor->load().running == 64);
    for (const auto& order : orders) world.executor->cancel({order.key, CancelReason::user});
    world.wait_for(64);
}

TEST_CASE("a thousand attempts end once each, cancelled at random", "[executor][stress]") {
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::cout << "stress seed " << seed << '\n';
    std::mt19937 random(seed);
    World world;
    std::vector<AttemptOrder> orders;
    std::vector<AttemptKey> waits;
    for (int i = 0; i < 1'000; ++i) {
        const bool wait = random() % 4 == 0;
        orders.push_back(test_order(wait ? "wait" : i % 2 == 0 ? "instant" : "throw"));
        if (wait) waits.push_back(orders.back().key);
    }
    std::ranges::shuffle(orders, random);
    for (std::size_t at = 0; at < orders.size();) {
        const std::size_t end = std::min(orders.size(), at + 1 + random() % 64);
        world.executor->start(
            {orders.begin() + static_cast<std::ptrdiff_t>(at),
             orders.begin() + static_cast<std::ptrdiff_t>(end)}
        );
        at = end;
    }
    std::ranges::shuffle(waits, random);
    for (const auto& key : waits) {
        if (random() % 3 == 0) std::this_thread::yield();
        world.executor->cancel({key, CancelReason::user});
    }
    std::set<AttemptKey> ended;
    for (const auto& result : world.wait_for(1'000)) REQUIRE(ended.insert(result.key).second);
    REQUIRE(ended.size() == 1'000);
}

TEST_CASE("empty tasks go through at 60,000 a second", "[executor][.speed]") {
    std::vector<AttemptOrder> orders;
    constexpr int count = 200'000;
    for (int i = 0; i < count; ++i) orders.push_back(test_order("instant"));
    World world;
    const auto begin = std::chrono::steady_clock::now();
    // 64 slots: a new batch of 64 when one is done.
    for (std::size_t at = 0; at < orders.size(); at += 64)
        world.executor->start(
            {orders.begin() + static_cast<std::ptrdiff_t>(at),
             orders.begin() +
                 static_cast<std::ptrdiff_t>(std::min<std::size_t>(at + 64, orders.size()))}
        );
    world.wait_for(count);
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin);
    std::cout << "empty attempts/s: " << static_cast<int>(count / took.count()) << '\n';
    REQUIRE(count / took.count() > 60'000);
}
