// Events, marks and uses of assets: in both journals, and as the API reads them.
#include <memory>

#include <catch2/catch.hpp>

#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "store/pg_journal.hpp"
#include "store/queries.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

AssetEvent event(std::int64_t id, const std::string& asset) {
    AssetEvent out;
    out.id = id;
    out.asset = asset;
    out.at = at(10 + static_cast<int>(id));
    return out;
}

void check_snapshot(Journal& journal) {
    Writer writer{journal.load()};
    Turn turn = writer.turn(10);
    const RunKey run = writer.begin_run(turn, "reader", "r1");
    AssetEvent first = event(1, "raw.a");
    first.extra = R"({"rows": 7, "who": "\"ada\""})";
    first.dag_id = "writer";
    first.run_id = "w1";
    first.task_id = "load";
    first.map_index = 3;
    first.interval = Interval{at(1), at(2)};
    turn.asset_events = {first, event(2, "raw.b"), event(3, "raw.a"), event(4, "raw.c")};
    turn.asset_marks = {{"reader", "raw.a", 1, false}, {"reader", "raw.b", 2, false}};
    turn.asset_uses = {{run, 1}, {run, 2}};
    journal.commit(turn);

    const Snapshot snapshot = journal.load();
    CHECK(snapshot.last_asset_event == 4);
    REQUIRE(snapshot.asset_marks.size() == 2);
    CHECK(snapshot.asset_marks[0].asset == "raw.a");
    CHECK(snapshot.asset_marks[0].seen == 1);
    // Only what somebody has not seen yet.
    REQUIRE(snapshot.asset_events.size() == 1);
    CHECK(snapshot.asset_events[0].id == 3);

    Turn next = writer.turn(11);
    next.asset_marks = {{"reader", "raw.a", 0, false}, {"reader", "raw.b", 2, true}};
    journal.commit(next);
    const Snapshot later = journal.load();
    REQUIRE(later.asset_marks.size() == 1);
    REQUIRE(later.asset_events.size() == 2);
    const AssetEvent& known = later.asset_events[0];
    CHECK(known.dag_id == "writer");
    CHECK(known.run_id == "w1");
    CHECK(known.task_id == "load");
    CHECK(known.map_index == 3);
    CHECK(known.at == first.at);
    REQUIRE(known.interval);
    CHECK(known.interval->start == at(1));
    CHECK(known.interval->end == at(2));
    CHECK(known.extra.find("ada") != std::string::npos);
    CHECK(later.asset_events[1].dag_id.empty());
}

}  // namespace

TEST_CASE("assets are there after a load", "[journal][assets]") {
    MemoryJournal memory;
    check_snapshot(memory);
    PgJournal postgresql{JournalSettings{fresh_database(), "test", "here"}};
    check_snapshot(postgresql);
}

TEST_CASE("events of assets are read with the runs that took them", "[queries][assets]") {
    const std::string url = fresh_database();
    PgJournal journal{JournalSettings{url, "test", "here"}};
    check_snapshot(journal);
    ConnectionPool pool{url, 2};
    Queries queries{pool};
    const auto all = queries.asset_events({});
    CHECK(all.total == 4);
    CHECK(all.rows.front().id == 1);
    const auto of_a = queries.asset_events({.asset = "raw.a", .newest_first = true});
    REQUIRE(of_a.rows.size() == 2);
    CHECK(of_a.rows.front().id == 3);
    CHECK(queries.asset_events({.task_id = "load", .map_index = 3}).total == 1);
    const auto takers = queries.asset_takers(all.rows);
    REQUIRE(takers.size() == 2);
    CHECK(takers[0].event == 1);
    CHECK(takers[0].run.run_id == "r1");
    CHECK(queries.asset_events({.taken_by = takers[0].run.key}).total == 2);
    const auto activity = queries.asset_activity();
    REQUIRE(activity.size() == 3);
    CHECK(activity[0].asset == "raw.a");
    CHECK(activity[0].events == 2);
    CHECK(activity[0].last.id == 3);
}

}  // namespace sluice::store::test
