#include <catch2/catch.hpp>

#include "core/family.hpp"
#include "core/test_world.hpp"

namespace sluice::core::test {
namespace {

/// list and join are tasks of a mapped group, each is mapped again inside it; after is outside.
Dag nested(std::optional<std::int32_t> groups, std::optional<std::int32_t> inside) {
    Dag dag =
        make_dag("d", {"first", "list < first", "each < list", "join < each", "after < each"});
    dag.tasks[3].trigger_rule = TriggerRule::none_failed;
    dag.tasks[4].trigger_rule = TriggerRule::none_failed;
    dag.tasks[1].mapping = dag.tasks[3].mapping = 0;
    dag.tasks[2].mapping = 1;
    Mapping group;
    group.owner = "g";
    group.expand = "{}";
    group.length = groups;
    group.tasks = {1, 3};
    Mapping inner;
    inner.owner = "g.each";
    inner.expand = "{}";
    inner.length = inside;
    inner.tasks = {2};
    inner.outer = 0;
    dag.mappings = {group, inner};
    return dag;
}

struct Nested : World {
    void end_at(const std::string& task, MapIndex index, OutcomeKind kind = OutcomeKind::success) {
        for (const auto& [attempt, order] : live) {
            if (order.dag->tasks[static_cast<std::size_t>(attempt.task.task)].id != task) continue;
            if (attempt.task.map_index != index) continue;
            AttemptEnded event;
            event.result.key = attempt;
            event.result.end_date = now;
            event.result.outcome.kind = kind;
            live.erase(event.result.key);
            return turn({event});
        }
        FAIL("no live attempt of " + task + " " + std::to_string(index));
    }
    /// The list of an outer index is that long.
    void list(MapIndex outer, std::int32_t length) {
        for (auto order = expands.rbegin(); order != expands.rend(); ++order) {
            if (order->outer != outer) continue;
            return turn(
                {Expanded{order->run_key, order->map, order->serial, length, "{}", "", {}, outer}}
            );
        }
        FAIL("nobody asked for the list");
    }
    [[nodiscard]] std::string at(const std::string& task, MapIndex index) const {
        auto of = key(task);
        of.map_index = index;
        const auto found = instances.find(of);
        return std::string{name(found == instances.end() ? TaskState::none : found->second.state)};
    }
    [[nodiscard]] std::string places() const {
        std::string text;
        for (const auto& [attempt, order] : live)
            text += " " + std::to_string(order.key.task.map_index) + "=" +
                    std::to_string(order.outer) + "/" + std::to_string(order.inner);
        return text;
    }
};

}  // namespace

TEST_CASE("places of lists that become known in any order", "[core][mapped][nested]") {
    Nest nest(3);
    nest.add(2, 3, 2);
    nest.add(0, 5, 1);
    nest.add(2, 6, 4);
    const auto is = [&](MapIndex index, MapIndex outer, std::int32_t inner) {
        const auto place = nest.place(index);
        return place.outer == outer && place.inner == inner;
    };
    CHECK(is(1, 1, 0));
    CHECK(is(3, 2, 1));
    CHECK(is(5, 0, 1));
    CHECK(is(6, 2, 3));
    CHECK(is(9, 2, 6));
    std::vector<MapIndex> seen;
    nest.each(2, [&](MapIndex i) { seen.push_back(i); });
    CHECK(seen == std::vector<MapIndex>{2, 3, 4, 6, 7, 8, 9});
}

TEST_CASE("each outer instance has a list of its own, when it can have it", "[core][nested]") {
    Nested world;
    world.load(nested(2, std::nullopt));
    world.trigger("d");
    world.end("first");
    CHECK(world.expands.empty());
    world.end_at("list", 1);
    REQUIRE(world.expands.size() == 1);
    CHECK(world.expands[0].map == 1);
    CHECK(world.expands[0].outer == 1);
    world.list(1, 3);
    world.live.erase(world.live_attempt("list"));  // only for the line below
    CHECK(world.places() == " 1=1/0 2=1/1 3=1/2");
}

TEST_CASE("what is downstream sees the list of its own outer index", "[core][mapped][nested]") {
    Nested world;
    world.load(nested(2, std::nullopt));
    world.trigger("d");
    world.end("first");
    world.end_at("list", 1);
    world.list(1, 2);
    world.end_at("each", 1);
    CHECK(world.running() == std::set<std::string>{"each", "list"});
    world.restart();
    CHECK(world.running() == std::set<std::string>{"each", "list"});
    world.end_at("each", 2);
    CHECK(world.running() == std::set<std::string>{"join", "list"});
    world.end_at("join", 1);
    SECTION("an empty list skips for its outer index alone") {
        world.end_at("list", 0);
        world.list(0, 0);
        CHECK(world.at("each", 0) == "skipped");
        CHECK(world.running() == std::set<std::string>{"join", "after"});
        world.end_at("join", 0);
        world.end("after");
        CHECK(world.run_state() == "success");
    }
    SECTION("a failure before the list fails below its outer index alone") {
        world.end_at("list", 0, OutcomeKind::failed);
        CHECK(world.at("each", 0) == "upstream_failed");
        CHECK(world.at("join", 0) == "upstream_failed");
        CHECK(world.at("join", 1) == "success");
        CHECK(world.run_state() == "failed");
    }
    SECTION("no list fails the instance that asked") {
        world.end_at("list", 0);
        const auto order = world.expands.back();
        world.turn({Expanded{
            order.run_key, order.map, order.serial, {}, "{}", "no list", ErrorClass::permanent, 0
        }});
        CHECK(world.at("each", 0) == "failed");
        CHECK(world.at("join", 0) == "upstream_failed");
    }
}

TEST_CASE("lists of which all is cleared are made anew", "[core][mapped][nested]") {
    Nested world;
    world.load(nested(2, std::nullopt));
    world.trigger("d");
    world.end("first");
    world.end_at("list", 0);
    world.list(0, 3);
    world.end_at("list", 1);
    world.list(1, 1);
    for (const MapIndex i : {0, 2, 3, 1}) world.end_at("each", i);
    const auto asked = world.expands.size();
    ClearTasks clear;
    clear.run = world.run().key;
    auto list = world.key("list");
    list.map_index = 0;
    clear.tasks = {list};
    clear.downstream = true;
    world.ask(clear);
    CHECK(world.at("each", 2) == "none");
    CHECK(world.at("each", 1) == "success");
    world.restart();
    world.end_at("list", 0);
    REQUIRE(world.expands.size() > asked);
    CHECK(world.expands.back().outer == 0);
    SECTION("a shorter one: what is beyond it is removed, and nobody waits for it") {
        world.list(0, 2);
        CHECK(world.at("each", 3) == "removed");
        world.restart();
        world.end_at("each", 0);
        world.end_at("each", 2);
        world.end_at("join", 0);
        world.end_at("join", 1);
        world.end("after");
        CHECK(world.run_state() == "success");
    }
    SECTION("a longer one") {
        world.list(0, 5);
        for (const MapIndex i : {0, 2, 3, 4}) world.end_at("each", i);
        CHECK_FALSE(world.running().contains("after"));
        world.end_at("each", 5);
        CHECK(world.running() == std::set<std::string>{"join", "after"});
    }
}

TEST_CASE("literal lists in a group whose number is found out", "[core][mapped][nested]") {
    Nested world;
    world.load(nested(std::nullopt, 3));
    world.trigger("d");
    world.end("first");
    const auto outer = [&](std::int32_t length) {
        const auto order = world.expands.back();
        REQUIRE(order.map == 0);
        world.turn({Expanded{order.run_key, order.map, order.serial, length, "{}", "", {}}});
    };
    outer(2);
    world.end_at("list", 0);
    world.end_at("list", 1);
    CHECK(world.live.size() == 6);
    for (const MapIndex i : {0, 1, 2, 3, 4, 5}) world.end_at("each", i);
    world.end_at("join", 0);
    world.end_at("join", 1);
    world.end("after");
    REQUIRE(world.run_state() == "success");
    // Everything is cleared: the group is counted anew, and then its lists are.
    ClearTasks clear;
    clear.run = world.run().key;
    clear.stored = world.stored(clear.run);
    world.ask(clear);
    world.end("first");
    outer(1);
    world.restart();
    world.end_at("list", 0);
    CHECK(world.live.size() == 3);
    for (const MapIndex i : {0, 1, 2}) world.end_at("each", i);
    world.end_at("join", 0);
    world.end("after");
    CHECK(world.run_state() == "success");
}

TEST_CASE("an empty group skips what is mapped inside it", "[core][mapped][nested]") {
    Nested world;
    world.load(nested(0, std::nullopt));
    world.trigger("d");
    world.end("first");
    CHECK(world.state("list") == "skipped");
    CHECK(world.state("each") == "skipped");
}

TEST_CASE("why says whose list is being made", "[core][mapped][nested][why]") {
    Nested world;
    world.load(nested(2, std::nullopt));
    world.trigger("d");
    world.end("first");
    world.end_at("list", 1);
    auto key = world.key("each");
    key.map_index = 1;
    auto reasons = world.scheduler.why(key);
    REQUIRE(reasons);
    REQUIRE_FALSE(reasons->empty());
    CHECK(reasons->front().condition == "expansion");
    CHECK(reasons->front().text == "the list of items of index 1 of its group is being made");
    world.list(1, 2);
    key = world.key("join");
    key.map_index = 1;
    reasons = world.scheduler.why(key);
    REQUIRE(reasons->size() == 1);
    CHECK(
        reasons->front().text ==
        "its rule none_failed waits for the end of each (2 of its 2 instances of index 1)"
    );
}

}  // namespace sluice::core::test
