// DAGs that are deleted. (Runs: clearing_turns_test.cpp.)
#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using namespace std::chrono_literals;

Answer remove(World& world, const std::string& dag_id) {
    DeleteDag event;
    event.dag_id = dag_id;
    return world.ask(event);
}

/// What the store tells when the last row of the deleted DAG is gone.
void removed(World& world, const std::string& dag_id) {
    world.turn({DagRemoved{{dag_id, world.deleted_dags.at(dag_id)}}});
}

Dag hourly(const std::string& dag_id) {
    Dag dag = make_dag(dag_id, {"t"});
    dag.schedule.kind = ScheduleKind::cron_trigger;
    dag.schedule.crons = {"0 * * * *"};
    dag.is_paused_upon_creation = false;
    return dag;
}

}  // namespace

TEST_CASE("a DAG is deleted when nothing of it is open", "[core][delete]") {
    World world;
    world.load(make_dag("dag", {"t"}));
    world.load(make_dag("other", {"t"}));
    CHECK(remove(world, "none").error == ErrorCode::not_found);

    world.trigger("dag", "one");
    const auto refused = remove(world, "dag");
    CHECK(refused.error == ErrorCode::conflict);
    CHECK(refused.message.find("1 open run (one)") != std::string::npos);
    world.end("t");

    CHECK_FALSE(remove(world, "dag").error);
    CHECK(world.scheduler.find_dag("dag") == nullptr);
    CHECK(world.scheduler.find_dag("other") != nullptr);
    CHECK(world.scheduler.is_being_removed("dag"));
    CHECK(world.audits.back().event == "delete_dag");
    CHECK(world.audits.back().dag_id == "dag");
    CHECK(remove(world, "dag").error == ErrorCode::not_found);
    CHECK(world.trigger("dag", "two").error == ErrorCode::not_found);

    // A run that is still stored is no run any more.
    ClearTasks clear;
    clear.run = world.run("one").key;
    clear.stored = world.stored(clear.run);
    CHECK(world.ask(clear).error == ErrorCode::not_found);
    CHECK_FALSE(world.trigger("other", "two").error);
}

TEST_CASE("many open runs and backfills: some are named", "[core][delete]") {
    World world;
    world.load(make_dag("dag", {"t"}));
    for (int i = 0; i < 5; ++i) world.trigger("dag", "r" + std::to_string(i));
    CHECK(remove(world, "dag").message.find("5 open runs (r0, r1, r2, ...)") != std::string::npos);
}

TEST_CASE("a backfill at work keeps its DAG", "[core][delete]") {
    World world;
    auto dag = hourly("dag");
    dag.is_paused_upon_creation = true;
    world.load(dag);
    CreateBackfill create;
    create.backfill.dag_id = "dag";
    create.backfill.from_date = world.now - 3h;
    create.backfill.to_date = world.now - 2h;
    REQUIRE(world.ask(create).backfill);
    const auto refused = remove(world, "dag");
    CHECK(refused.error == ErrorCode::conflict);
    CHECK(refused.message.find("and 1 backfill at work (1)") != std::string::npos);
    PatchBackfill cancel;
    cancel.backfill = {1};
    cancel.action = PatchBackfill::Action::cancel;
    world.ask(cancel);
    CHECK_FALSE(remove(world, "dag").error);
}

TEST_CASE("a deleted DAG comes again as a new one, once it is removed", "[core][delete]") {
    World world;
    world.load(hourly("dag"));
    world.wait(2h);
    REQUIRE(world.live.size() == 1);
    while (!world.live.empty()) world.end("t");
    REQUIRE(world.dags.at("dag").last_automated);
    REQUIRE_FALSE(remove(world, "dag").error);

    const auto restarts = GENERATE(false, true);
    CAPTURE(restarts);
    if (restarts) world.restart();
    CHECK(world.scheduler.is_being_removed("dag"));
    // What the folder still says of it is not taken, and its timers make nothing.
    world.load(hourly("dag"));
    world.wait(2h);
    CHECK(world.scheduler.find_dag("dag") == nullptr);
    CHECK(world.live.empty());

    // Told of an earlier deletion, nothing is over.
    world.turn({DagRemoved{{"dag", world.deleted_dags.at("dag") - 1}}});
    CHECK(world.scheduler.is_being_removed("dag"));
    removed(world, "dag");
    CHECK(world.deleted_dags.empty());
    CHECK_FALSE(world.scheduler.is_being_removed("dag"));
    auto paused = hourly("dag");
    paused.is_paused_upon_creation = true;
    world.load(paused);
    CHECK(world.dags.at("dag").is_paused);
    CHECK_FALSE(world.dags.at("dag").last_automated);
    CHECK_FALSE(world.trigger("dag", "one").error);
    PauseDag unpause;
    unpause.dag_id = "dag";
    unpause.paused = false;
    world.ask(unpause);
    while (!world.live.empty()) world.end("t");

    // Deleted again at the same moment: it is another deletion.
    REQUIRE_FALSE(remove(world, "dag").error);
    const auto number = world.deleted_dags.at("dag");
    removed(world, "dag");
    world.load(paused);
    REQUIRE_FALSE(remove(world, "dag").error);
    CHECK(world.deleted_dags.at("dag") > number);
}

TEST_CASE("what changes in this turn is deleted in the next", "[core][delete]") {
    World world;
    world.load(make_dag("dag", {"t"}));
    PauseDag pause;
    pause.request = {50};
    pause.dag_id = "dag";
    pause.paused = true;
    DeleteDag gone;
    gone.request = {51};
    gone.dag_id = "dag";
    Turn turn;
    REQUIRE(world.scheduler.step(pause, world.now, turn) == Taken::yes);
    REQUIRE(world.scheduler.step(gone, world.now, turn) == Taken::next_turn);
    world.scheduler.dispatch(world.now, turn);
    world.take(turn);
    world.turn({gone});
    CHECK_FALSE(world.answers.at({51}).error);
    CHECK(world.dags.empty());
}

TEST_CASE("a deleted DAG is none that waits for assets", "[core][delete][assets]") {
    World world;
    auto writer = make_dag("writer", {"w"});
    writer.tasks[0].outlets = {"raw.a"};
    world.load(writer);
    for (const std::string id : {"reader", "second"}) {
        auto reader = make_dag(id, {id});
        reader.schedule.assets = AssetCondition{false, {"raw.a"}, {}};
        reader.is_paused_upon_creation = id == "second";
        world.load(reader);
    }
    world.trigger("writer", "one");
    world.end("w");
    world.end("reader");
    REQUIRE_FALSE(remove(world, "second").error);
    CHECK(world.asset_marks.size() == 1);
    CHECK(world.scheduler.subscribers_of("raw.a") == std::vector<std::string>{"reader"});

    // The producer goes: who waits for its asset is served by whoever updates it.
    REQUIRE_FALSE(remove(world, "writer").error);
    CreateAssetEvent push;
    push.asset = "raw.a";
    world.ask(push);
    world.end("reader");
    CHECK(world.asset_uses.size() == 2);

    // One that comes again waits for what happens from then on.
    removed(world, "second");
    auto again = make_dag("second", {"second"});
    again.schedule.assets = AssetCondition{false, {"raw.a"}, {}};
    again.is_paused_upon_creation = false;
    world.load(again);
    CHECK(world.live.empty());
    world.ask(push);
    CHECK(world.live.size() == 2);
}

}  // namespace sluice::core
