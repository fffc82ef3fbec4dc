#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using Ids = std::set<std::string>;

Settings slowly() {
    Settings settings;
    settings.clear_at_once = 3;
    return settings;
}

/// A mapped task of ten instances and one after it; the run has ended.
struct Many : World {
    Many() : World(slowly()) {
        auto dag = make_dag("dag", {"m", "end < m", "beside"});
        Mapping mapping;
        mapping.owner = "m";
        mapping.expand = "[]";
        mapping.length = 10;
        mapping.tasks = {0};
        dag.mappings = {mapping};
        dag.tasks[0].mapping = 0;
        dag.max_active_tasks_per_run = 100;
        load(dag);
        trigger("dag");
    }
    ClearTasks clear_of(const std::vector<std::string>& tasks) {
        ClearTasks clear;
        clear.request = {99};
        clear.run = run().key;
        for (const auto& task : tasks) clear.tasks.push_back(key(task));
        if (is_finished(run().state)) clear.stored = stored(clear.run);
        return clear;
    }
    /// One turn, and nothing after it.
    void one_turn(const std::vector<Event>& events) {
        Turn turn;
        for (const auto& event : events) REQUIRE(scheduler.step(event, now, turn) == Taken::yes);
        scheduler.dispatch(now, turn);
        take(turn);
    }
    int count(TaskState state) {
        int found = 0;
        for (const auto& [key, row] : instances)
            if (key.task == 0 && row.state == state) ++found;
        return found;
    }
    void end_all(const std::string& task, int times) {
        for (int i = 0; i < times; ++i) end(task);
    }
};

TEST_CASE(
    "a clear of many goes on over turns, and nothing starts before its end", "[core][clear]"
) {
    Many world;
    world.end("beside");
    world.end_all("m", 10);
    world.end("end");
    REQUIRE(world.run_state() == "success");
    auto clear = world.clear_of({"m"});
    clear.downstream = true;
    world.one_turn({clear});
    CHECK(world.run_state() == "queued");
    CHECK(world.count(TaskState::none) == 3);
    CHECK(world.clearings.size() == 1);
    CHECK(world.answers.at({99}).affected == 11);
    REQUIRE(world.scheduler.next_wakeup());
    CHECK(*world.scheduler.next_wakeup() <= world.now);

    SECTION("undisturbed") { world.turn({}); }
    SECTION("with a kill -9 in the middle") {
        world.one_turn({Tick{}});
        CHECK(world.count(TaskState::none) == 6);
        CHECK(world.live.empty());
        world.restart();
    }
    SECTION("a command for the run waits until it is over") {
        SetRunNote note;
        note.run = clear.run;
        note.note = "later";
        note.request = {98};
        Turn turn;
        CHECK(world.scheduler.step(note, world.now, turn) == Taken::next_turn);
        world.scheduler.dispatch(world.now, turn);
        world.take(turn);
        world.turn({note});
        CHECK(world.run().note == "later");
    }
    CHECK(world.clearings.empty());
    CHECK(world.run_state() == "running");
    CHECK(world.live.size() == 10);
    CHECK(world.state("end") == "none");
    CHECK(world.state("beside") == "success");
    world.end_all("m", 10);
    world.end("end");
    CHECK(world.run_state() == "success");
    CHECK(world.instance("end").try_number == 2);
}

TEST_CASE("a run at work that is cleared over turns starts nothing meanwhile", "[core][clear]") {
    Many world;
    world.end_all("m", 10);
    CHECK(world.running() == Ids{"beside", "end"});
    world.one_turn({world.clear_of({"m"})});
    CHECK(world.clearings.size() == 1);
    AttemptEnded ended;
    ended.result.key = world.live_attempt("end");
    ended.result.outcome.kind = OutcomeKind::success;
    ended.result.end_date = world.now;
    world.live.erase(ended.result.key);
    world.one_turn({ended});
    CHECK(world.running() == Ids{"beside"});
    world.turn({});
    CHECK(world.running() == Ids{"beside", "m"});
    world.end("beside");
    world.end_all("m", 10);
    CHECK(world.run_state() == "success");
}

TEST_CASE("failed ones among many are cleared, the others stay", "[core][clear]") {
    Many world;
    world.end("beside");
    for (int i = 0; i < 5; ++i) {
        world.end("m");
        world.fail("m");
    }
    REQUIRE(world.run_state() == "failed");
    auto clear = world.clear_of({"m"});
    clear.only_failed = true;
    world.one_turn({clear});
    CHECK(world.clearings.begin()->second.rest.size() == 1);
    world.turn({});
    CHECK(world.count(TaskState::success) == 5);
    CHECK(world.live.size() == 5);
}

TEST_CASE("a run is deleted unless it runs", "[core][delete]") {
    World world;
    world.load(make_dag("dag", {"a"}));
    world.trigger("dag");
    DeleteRun gone;
    gone.run = world.run().key;
    CHECK(world.ask(gone).error == ErrorCode::conflict);
    world.end("a");
    gone.stored = world.stored(gone.run);
    CHECK_FALSE(world.ask(gone).error);
    CHECK(world.runs.empty());
    CHECK(world.scheduler.counts().open_runs == 0);
    gone.stored.reset();
    CHECK(world.ask(gone).error == ErrorCode::not_found);
    // Its id is free again.
    CHECK_FALSE(world.trigger("dag").error);
    CHECK(world.run_state() == "running");
}

TEST_CASE("a queued run that is deleted makes room and never starts", "[core][delete]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.max_active_runs = 1;
    world.load(dag);
    world.trigger("dag", "one");
    world.trigger("dag", "two");
    world.trigger("dag", "three");
    DeleteRun gone;
    gone.run = world.run("two").key;
    CHECK_FALSE(world.ask(gone).error);
    world.end("a", {}, "one");
    CHECK(world.run_state("three") == "running");
    CHECK(world.scheduler.counts().open_runs == 1);
}

TEST_CASE("who waits for the run before looks anew when that is deleted", "[core][delete]") {
    World world;
    auto dag = make_dag("dag", {"a"});
    dag.tasks[0].depends_on_past = true;
    world.load(dag);
    const auto dated = [&](const std::string& id, std::string_view date) {
        TriggerRun event;
        event.dag_id = "dag";
        event.run_id = id;
        event.logical_date = test::at(date);
        world.ask(event);
    };
    dated("one", "2026-01-01T00:00:00Z");
    world.fail("a", ErrorClass::permanent);
    dated("two", "2026-01-02T00:00:00Z");
    CHECK(world.running().empty());
    DeleteRun gone;
    gone.run = world.run("one").key;
    gone.stored = world.stored(gone.run);
    world.ask(gone);
    CHECK(world.running() == Ids{"a"});
}

}  // namespace
}  // namespace sluice::core
