// Deleted DAGs: gone for everyone with the turn, and then bit by bit from the database.
#include "store/dag_removal.hpp"

#include <memory>

#include <catch2/catch.hpp>

#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "store/queries.hpp"
#include "store/task_metrics.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

bool always() { return true; }

std::int64_t rows(const std::string& url, const std::string& sql) {
    Connection connection(url, "test");
    Params none;
    return connection.plan("select count(*) from " + sql, none).int8(0, 0);
}

/// A version of the DAG, its state, and runs that have ended with a task, an XCom and a metric.
void put_dag(
    Journal& journal, Writer& writer, const std::string& dag_id, int runs, TaskMetrics* metrics
) {
    const auto version = journal.put_version(small_dag(dag_id, "hash of " + dag_id));
    Turn turn = writer.turn(1);
    DagState state;
    state.dag_id = dag_id;
    state.current = version.id;
    turn.dags = {state};
    turn.failures = {{dag_id, 2}};
    std::vector<RunKey> keys;
    for (int i = 0; i < runs; ++i) {
        keys.push_back(writer.begin_run(turn, dag_id, "r" + std::to_string(i), version.id));
        const TaskKey key{keys.back(), 0, unmapped};
        writer.start(turn, key);
        turn.xcoms.push_back({key, {"k", "1"}, at(1)});
    }
    Backfill backfill;
    backfill.id = {turn.runs.front().run.key.value};
    backfill.dag_id = dag_id;
    backfill.tasks = {"a"};
    backfill.completed_at = at(1);
    turn.backfills = {backfill};
    BackfillDate date;
    date.backfill = backfill.id;
    date.action = "create";
    date.run = keys.front();
    turn.backfill_dates = {date};
    journal.commit(turn);
    Turn end = writer.turn(2);
    for (const RunKey key : keys)
        writer.change_run(end, key, dag_id, RunState::running, RunState::success);
    journal.commit(end);
    if (metrics == nullptr) return;
    for (const RunKey key : keys)
        metrics->put(
            {.dag_id = dag_id,
             .task_id = "a",
             .interval = {},
             .run = key,
             .run_id = "r" + std::to_string(key.value),
             .start = 1,
             .passed = true,
             .metrics = R"({"": {"rows_in": 1}})"}
        );
}

void commit_deletion(Journal& journal, Writer& writer, const DeletedDag& dag) {
    Turn turn = writer.turn(3);
    turn.dags_deleted = {dag};
    journal.commit(turn);
}
void commit_removal(Journal& journal, Writer& writer, const DeletedDag& dag) {
    Turn turn = writer.turn(4);
    turn.dags_removed = {dag};
    journal.commit(turn);
}

/// Rows of the DAG in every table with a column of that name, but for what outlives it.
std::int64_t rows_of(const std::string& url, const std::string& dag_id) {
    Connection connection(url, "test");
    Params none;
    const Result tables = connection.plan(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid "
        "where a.attname = 'dag_id' and c.relkind in ('r', 'p') "
        "and c.relname not in ('audit_log', 'ledger')",
        none
    );
    std::int64_t found = 0;
    for (int i = 0; i < tables.rows(); ++i)
        found += rows(url, tables.text(i, 0) + " where dag_id = '" + dag_id + "'");
    return found;
}

}  // namespace

TEST_CASE("a deleted DAG is in no snapshot, its deletion is until it is removed", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    std::unique_ptr<Journal> journal;
    if (kind == "memory")
        journal = std::make_unique<MemoryJournal>();
    else
        journal = std::make_unique<PgJournal>(JournalSettings{fresh_database(), "test", "here"});
    Writer writer{journal->load()};
    put_dag(*journal, writer, "d", 2, nullptr);
    put_dag(*journal, writer, "other", 1, nullptr);
    const DeletedDag deleted{"d", 7};
    commit_deletion(*journal, writer, deleted);
    const auto snapshot = journal->load();
    REQUIRE(snapshot.dags.size() == 1);
    CHECK(snapshot.dags.front().dag_id == "other");
    REQUIRE(snapshot.failures.size() == 1);
    CHECK(snapshot.failures.front().dag_id == "other");
    CHECK(snapshot.deleted_dags == std::vector{deleted});
    commit_removal(*journal, writer, deleted);
    CHECK(journal->load().deleted_dags.empty());
}

TEST_CASE("what is stored of a deleted DAG goes bit by bit", "[retention]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Writer writer{journal.load()};
    ConnectionPool pool(url);
    TaskMetrics metrics(pool);
    Queries queries(pool);
    constexpr int runs = 1'200;  // more than go at once
    put_dag(journal, writer, "d", runs, &metrics);
    put_dag(journal, writer, "other", 3, &metrics);
    const auto others = rows_of(url, "other");
    REQUIRE(rows_of(url, "d") > 2 * runs);
    const DeletedDag deleted{"d", 7};
    commit_deletion(journal, writer, deleted);

    // Out of every list at once.
    CHECK(queries.runs({}).total == 3);
    CHECK(queries.tasks({}).total == 3);
    CHECK(queries.backfills("", {}).total == 1);
    CHECK_FALSE(queries.run("d", "r0"));
    CHECK(queries.run("other", "r0"));

    // Stopped anywhere it goes on; logs go before the rows that name them.
    std::vector<std::string> logs;
    const auto gone = [&](const std::string& dag_id, const std::string& run_id) {
        CHECK(dag_id == "d");
        logs.push_back(run_id);
    };
    int steps = 0;
    CHECK(remove_deleted_dags(url, gone, [&] { return ++steps <= 1; }).empty());
    CHECK(logs.size() == 1'000);
    CHECK(rows(url, "dag_run where dag_id = 'd'") == runs - 1'000);
    CHECK(rows(url, "deleted_run where without_logs") == 1'000);
    CHECK(remove_deleted_dags(url, gone, always) == std::vector{deleted});
    CHECK(logs.size() == runs);
    CHECK(rows(url, "deleted_run") == runs);
    commit_removal(journal, writer, deleted);

    // The id is free: what comes now is another DAG's, whatever is still to be swept.
    CHECK(journal.put_version(small_dag("d", "hash of d")).number == 1);
    put_dag(journal, writer, "d", 2, &metrics);
    const auto again = rows_of(url, "d");
    CHECK(remove_deleted_dags(url, gone, always).empty());
    Retention retention(url);
    CHECK(retention.sweep_deleted(gone, always) == runs);
    CHECK(logs.size() == runs);                // the later runs of these ids keep theirs
    CHECK(rows_of(url, "d") == again - runs);  // all but the lines of what was to be swept
    CHECK(rows_of(url, "other") == others);
    CHECK(queries.run("d", "r0"));
    for (const std::string table : {"task_instance", "transition", "xcom", "task_metric"})
        CHECK(
            rows(
                url,
                table + " t where not exists (select from dag_run r where r.run_key = "
                        "t.run_key)"
            ) == 0
        );
    CHECK(
        rows(
            url,
            "dag_task t where not exists (select from dag_version v where v.id = "
            "t.version_id)"
        ) == 0
    );
    CHECK(rows(url, "backfill_date") == 2);
    CHECK(rows(url, "backfill_plan") == rows(url, "backfill"));
}

TEST_CASE("a removal of an earlier deletion takes nothing", "[retention]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Writer writer{journal.load()};
    put_dag(journal, writer, "d", 1, nullptr);
    commit_deletion(journal, writer, {"d", 7});
    // Another daemon has removed it, and it has come again, just before the first bit.
    const auto come_again = [&] {
        commit_removal(journal, writer, {"d", 7});
        return true;
    };
    const auto gone = [](const std::string&, const std::string&) { FAIL("a run was taken"); };
    int calls = 0;
    remove_deleted_dags(url, gone, [&] { return ++calls > 1 || come_again(); });
    CHECK(rows(url, "dag_run where dag_id = 'd'") == 1);
    CHECK(rows(url, "dag_version where dag_id = 'd'") == 1);
}

}  // namespace sluice::store::test
