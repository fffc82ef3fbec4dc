// A backfill's tasks and estimate, and the ids that backfills have used: in both journals.
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

Instant day(unsigned number) {
    return std::chrono::sys_days{std::chrono::year{2026} / 1 / std::chrono::day{number}};
}

}  // namespace

TEST_CASE("a backfill of some tasks is the same after a load", "[journal][backfill]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    using Names = std::vector<std::string>;

    Turn turn = writer.turn(10);
    Backfill backfill;
    backfill.id = {1};
    backfill.dag_id = "shop";
    backfill.from_date = day(1);
    backfill.to_date = day(9);
    backfill.tasks = {"load", "group.\"x\""};
    backfill.run_time = std::chrono::milliseconds{1500};
    backfill.created_at = day(10);
    backfill.updated_at = day(10);
    turn.backfills.push_back(backfill);
    const RunKey run = writer.begin_run(turn, "shop", "backfill__2026-01-02");
    turn.runs.back().run.backfill = backfill.id;
    const RunKey other = writer.begin_run(turn, "shop", "mine");
    journal->commit(turn);

    Snapshot snapshot = journal->load();
    REQUIRE(snapshot.backfills.size() == 1);
    CHECK(snapshot.backfills[0].tasks == backfill.tasks);
    CHECK(snapshot.backfills[0].run_time == backfill.run_time);
    REQUIRE_FALSE(snapshot.subsets.empty());
    CHECK(snapshot.subsets[0].backfill == backfill.id);
    CHECK(snapshot.subsets[0].tasks == backfill.tasks);
    CHECK(journal->find_run(run)->subset == backfill.tasks);
    CHECK(journal->find_run(other)->subset == Names{});
    CHECK(journal->backfill_run_ids("shop") == std::set<std::string>{"backfill__2026-01-02"});
    CHECK(journal->backfill_run_ids("other").empty());

    // Completed, but a run of it is open: the subset is still known.
    Turn later = writer.turn(11);
    backfill.completed_at = day(11);
    backfill.updated_at = day(11);
    later.backfills.push_back(backfill);
    journal->commit(later);
    snapshot = journal->load();
    CHECK(snapshot.backfills.empty());
    REQUIRE_FALSE(snapshot.subsets.empty());
    CHECK(snapshot.subsets[0].tasks == backfill.tasks);
}

}  // namespace sluice::store::test
