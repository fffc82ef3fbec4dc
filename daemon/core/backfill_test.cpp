#include "core/backfill.hpp"

#include "core/test_world.hpp"

namespace sluice::core {
namespace {

using test::at;
using test::make_dag;
using test::World;
using namespace std::chrono_literals;

/// Daily intervals; its end has passed, so that the schedule itself does nothing.
Dag daily() {
    auto dag = make_dag("dag", {"a"});
    dag.schedule.kind = ScheduleKind::cron_interval;
    dag.schedule.crons = {"0 0 * * *"};
    dag.start_date = at("2025-01-01");
    dag.end_date = at("2025-01-02");
    return dag;
}

CreateBackfill backfill(const char* from, const char* to) {
    CreateBackfill event;
    event.backfill.dag_id = "dag";
    event.backfill.from_date = at(from);
    event.backfill.to_date = at(to);
    return event;
}

DagRun existing(const char* date, RunState state, std::int64_t key) {
    DagRun run;
    run.key = {key};
    run.logical_date = at(date);
    run.state = state;
    return run;
}

TEST_CASE("a plan says for each date what is done and why", "[core][backfill]") {
    const std::vector<DagRun> runs{
        existing("2026-01-02", RunState::success, 1),
        existing("2026-01-03", RunState::failed, 2),
        existing("2026-01-04", RunState::running, 3),
    };
    auto wanted = backfill("2026-01-01", "2026-01-04").backfill;
    const auto actions = [&](ReprocessBehavior reprocess) {
        wanted.reprocess = reprocess;
        std::vector<std::string> result;
        for (const auto& date : plan_backfill(daily(), wanted, runs, at("2026-01-10")).dates)
            result.push_back(date.reason.empty() ? date.action : date.action + ": " + date.reason);
        return result;
    };
    using Texts = std::vector<std::string>;
    const std::string there = "skip: already exists";
    const std::string busy = "skip: in flight";
    REQUIRE(actions(ReprocessBehavior::none) == Texts{"create", there, there, busy});
    REQUIRE(actions(ReprocessBehavior::failed) == Texts{"create", there, "clear", busy});
    REQUIRE(actions(ReprocessBehavior::completed) == Texts{"create", "clear", "clear", busy});
}

TEST_CASE("only intervals that have ended are filled, backwards if wished", "[core][backfill]") {
    auto wanted = backfill("2026-01-08", "2026-01-12").backfill;
    wanted.run_backwards = true;
    const auto plan = plan_backfill(daily(), wanted, {}, at("2026-01-10T12:00"));
    REQUIRE(plan.dates.size() == 2);
    REQUIRE(plan.dates[0].logical_date == at("2026-01-09"));
    REQUIRE(plan.dates[0].ordinal == 1);
}

TEST_CASE("what cannot be filled is refused with a reason", "[core][backfill]") {
    const auto now = at("2026-01-10");
    const auto error = [&](const Dag& dag, const char* from, const char* to) {
        return plan_backfill(dag, backfill(from, to).backfill, {}, now).error;
    };
    REQUIRE(error(daily(), "2026-01-05", "2026-01-04") == ErrorCode::invalid);
    REQUIRE(error(daily(), "2026-02-05", "2026-02-06") == ErrorCode::invalid);
    REQUIRE(error(make_dag("dag", {"a"}), "2026-01-05", "2026-01-06") == ErrorCode::invalid);
    REQUIRE(error(daily(), "2026-01-09T12:00", "2026-01-09T13:00") == ErrorCode::conflict);
}

TEST_CASE("a backfill runs its dates in order, as many at once as it may", "[core][backfill]") {
    World world;
    auto dag = daily();
    dag.max_active_runs = 1;  // its own limit does not count here
    world.load(dag);
    auto event = backfill("2026-01-01", "2026-01-05");
    event.backfill.max_active_runs = 2;
    const auto answer = world.ask(event);
    REQUIRE(answer.backfill->id.value == 1);
    REQUIRE(answer.dates.size() == 5);
    REQUIRE(world.live.size() == 2);
    REQUIRE(world.run().run_id == "backfill__2026-01-02T00:00:00+00:00");
    REQUIRE(world.run().type == RunType::backfill);
    REQUIRE(world.backfill_dates.size() == 5);
    for (int i = 0; i < 5; ++i) {
        REQUIRE_FALSE(world.backfills.begin()->second.completed_at);
        world.end("a");
    }
    REQUIRE(world.backfills.begin()->second.completed_at);
}

TEST_CASE(
    "two backfills of a DAG may not overlap, and may stand side by side", "[core][backfill]"
) {
    World world;
    world.load(daily());
    world.ask(backfill("2026-01-01", "2026-01-03"));
    REQUIRE(world.ask(backfill("2026-01-03", "2026-01-05")).error == ErrorCode::conflict);
    REQUIRE_FALSE(world.ask(backfill("2026-01-04", "2026-01-05")).error);
}

TEST_CASE("a range that runs backwards is refused, whatever runs are open", "[core][backfill]") {
    World world;
    world.load(daily());
    for (const char* date : {"2026-01-02", "2026-01-04"}) {
        TriggerRun trigger;
        trigger.dag_id = "dag";
        trigger.run_id = std::string{"r"} + date;
        trigger.logical_date = at(date);
        world.ask(trigger);
    }
    REQUIRE(world.ask(backfill("2026-01-05", "2026-01-03")).error == ErrorCode::invalid);
}

TEST_CASE("a backfill of a paused DAG is accepted and waits", "[core][backfill]") {
    World world;
    auto dag = daily();
    dag.is_paused_upon_creation = true;
    world.load(dag);
    REQUIRE_FALSE(world.ask(backfill("2026-01-01", "2026-01-02")).error);
    REQUIRE(world.live.empty());
    PauseDag unpause;
    unpause.dag_id = "dag";
    unpause.paused = false;
    world.ask(unpause);
    REQUIRE(world.live.size() == 2);
}

TEST_CASE(
    "cancelling a backfill fails what is queued and lets the rest finish", "[core][backfill]"
) {
    World world;
    world.load(daily());
    auto event = backfill("2026-01-01", "2026-01-03");
    event.backfill.max_active_runs = 1;
    world.ask(event);
    PatchBackfill cancel;
    cancel.backfill = {1};
    cancel.action = PatchBackfill::Action::cancel;
    REQUIRE_FALSE(world.ask(cancel).error);
    REQUIRE(world.live.size() == 1);
    REQUIRE(world.run_state("backfill__2026-01-03T00:00:00+00:00") == "failed");
    world.end("a");
    REQUIRE(world.run_state("backfill__2026-01-02T00:00:00+00:00") == "success");
    REQUIRE(world.backfills.begin()->second.completed_at);
    REQUIRE(world.ask(cancel).error == ErrorCode::not_found);
}

TEST_CASE("a paused backfill starts nothing new", "[core][backfill]") {
    World world;
    world.load(daily());
    auto event = backfill("2026-01-01", "2026-01-03");
    event.backfill.max_active_runs = 1;
    world.ask(event);
    PatchBackfill patch;
    patch.backfill = {1};
    world.ask(patch);
    world.end("a");
    REQUIRE(world.live.empty());
    patch.action = PatchBackfill::Action::unpause;
    world.ask(patch);
    REQUIRE(world.live.size() == 1);
}

TEST_CASE("why: a backfill is paused since somebody paused it", "[core][backfill][why]") {
    World world;
    world.load(daily());
    auto event = backfill("2026-01-01", "2026-01-02");
    event.backfill.max_active_runs = 1;
    world.ask(event);
    const RunKey queued = world.run("backfill__2026-01-03T00:00:00+00:00").key;
    PatchBackfill pause;
    pause.backfill = {1};
    world.now += 60s;
    world.ask(pause);
    const Instant paused = world.now;
    world.now += 60s;
    world.ask(pause);
    const auto reasons = world.scheduler.why(queued);
    REQUIRE(reasons);
    REQUIRE(reasons->front().condition == "backfill_paused");
    REQUIRE(reasons->front().since == paused);
}

TEST_CASE("an existing run is cleared and becomes one of the backfill's", "[core][backfill]") {
    World world;
    world.load(daily());
    TriggerRun trigger;
    trigger.dag_id = "dag";
    trigger.run_id = "mine";
    trigger.logical_date = at("2026-01-02");
    world.ask(trigger);
    world.fail("a");
    auto event = backfill("2026-01-01", "2026-01-02");
    event.backfill.reprocess = ReprocessBehavior::failed;
    event.backfill.conf = R"({"full":true})";
    event.existing = {world.stored(world.run("mine").key)};
    REQUIRE(world.ask(event).dates[1].action == "clear");
    REQUIRE(world.run_state("mine") == "running");
    REQUIRE(world.run("mine").type == RunType::backfill);
    REQUIRE(world.run("mine").conf == R"({"full":true})");
    world.end("a");
    world.end("a");
    REQUIRE(world.run_state("mine") == "success");
    REQUIRE(world.backfills.begin()->second.completed_at);
}

TEST_CASE("a backfill goes on after a kill", "[core][backfill][recovery]") {
    World world;
    world.load(daily());
    auto event = backfill("2026-01-01", "2026-01-04");
    event.backfill.max_active_runs = 2;
    world.ask(event);
    world.end("a");
    world.restart();
    REQUIRE(world.live.size() == 2);
    while (!world.live.empty()) world.end("a");
    REQUIRE(world.backfills.begin()->second.completed_at);
    for (const auto& [key, run] : world.runs) REQUIRE(run.state == RunState::success);
}

}  // namespace
}  // namespace sluice::core
