#include <catch2/catch.hpp>

#include "core/family.hpp"
#include "core/test_world.hpp"

namespace sluice::core::test {
namespace {

constexpr std::int32_t many = 1'000'000;

Dag mapped(std::optional<std::int32_t> length) {
    Dag dag;
    dag.dag_id = "d";
    dag.hash = "h";
    dag.is_paused_upon_creation = false;
    Task first;
    first.id = "first";
    Task each;
    each.id = "each";
    each.upstream = {0};
    each.mapping = 0;
    Task after;
    after.id = "after";
    after.upstream = {1};
    dag.tasks = {first, each, after};
    Mapping mapping;
    mapping.owner = "each";
    mapping.expand = R"({"x":"{{ xcom.first }}"})";
    mapping.length = length;
    mapping.tasks = {1};
    dag.mappings = {mapping};
    REQUIRE(link_tasks(dag).empty());
    return dag;
}

}  // namespace

TEST_CASE("a family of a million takes a few bytes for each", "[core][mapped]") {
    Family family;
    family.one.row.key = {{1}, 0, unmapped};
    family.expand(many);
    CHECK(family.is_expanded());
    CHECK(family.count(TaskState::none) == many);
    CHECK(family.next_ready(0) == unmapped);
    CHECK(family.set_ready(999'999, true));
    CHECK(family.set_ready(70, true));
    CHECK_FALSE(family.set_ready(70, true));
    CHECK(family.next_ready(0) == 70);
    CHECK(family.next_ready(71) == 999'999);
    CHECK(family.ready_count() == 2);

    auto& instance = family.at(5);
    instance.row.starts = instance.row.try_number = 1;
    instance.row.end_date = Instant{std::chrono::seconds{7}};
    instance.row.state = TaskState::success;
    instance.has_row = true;
    family.note_row(5);
    family.note_state(5, TaskState::none, TaskState::success);
    family.pack(5);
    CHECK(family.live().empty());
    CHECK(family.row(5).end_date == Instant{std::chrono::seconds{7}});
    CHECK(family.row(5).try_number == 1);
    CHECK(family.count(TaskState::none) == many - 1);

    auto& failed = family.at(6);
    failed.row.error = "why";
    failed.has_row = true;
    family.pack(6);
    CHECK(family.live().size() == 1);  // words are kept

    MapRange range;
    range.lo = 10;
    range.hi = 1'999;
    range.state = TaskState::skipped;
    range.note = "all";
    family.set_range(range);
    CHECK(family.state(1'999) == TaskState::skipped);
    CHECK(family.row(10).note == "all");
    CHECK(family.count(TaskState::skipped) == 1'990);
}

TEST_CASE("a mapping is counted when its dependencies are met", "[core][mapped]") {
    World world;
    world.load(mapped(std::nullopt));
    world.trigger("d");
    CHECK(world.expands.empty());
    world.end("first");
    REQUIRE(world.expands.size() == 1);
    // A crash before the answer: it is asked again, and the old answer is void.
    const auto old = world.expands.front();
    world.restart();
    REQUIRE(world.expands.size() == 2);
    const auto order = world.expands.back();
    Expanded answer{order.run_key, order.map, order.serial, 3, "{}", "", ErrorClass::none};
    world.turn({answer});
    CHECK(world.live.size() == 3);
    CHECK(world.map_lengths.begin()->second.length == 3);
    world.restart();
    CHECK(world.live.size() == 3);  // lost ones start anew, their number is known
}

TEST_CASE("no items skip the task, an error fails it", "[core][mapped]") {
    World world;
    world.load(mapped(std::nullopt));
    world.trigger("d");
    world.end("first");
    const auto order = world.expands.back();
    Expanded answer{order.run_key, order.map, order.serial, 0, "{}", "", ErrorClass::none};
    SECTION("no items") {
        world.turn({answer});
        CHECK(world.instance("each").state == TaskState::skipped);
        CHECK(world.instance("after").state == TaskState::skipped);
    }
    SECTION("an error") {
        answer.length.reset();
        answer.error = "no list";
        world.turn({answer});
        CHECK(world.instance("each").state == TaskState::failed);
        CHECK(world.instance("each").error == "no list");
        CHECK(world.instance("after").state == TaskState::upstream_failed);
    }
}

TEST_CASE("what a million instances become together is one row", "[core][mapped]") {
    World world;
    auto dag = mapped(many);
    dag.max_active_tasks_per_run = 4;
    world.load(dag);
    world.trigger("d");
    world.end("first");
    REQUIRE(world.live.size() == 4);
    SetRunState cancel;
    cancel.request = {99};
    cancel.run = world.runs.begin()->first;
    cancel.state = RunState::failed;
    const auto before = world.instances.size();
    world.turn({cancel});
    CHECK(world.run_state() == "failed");
    REQUIRE(world.map_ranges.size() == 1);
    CHECK(world.map_ranges.front().lo == 4);
    CHECK(world.map_ranges.front().hi == many - 1);
    CHECK(world.map_ranges.front().state == TaskState::skipped);
    CHECK(world.instances.size() <= before + 2);
}

TEST_CASE(
    "a mapped task that writes data sets says how many slices are its own", "[core][mapped]"
) {
    World world;
    Dag dag = make_dag("dag", {"a", "b < a"});
    dag.mappings.resize(1);
    dag.mappings[0].length = 3;
    dag.mappings[0].tasks = {0};
    dag.tasks[0].mapping = 0;
    for (const TaskNo writer : {0, 1}) {
        auto& dataset = dag.datasets.emplace_back();
        dataset.name = writer == 0 ? "raw.a" : "raw.b";
        dataset.writer = writer;
    }
    world.load(dag);
    world.trigger("dag");
    world.end("a");
    world.end("a");
    CHECK(world.slices_kept.empty());
    world.end("a");
    REQUIRE(world.slices_kept.size() == 1);
    CHECK(world.slices_kept[0].task == 0);
    CHECK(world.slices_kept[0].length == 3);
    CHECK(world.asset_events.size() == 3);  // one for each instance
    world.end("b");
    REQUIRE(world.slices_kept.size() == 2);
    CHECK(world.slices_kept[1].length == -1);
}

TEST_CASE("one of a mapped group that was left out and is cleared sees its upstream fail") {
    World world;
    Dag dag = mapped(2);
    dag.tasks[2].mapping = 0;
    dag.mappings[0].tasks = {1, 2};
    world.load(dag);
    world.trigger("d");
    SetTaskState mark;
    mark.tasks = {world.key("after")};
    mark.state = TaskState::skipped;
    world.ask(mark);
    world.end("first");  // `each` gets its instances, `after` does not
    ClearTasks clear;
    clear.run = world.run().key;
    clear.tasks = {world.key("after")};
    world.ask(clear);
    REQUIRE(world.state("after") == "none");
    world.fail("each");
    CHECK(world.state("after") == "upstream_failed");
    world.end("each");
    CHECK(world.run_state() == "failed");
    CHECK(world.run().reason.empty());
}

TEST_CASE("an instance of a mapping of before is not there until there are as many again") {
    World world;
    world.load(mapped(std::nullopt));
    world.trigger("d");
    const auto expand = [&world] {
        world.end("first");
        const auto order = world.expands.back();
        world.turn({Expanded{order.run_key, order.map, order.serial, 2, "{}", "", {}}});
    };
    expand();
    world.end("each");
    world.end("each");
    world.end("after");
    REQUIRE(world.run_state() == "success");
    ClearTasks clear;
    clear.run = world.run().key;
    clear.stored = world.stored(clear.run);
    world.ask(clear);
    SetTaskState mark;
    for (const MapIndex index : {0, 1}) {
        mark.tasks = {{clear.run, 1, index}};
        CHECK(world.ask(mark).error == ErrorCode::not_found);
    }
    expand();
    world.end("each");
    world.end("each");
    world.end("after");
    CHECK(world.run_state() == "success");
}

}  // namespace sluice::core::test
