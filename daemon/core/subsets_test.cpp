#include "core/backfill.hpp"
#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using Names = std::vector<std::string>;

/// a >> b >> c, and d beside them; one run, of 1 January.
struct Chain : World {
    Chain() {
        auto dag = make_dag("dag", {"a", "b a", "c b", "d"});
        dag.schedule.kind = ScheduleKind::cron_interval;
        dag.schedule.crons = {"0 0 * * *"};
        dag.start_date = at("2025-01-01");
        dag.end_date = at("2025-01-02");
        load(dag);
    }
    CreateBackfill backfill(Names tasks) {
        CreateBackfill event;
        event.backfill.dag_id = "dag";
        event.backfill.from_date = at("2026-01-01");
        event.backfill.to_date = at("2026-01-01");
        event.backfill.tasks = std::move(tasks);
        event.backfill.reprocess = ReprocessBehavior::completed;
        for (const auto& [key, run] : runs)
            if (is_finished(run.state)) event.existing.push_back(stored(key));
        return event;
    }
    [[nodiscard]] Names states() const { return {state("a"), state("b"), state("c"), state("d")}; }
};

TEST_CASE("the tasks of a subset are named, with what is above and below", "[core][backfill]") {
    const auto dag = make_dag("dag", {"a", "b a", "c b", "d"});
    const auto resolved = [&](Names tasks, bool upstream, bool downstream) {
        REQUIRE_FALSE(resolve_subset(dag, tasks, upstream, downstream));
        return tasks;
    };
    REQUIRE(resolved({"b"}, false, false) == Names{"b"});
    REQUIRE(resolved({"b"}, true, false) == Names{"a", "b"});
    REQUIRE(resolved({"b"}, false, true) == Names{"b", "c"});
    REQUIRE(resolved({"b", "d"}, true, true).empty());  // all
    Names wrong{"x"};
    REQUIRE(resolve_subset(dag, wrong, false, false) == "DAG \"dag\" has no task \"x\"");
}

TEST_CASE("a backfill of some tasks runs these and skips the others", "[core][backfill]") {
    Chain world;
    REQUIRE(world.ask(world.backfill({"x"})).error == ErrorCode::invalid);
    REQUIRE_FALSE(world.ask(world.backfill({"b", "c"})).error);
    REQUIRE(world.states() == Names{"skipped", "running", "none", "skipped"});
    REQUIRE(world.instance("a").note == "not in the backfill's subset");
    SECTION("also over a restart") {
        world.restart();
        REQUIRE(world.states() == Names{"skipped", "running", "none", "skipped"});
    }
    world.end("b");
    world.end("c");
    REQUIRE(world.run_state() == "success");
    REQUIRE(world.states() == Names{"skipped", "success", "success", "skipped"});
}

TEST_CASE("a run of some tasks ends as these end", "[core][backfill]") {
    Chain world;
    world.ask(world.backfill({"a", "b"}));
    world.end("a");
    world.fail("b");  // no leaf of the whole DAG, and a leaf of the subset
    REQUIRE(world.run_state() == "failed");
    SECTION("a clear of the run means the subset") {
        ClearTasks clear;
        clear.run = world.run().key;
        clear.stored = world.stored(clear.run);
        world.ask(clear);
        REQUIRE(world.states() == Names{"running", "none", "skipped", "skipped"});
    }
    SECTION("so does setting it back to queued") {
        SetRunState set;
        set.run = world.run().key;
        set.state = RunState::queued;
        set.stored = world.stored(set.run);
        world.ask(set);
        world.restart();
        REQUIRE(world.states() == Names{"running", "none", "skipped", "skipped"});
    }
    SECTION("a task outside runs if it is named") {
        ClearTasks clear;
        clear.run = world.run().key;
        clear.tasks = {world.key("d")};
        clear.stored = world.stored(clear.run);
        world.ask(clear);
        REQUIRE(world.states() == Names{"success", "failed", "skipped", "running"});
        world.end("d");
        REQUIRE(world.run_state() == "failed");
    }
    SECTION("a later backfill of all tasks runs all") {
        REQUIRE(world.ask(world.backfill({})).dates[0].action == "clear");
        REQUIRE(world.states() == Names{"running", "none", "none", "running"});
        for (const char* task : {"a", "b", "c", "d"}) world.end(task);
        REQUIRE(world.run_state() == "success");
    }
}

TEST_CASE("a finished run is run again in part", "[core][backfill]") {
    Chain world;
    TriggerRun trigger;
    trigger.dag_id = "dag";
    trigger.run_id = "mine";
    trigger.logical_date = at("2026-01-01");
    world.ask(trigger);
    for (const char* task : {"a", "d", "b"}) world.end(task);
    world.fail("c");
    world.ask(world.backfill({"c"}));
    REQUIRE(world.states() == Names{"success", "success", "running", "success"});
    world.end("c");
    REQUIRE(world.run_state() == "success");
    REQUIRE(world.run().run_id == "mine");
}

TEST_CASE("a run id that is taken is not given again", "[core][backfill]") {
    Chain world;
    auto event = world.backfill({});
    const std::string usual = "backfill__2026-01-02T00:00:00+00:00";
    event.taken_ids = {usual};
    world.ask(event);
    REQUIRE(world.run().run_id == usual + "_1");
}

TEST_CASE("10,000 dates are planned and their runs created in a second", "[core][backfill]") {
    World world;
    auto dag = make_dag("dag", {"a", "b a", "c b"});
    dag.schedule.kind = ScheduleKind::cron_interval;
    dag.schedule.crons = {"0 0 * * *"};
    dag.timezone = "Europe/Amsterdam";
    dag.start_date = at("1990-01-01");
    dag.end_date = at("1990-01-02");
    world.load(dag);
    CreateBackfill event;
    event.request = {1};
    event.backfill.dag_id = "dag";
    event.backfill.from_date = at("1996-01-01");
    event.backfill.to_date = at("2026-01-01");
    event.backfill.max_active_runs = 16;
    const auto begin = std::chrono::steady_clock::now();
    Turn turn;
    REQUIRE(world.scheduler.step(event, world.now, turn) == Taken::yes);
    world.scheduler.dispatch(world.now, turn);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    REQUIRE(turn.runs.size() > 10'000);
    REQUIRE(turn.starts.size() == 16);

    REQUIRE(took.count() < 1.0);
}

}  // namespace
}  // namespace sluice::core
