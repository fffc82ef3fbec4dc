// The ledger of lake slices: the same tests on PostgreSQL and in memory.
#include "store/ledger.hpp"

#include <memory>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "store/pg_journal.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

struct LedgerWorld {
    explicit LedgerWorld(const std::string& kind) {
        if (kind == "memory") {
            auto twin = std::make_unique<MemoryLedger>();
            journal = std::make_unique<MemoryJournal>(*twin);
            ledger = std::move(twin);
            journal->load();
        } else {
            const std::string url = fresh_database();
            journal = std::make_unique<PgJournal>(JournalSettings{url, "test", ""});
            journal->load();
            pool = std::make_unique<ConnectionPool>(url);
            ledger = std::make_unique<PgLedger>(*pool);
        }
    }

    std::unique_ptr<ConnectionPool> pool;
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<Journal> journal;

    std::int64_t claim(
        const std::string& day, std::int64_t run, int start, std::int64_t floor = 0
    ) {
        Claim claim;
        claim.key = {"raw.orders", "dt=" + day, ""};
        claim.attempt = {{RunKey{run}, 0, unmapped}, start};
        claim.dag_id = "shop";
        claim.run_id = "r";
        claim.task_id = "extract";
        claim.interval = Interval{at(0), at(86'400)};
        claim.at_least = floor;
        return ledger->claim(claim);
    }
    void commit(const std::string& day, std::int64_t run, int start, std::int64_t generation) {
        Turn turn;
        turn.now = at(5);
        turn.outputs.push_back(
            {{{RunKey{run}, 0, unmapped}, start},
             {.dataset = "raw.orders",
              .partition = "dt=" + day,
              .slice = "",
              .generation = generation,
              .rows = 10 * generation,
              .bytes = 100,
              .content_hash = "00ff",
              .files = R"([{"path": "a.parquet"}])",
              .input = "[]",
              .code_hash = "ab"}}
        );
        journal->commit(turn);
    }
};

TEST_CASE("a slice goes live with its commit and replaces the one before", "[ledger]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    LedgerWorld world{kind};
    const std::int64_t first = world.claim("2026-01-05", 1, 1);
    CHECK(first == 1);
    CHECK(world.ledger->live({.dataset = "raw.orders"}).empty());
    world.commit("2026-01-05", 1, 1, first);
    auto live = world.ledger->live({.dataset = "raw.orders"});
    REQUIRE(live.size() == 1);
    CHECK(live.front().rows == 10);
    CHECK(live.front().content_hash == "00ff");
    CHECK(live.front().files == R"([{"path": "a.parquet"}])");
    CHECK(live.front().committed_at == at(5));

    const std::int64_t second = world.claim("2026-01-05", 2, 1);
    CHECK(second == 2);
    // Old until the commit, new from then on, never both.
    CHECK(world.ledger->live({.dataset = "raw.orders"}).front().generation == 1);
    world.commit("2026-01-05", 2, 1, second);
    live = world.ledger->live({.dataset = "raw.orders"});
    REQUIRE(live.size() == 1);
    CHECK(live.front().generation == 2);
    const auto history = world.ledger->history({"raw.orders", "dt=2026-01-05", ""});
    REQUIRE(history.size() == 2);
    CHECK(history.front().state == "committed");
    CHECK(history.back().state == "superseded");
}

TEST_CASE("slices of map indexes that are gone are superseded", "[ledger][mapped]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    const auto partition = GENERATE(as<std::string>{}, "dt=2026-01-05", "");
    CAPTURE(kind, partition);
    LedgerWorld world{kind};
    const auto write = [&](std::int64_t run, MapIndex index, const std::string& slice) {
        const AttemptKey attempt{{RunKey{run}, 0, index}, 1};
        Claim claim;
        claim.key = {"raw.orders", partition, slice};
        claim.attempt = attempt;
        Turn turn;
        turn.now = at(5);
        turn.outputs.push_back(
            {attempt,
             {.dataset = "raw.orders",
              .partition = partition,
              .slice = slice,
              .generation = world.ledger->claim(claim),
              .rows = 1,
              .bytes = 1,
              .content_hash = "00",
              .files = "[]",
              .input = "[]",
              .code_hash = "ab"}}
        );
        world.journal->commit(turn);
    };
    const auto end = [&](std::int64_t run, std::int32_t length) {
        Turn turn;
        turn.now = at(6);
        turn.slices_kept = {{RunKey{run}, 0, length}};
        world.journal->commit(turn);
    };
    const auto live = [&] {
        std::vector<std::string> slices;
        for (const auto& slice : world.ledger->live({.dataset = "raw.orders"}))
            slices.push_back(slice.key.slice);
        return slices;
    };
    using Slices = std::vector<std::string>;
    const std::string plain = partition.empty() ? "a/b" : "";
    write(1, unmapped, plain);
    write(1, unmapped, "c/d");
    // Another interval keeps what it has; a partition has one.
    const Slices other = partition.empty() ? Slices{"c/d"} : Slices{};
    for (const MapIndex index : {0, 1, 2}) write(2, index, "a/b#" + std::to_string(index));
    end(2, 3);
    Slices expected{"a/b#0", "a/b#1", "a/b#2"};
    expected.insert(expected.end(), other.begin(), other.end());
    CHECK(live() == expected);
    write(3, 0, "a/b#0");
    end(3, 1);  // a run of the same interval with fewer items
    expected = {"a/b#0"};
    expected.insert(expected.end(), other.begin(), other.end());
    CHECK(live() == expected);
    write(4, unmapped, plain);  // it is mapped no more
    end(4, -1);
    expected = {plain};
    expected.insert(expected.end(), other.begin(), other.end());
    CHECK(live() == expected);
}

TEST_CASE("a zombie attempt's commit is refused and overwrites nothing", "[ledger]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    LedgerWorld world{kind};
    const std::int64_t old = world.claim("2026-01-05", 1, 1);
    const std::int64_t next = world.claim("2026-01-05", 1, 2);
    CHECK_THROWS_AS(world.commit("2026-01-05", 1, 1, old), Refused);
    world.commit("2026-01-05", 1, 2, next);
    CHECK_THROWS_AS(world.commit("2026-01-05", 1, 1, old), Refused);
    CHECK_THROWS_AS(world.commit("2026-01-05", 1, 2, next), Refused);      // twice
    CHECK_THROWS_AS(world.commit("2026-01-05", 1, 2, next + 9), Refused);  // never claimed
    CHECK(world.ledger->live({.dataset = "raw.orders"}).front().generation == next);
    try {
        world.claim("2026-01-05", 1, 1);
        FAIL("an earlier attempt claimed after a later one");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::conflict);
    }
}

TEST_CASE("generations are larger than any that the target has seen", "[ledger]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    LedgerWorld world{kind};
    CHECK(world.claim("2026-01-05", 1, 1, 40) == 40);
    CHECK(world.claim("2026-01-05", 2, 1, 3) == 41);
    CHECK(world.claim("2026-01-06", 3, 1) == 1);
}

TEST_CASE("readers ask for one partition, a range, the latest or all", "[ledger]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    LedgerWorld world{kind};
    std::int64_t run = 0;
    for (const char* day : {"2026-01-07", "2026-01-05", "2026-01-06"}) {
        ++run;
        world.commit(day, run, 1, world.claim(day, run, 1));
    }
    const auto days = [&](SliceQuery query) {
        query.dataset = "raw.orders";
        std::vector<std::string> found;
        for (const Slice& slice : world.ledger->live(query)) found.push_back(slice.key.partition);
        return found;
    };
    using Days = std::vector<std::string>;
    CHECK(days({}) == Days{"dt=2026-01-05", "dt=2026-01-06", "dt=2026-01-07"});
    CHECK(days({.from = "dt=2026-01-06"}) == Days{"dt=2026-01-06", "dt=2026-01-07"});
    CHECK(days({.from = "dt=2026-01-05", .to = "dt=2026-01-05"}) == Days{"dt=2026-01-05"});
    CHECK(days({.to = "dt=2026-01-06", .latest_only = true}) == Days{"dt=2026-01-06"});
    CHECK(days({.from = "dt=2027"}).empty());
}

}  // namespace
}  // namespace sluice::store::test
