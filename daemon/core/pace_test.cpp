#include "core/pace.hpp"

#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Dag critical(const std::vector<std::string>& lines) {
    auto dag = make_dag("dag", lines);
    for (auto& task : dag.tasks) task.weight_rule = WeightRule::critical_path;
    return dag;
}

TEST_CASE("the way to the end is the longest one, in seconds rounded up", "[core][pace]") {
    const auto dag = critical({"a", "b < a", "c < a", "d < b c"});
    REQUIRE(seconds_to_end(dag, {}) == std::vector<std::int64_t>{3, 2, 2, 1});
    const Paces paces{{"b", {10, 5}}, {"c", {2.5, 5}}, {"d", {0.2, 5}}};
    REQUIRE(seconds_to_end(dag, paces) == std::vector<std::int64_t>{12, 11, 3, 1});
}

TEST_CASE("a pace is a mean that forgets", "[core][pace]") {
    Pace pace;
    pace.add(10);
    REQUIRE(pace.seconds() == 10);
    pace.add(20);
    REQUIRE(pace.seconds() == 15);
    for (int i = 0; i < 200; ++i) pace.add(1);
    REQUIRE(pace.seconds() < 1.1);
}

TEST_CASE("of two branches the longer one starts first, by what past runs took", "[core][pace]") {
    Settings settings;
    settings.parallelism = 1;
    World world{settings};
    // `short` stands first in the file, and both have the same weight by any other rule.
    world.load(critical({"short", "after_short < short", "long", "after_long < long"}));
    const auto next = [&] { return *world.running().begin(); };
    const auto run_all = [&](const std::string& id) {
        world.trigger("dag", id);
        std::vector<std::string> order;
        while (!world.running().empty()) {
            order.push_back(next());
            world.wait(order.back() == "after_long" ? 90s : 1s);
            world.end(order.back());
        }
        return order;
    };
    REQUIRE(run_all("first").front() == "short");
    REQUIRE(run_all("second").front() == "long");
    SECTION("and after a restart by what the database knows") {
        world.restart();
        REQUIRE(run_all("third").front() == "short");
        PacesKnown known;
        known.dag_id = "dag";
        known.tasks["after_long"] = {90, 20};
        world.restart();
        world.turn({known});
        REQUIRE(run_all("fourth").front() == "long");
    }
}

}  // namespace
}  // namespace sluice::core
