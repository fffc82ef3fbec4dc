// What a run must remember beyond its instances, and what its next run asks: in both journals.
#include <functional>
#include <memory>

#include <catch2/catch.hpp>

#include "store/memory_journal.hpp"
#include "store/pg_journal.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

std::unique_ptr<Journal> make_journal(const std::string& kind) {
    if (kind == "memory") return std::make_unique<MemoryJournal>();
    return std::make_unique<PgJournal>(JournalSettings{fresh_database(), "test", "here"});
}

}  // namespace

TEST_CASE("branches, endings and failures are there after a load", "[journal][past]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};

    Turn turn = writer.turn(10);
    const RunKey run = writer.begin_run(turn, "shop", "r1");
    const TaskKey branch{run, 3, unmapped};
    turn.branches.push_back({branch, {{"a", "group.b"}, false}, false});
    turn.branches.push_back({{run, 4, 7}, {{}, true}, false});
    turn.endings.push_back({run, RunState::success, "by \"ada\"", true, false});
    turn.failures.push_back({"shop", 2});
    journal->commit(turn);

    const Snapshot snapshot = journal->load();
    REQUIRE(snapshot.branches.size() == 2);
    CHECK(snapshot.branches[0].key == branch);
    CHECK(snapshot.branches[0].branch == Branch{{"a", "group.b"}, false});
    CHECK(snapshot.branches[1].key == TaskKey{run, 4, 7});
    CHECK(snapshot.branches[1].branch.skip_all_below);
    REQUIRE(snapshot.endings.size() == 1);
    CHECK(snapshot.endings[0].run == run);
    CHECK(snapshot.endings[0].state == RunState::success);
    CHECK(snapshot.endings[0].reason == "by \"ada\"");
    CHECK(snapshot.endings[0].stop);
    REQUIRE(snapshot.failures.size() == 1);
    CHECK(snapshot.failures[0].count == 2);
    CHECK(journal->find_run(run)->branches.size() == 2);

    Turn next = writer.turn(11);
    next.branches.push_back({branch, {{"c"}, false}, false});
    next.branches.push_back({{run, 4, 7}, {}, true});
    next.endings.push_back({run, RunState::success, "", false, true});
    next.failures.push_back({"shop", 3});
    journal->commit(next);
    const Snapshot later = journal->load();
    REQUIRE(later.branches.size() == 1);
    CHECK(later.branches[0].branch.chosen == std::vector<std::string>{"c"});
    CHECK(later.endings.empty());
    CHECK(later.failures.front().count == 3);
}

TEST_CASE("what is still to be cleared is there after a load", "[journal][clear]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    Turn turn = writer.turn(10);
    const RunKey run = writer.begin_run(turn, "shop", "r1");
    Clearing clearing;
    clearing.run = run;
    clearing.rest = {{2, 10, 5'000}, {7, unmapped, unmapped}};
    clearing.tasks = {1, 2, 7};
    clearing.only_failed = true;
    clearing.actor = "ada";
    turn.clearings.push_back(clearing);
    journal->commit(turn);
    Turn next = writer.turn(11);
    clearing.rest.front().lo = 3'000;
    next.clearings.push_back(clearing);
    journal->commit(next);

    const Snapshot snapshot = journal->load();
    REQUIRE(snapshot.clearings.size() == 1);
    const auto& read = snapshot.clearings.front();
    CHECK(read.run == run);
    REQUIRE(read.rest.size() == 2);
    CHECK(read.rest[0].task == 2);
    CHECK(read.rest[0].lo == 3'000);
    CHECK(read.rest[0].hi == 5'000);
    CHECK(read.rest[1].hi == unmapped);
    CHECK(read.tasks == std::vector<TaskNo>{1, 2, 7});
    CHECK(read.only_failed);
    CHECK_FALSE(read.only_running);
    CHECK(read.actor == "ada");

    Turn last = writer.turn(12);
    clearing.over = true;
    last.clearings.push_back(clearing);
    journal->commit(last);
    CHECK(journal->load().clearings.empty());
}

TEST_CASE("a run that was deleted is not found, and its id is free", "[journal][delete]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    Turn turn = writer.turn(10);
    const RunKey run = writer.begin_run(turn, "shop", "r1");
    const RunKey other = writer.begin_run(turn, "shop", "r2");
    journal->commit(turn);
    Turn next = writer.turn(11);
    next.runs_deleted = {run};
    journal->commit(next);
    CHECK_FALSE(journal->find_run(run));
    CHECK_FALSE(journal->find_run_key("shop", "r1"));
    CHECK(journal->find_run_key("shop", "r2") == other);
    Turn last = writer.turn(12);
    const RunKey again = writer.begin_run(last, "shop", "r1");
    journal->commit(last);
    CHECK(journal->find_run_key("shop", "r1") == again);
}

TEST_CASE("the run before a date, with what its tasks ended as", "[journal][past]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};

    Turn turn = writer.turn(10);
    const RunKey first = writer.begin_run(turn, "shop", "first", VersionId{5});
    turn.runs.back().run.logical_date = at(100);
    turn.runs.back().run.type = RunType::scheduled;
    writer.start(turn, {first, 1, 0}).state = TaskState::success;
    writer.start(turn, {first, 1, 1}).state = TaskState::failed;
    writer.start(turn, {first, 2, unmapped}).state = TaskState::skipped;
    const RunKey manual = writer.begin_run(turn, "shop", "manual", VersionId{6});
    turn.runs.back().run.logical_date = at(200);
    turn.runs.back().run.type = RunType::manual;
    writer.begin_run(turn, "shop", "dateless");
    writer.begin_run(turn, "other", "elsewhere");
    turn.runs.back().run.logical_date = at(250);
    journal->commit(turn);

    CHECK_FALSE(journal->previous_run("shop", at(100), false));
    CHECK(journal->previous_run("shop", at(201), false)->run.key == manual);
    const auto past = journal->previous_run("shop", at(300), true);
    REQUIRE(past);
    CHECK(past->run.key == first);
    REQUIRE(past->tasks.size() == 2);
    CHECK(past->tasks[0].task == 1);
    CHECK(past->tasks[0].good == 1);
    CHECK(past->tasks[0].other == 1);
    CHECK(past->tasks[0].worst == TaskState::failed);
    CHECK(past->tasks[1].good == 1);
    CHECK(past->tasks[1].other == 0);
    CHECK(journal->versions_before("shop", at(200)) == std::vector{VersionId{5}});
    CHECK(journal->versions_before("shop", at(300)) == std::vector{VersionId{5}, VersionId{6}});
}

}  // namespace sluice::store::test
