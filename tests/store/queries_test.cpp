// What the API reads: every query once with everything, and what it finds.
#include "store/queries.hpp"

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "store/admin.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

// Two DAGs; `shop` has three runs of two tasks, the first one finished.
struct ApiWorld {
    std::string url{fresh_database()};
    PgJournal journal{{url, "test", "http://here"}};
    ConnectionPool pool{url, 2};
    Queries queries{pool};
    std::vector<RunKey> runs;

    ApiWorld() {
        Writer writer{journal.load()};
        const VersionId shop = journal.put_version(small_dag("shop", "a")).id;
        const VersionId other = journal.put_version(small_dag("other", "b")).id;
        for (int i = 0; i < 3; ++i) {
            Turn turn = writer.turn(10 * i);
            const std::string id = "manual__" + std::to_string(i);
            runs.push_back(writer.begin_run(turn, "shop", id, shop));
            turn.runs.back().run.logical_date = at(i);
            turn.runs.back().run.type = i == 0 ? RunType::scheduled : RunType::manual;
            turn.runs.back().run.triggering_user = "ada";
            writer.start(turn, {runs.back(), 0, unmapped});
            writer.start(turn, {runs.back(), 1, unmapped});
            journal.commit(turn);
        }
        Turn turn = writer.turn(100);
        writer.begin_run(turn, "other", "x", other);
        writer.move(turn, {runs[0], 0, unmapped}, TaskState::running, TaskState::success);
        writer.move(turn, {runs[0], 1, unmapped}, TaskState::running, TaskState::failed).end_date =
            at(100);
        DagRun& done =
            writer.change_run(turn, runs[0], "shop", RunState::running, RunState::failed);
        done.version = shop;
        done.logical_date = at(0);
        done.run_after = at(0);
        done.type = RunType::scheduled;
        done.start_date = at(0);
        done.end_date = at(100);
        turn.dags.push_back({.dag_id = "shop", .current = shop});
        journal.commit(turn);
    }
};

std::vector<std::string> ids(const Page<RunRow>& page) {
    std::vector<std::string> found;
    for (const RunRow& row : page.rows) found.push_back(row.run.run_id);
    return found;
}

using Ids = std::vector<std::string>;

TEST_CASE("runs are filtered, ordered, cut to pages and counted", "[queries]") {
    ApiWorld world;
    Queries& queries = world.queries;
    RunFilter shop;
    shop.dag_ids = {"shop"};
    const auto all = queries.runs(shop);
    CHECK(all.total == 3);
    CHECK(ids(all) == Ids{"manual__0", "manual__1", "manual__2"});
    CHECK(all.rows.front().version_number == 1);
    CHECK(queries.runs({}).total == 4);

    RunFilter page = shop;
    page.order = {{RunOrder::run_after, true}};
    page.page = {.limit = 1, .offset = 1};
    CHECK(ids(queries.runs(page)) == Ids{"manual__1"});
    CHECK(queries.runs(page).total == 3);
    page.page = {.limit = 0, .offset = 0};
    CHECK(queries.runs(page).rows.empty());
    CHECK(queries.runs(page).total == 3);

    RunFilter state = shop;
    state.states = {RunState::failed, RunState::success};
    CHECK(ids(queries.runs(state)) == Ids{"manual__0"});
    RunFilter range = shop;
    range.logical_date = {.gte = at(1), .lt = at(2)};
    CHECK(ids(queries.runs(range)) == Ids{"manual__1"});
    RunFilter ended = shop;
    ended.end_date = {.lte = at(1000)};
    CHECK(ids(queries.runs(ended)) == Ids{"manual__0"});
    RunFilter pattern = shop;
    pattern.run_id_pattern = "MANUAL%2";
    CHECK(ids(queries.runs(pattern)) == Ids{"manual__2"});
    RunFilter quote = shop;
    quote.run_ids = {"'; drop table dag_run; --", "{\"a\"}", "manual__1"};
    CHECK(ids(queries.runs(quote)) == Ids{"manual__1"});
}

TEST_CASE("every filter and every order of the lists is accepted by the database", "[queries]") {
    ApiWorld world;
    Queries& queries = world.queries;
    const TimeRange range{.gte = at(-9), .gt = at(-9), .lte = at(900), .lt = at(900)};
    RunFilter runs{
        .dag_ids = {"shop"},
        .run_ids = {"manual__0"},
        .dag_id_pattern = "%",
        .run_id_pattern = "%",
        .triggering_user_pattern = "%",
        .states = {RunState::failed},
        .types = {RunType::scheduled},
        .version_numbers = {1},
        .backfill = {},
        .logical_date = range,
        .run_after = range,
        .queued_at = range,
        .start_date = range,
        .end_date = range,
        .order = {},
        .page = {}
    };
    CHECK(queries.runs(runs).total == 1);
    runs.backfill = BackfillId{1};
    CHECK(queries.runs(runs).total == 0);
    for (const char* name :
         {"id",
          "dag_id",
          "dag_run_id",
          "run_id",
          "state",
          "run_type",
          "logical_date",
          "data_interval_start",
          "data_interval_end",
          "run_after",
          "queued_at",
          "start_date",
          "end_date",
          "duration"}) {
        CAPTURE(name);
        const auto order = run_order_of(name);
        REQUIRE(order);
        RunFilter ordered;
        ordered.order = {{*order, true}, {*order, false}};
        CHECK(queries.runs(ordered).rows.size() == 4);
    }
    CHECK_FALSE(run_order_of("no_such_thing"));

    TaskFilter tasks{
        .dag_ids = {"shop"},
        .run_ids = {"manual__0"},
        .run = world.runs[0],
        .task_ids = {"load"},
        .task_id_pattern = "%oa%",
        .states = {TaskState::failed},
        .map_indexes = {-1},
        .logical_date = range,
        .run_after = range,
        .start_date = {},
        .end_date = range,
        .order = {},
        .page = {}
    };
    const auto found = queries.tasks(tasks);
    REQUIRE(found.total == 1);
    CHECK(found.rows.front().task_id == "load");
    CHECK(found.rows.front().run_id == "manual__0");
    CHECK(found.rows.front().run_state == RunState::failed);
    for (const char* name :
         {"id",
          "task_no",
          "task_id",
          "state",
          "map_index",
          "try_number",
          "logical_date",
          "run_after",
          "scheduled_when",
          "queued_when",
          "start_date",
          "end_date",
          "duration"}) {
        CAPTURE(name);
        const auto order = task_order_of(name);
        REQUIRE(order);
        TaskFilter ordered;
        ordered.order = {{*order, true}};
        CHECK(queries.tasks(ordered).rows.size() == 6);
    }
}

TEST_CASE("one run, its tasks, its transitions and the grid", "[queries]") {
    ApiWorld world;
    Queries& queries = world.queries;
    CHECK(queries.run("shop", "manual__1")->run.key == world.runs[1]);
    CHECK_FALSE(queries.run("shop", "x"));
    CHECK(queries.run(world.runs[0])->run.end_date == at(100));
    CHECK(queries.tasks_of(world.runs[0]).size() == 2);
    CHECK(queries.task({world.runs[0], 1, unmapped})->task_id == "load");
    CHECK_FALSE(queries.task({world.runs[0], 7, unmapped}));
    CHECK(queries.attempts_of(world.runs[0]).empty());
    CHECK(queries.xcoms_of(world.runs[0]).empty());
    CHECK_FALSE(queries.rendered({world.runs[0], 0, unmapped}, 1));

    const auto of_run = queries.transitions_of(world.runs[0]);
    REQUIRE(of_run.size() == 6);
    CHECK(of_run.front().transition.from == -1);
    CHECK(of_run.front().task_id.empty());
    const Seq last = queries.last_seq();
    CHECK(queries.transitions_since(Seq{last.value - 2}, 100).size() == 2);
    const auto first_two = queries.transitions_since(Seq{0}, 2);
    REQUIRE(first_two.size() == 2);
    CHECK(first_two.back().transition.seq.value == 2);
    CHECK(first_two.back().task_id == "extract");
    CHECK(first_two.back().dag_id == "shop");

    const auto grid = queries.grid("shop", 2);
    REQUIRE(grid.size() == 2);
    CHECK(grid.front().run.run.run_id == "manual__2");
    REQUIRE(grid.front().cells.size() == 2);
    CHECK(grid.front().cells[1].state == TaskState::running);
    const auto older = queries.grid("shop", 5, at(10));
    REQUIRE(older.size() == 2);
    CHECK(older.back().cells[1].state == TaskState::failed);
    const auto latest = queries.latest_runs({"shop", "other", "none"}, 2);
    CHECK(latest.at("shop").size() == 2);
    CHECK(latest.at("other").size() == 1);
    CHECK_FALSE(latest.contains("none"));
    const auto counts = queries.dag_counts({"shop"});
    CHECK(counts.at("shop").runs.at(RunState::running) == 2);
    CHECK(counts.at("shop").latest->run.run_id == "manual__2");
}

TEST_CASE("backfills and their progress", "[queries]") {
    ApiWorld world;
    Writer writer{world.journal.load()};
    Turn turn = writer.turn(200);
    for (int i = 0; i < 3; ++i) {
        BackfillDate date{.backfill = BackfillId{1}, .ordinal = i + 1, .logical_date = at(i)};
        date.action = i == 2 ? "skip" : "create";
        date.reason = i == 2 ? "already exists" : "";
        if (i < 2) {
            date.run = writer.begin_run(turn, "shop", "backfill__" + std::to_string(i));
            turn.runs.back().run.backfill = BackfillId{1};
        }
        turn.backfill_dates.push_back(date);
    }
    Backfill backfill{.id = BackfillId{1}, .dag_id = "shop", .from_date = at(0), .to_date = at(2)};
    backfill.conf = R"({"k": 1})";
    turn.backfills.push_back(backfill);
    world.journal.commit(turn);

    const auto page = world.queries.backfills("shop", {});
    REQUIRE(page.total == 1);
    CHECK(page.rows.front().runs == 2);
    CHECK(page.rows.front().skipped == 1);
    CHECK(page.rows.front().by_state.at(RunState::running) == 2);
    CHECK(world.queries.backfills("other", {}).total == 0);
    CHECK(world.queries.backfill(BackfillId{1})->backfill.conf == R"({"k": 1})");
    CHECK_FALSE(world.queries.backfill(BackfillId{2}));
    const auto dates = world.queries.backfill_dates(BackfillId{1});
    REQUIRE(dates.size() == 3);
    CHECK(dates[2].reason == "already exists");
    CHECK_FALSE(dates[2].run);

    Turn pause = writer.turn(201);
    backfill.is_paused = true;
    backfill.completed_at = at(201);
    pause.backfills.push_back(backfill);
    world.journal.commit(pause);
    CHECK(world.queries.backfill(BackfillId{1})->backfill.is_paused);
    CHECK(world.journal.load().backfills.empty());
}

TEST_CASE("versions, states of DAGs, pools, the lease, the audit log", "[queries]") {
    ApiWorld world;
    Queries& queries = world.queries;
    CHECK(queries.versions("shop", {}).total == 1);
    CHECK(queries.version("shop", 1)->files.size() == 1);
    CHECK_FALSE(queries.version("shop", 2));
    REQUIRE(queries.dag_states().size() == 1);
    CHECK(queries.dag_states().front().is_paused);
    CHECK(queries.pools().empty());
    const auto lease = queries.lease();
    REQUIRE(lease);
    CHECK(lease->address == "http://here");
    CHECK(lease->turn == 4);
    CHECK(lease->lives);

    Admin admin{world.pool};
    admin.audit({.at = at(1), .actor = "ada", .event = "login", .dag_id = "shop"});
    admin.audit({.at = at(2), .actor = "bob", .event = "login"});
    AuditFilter filter;
    CHECK(queries.audits(filter).rows.front().entry.actor == "bob");
    filter = {.dag_id = "shop", .actor = "ada", .event = "login"};
    filter.at = {.gte = at(0), .lt = at(2)};
    const auto found = queries.audits(filter);
    REQUIRE(found.total == 1);
    CHECK(queries.audit(found.rows.front().id)->entry.extra == "{}");
    CHECK_FALSE(queries.audit(99));
}

TEST_CASE("a version replaced just before a crash is not left as current", "[queries]") {
    ApiWorld world;
    const VersionId first = world.journal.put_version(small_dag("fresh", "a")).id;
    Writer writer{world.journal.load()};
    Turn turn = writer.turn(1);
    turn.dags.push_back({.dag_id = "fresh", .current = first});
    world.journal.commit(turn);
    const VersionId second = world.journal.put_version(small_dag("fresh", "b")).id;
    for (const DagState& dag : world.journal.load().dags) {
        if (dag.dag_id == "fresh") CHECK(dag.current == second);
    }
}

TEST_CASE(
    "users, variables and connections are put, read and removed with an audit row", "[queries]"
) {
    ApiWorld world;
    Admin admin{world.pool};
    const AuditEntry audit{.at = at(1), .actor = "ada", .event = "change"};
    const User user{"ada", "$argon2id$x", "admin", "", true, at(1)};
    CHECK(admin.put_user(user, audit) == Put::created);
    CHECK(admin.put_user(user, audit) == Put::updated);
    CHECK(admin.user("ada")->password_hash == "$argon2id$x");
    CHECK(admin.users().size() == 1);
    CHECK(admin.remove_user("ada", audit));
    CHECK_FALSE(admin.remove_user("ada", audit));

    CHECK(admin.put_variable({"k", "v", "d"}, audit) == Put::created);
    CHECK(admin.variable("k")->value == "v");
    CHECK(admin.variables().size() == 1);
    CHECK(admin.remove_variable("k", audit));

    StoredConnection connection{.conn_id = "shop", .conn_type = "postgres", .host = "/tmp/a b"};
    connection.password = Secret{"p'w"};
    connection.port = 5432;
    CHECK(admin.put_connection(connection, audit) == Put::created);
    CHECK(admin.connection("shop")->password.reveal() == "p'w");
    CHECK(admin.connection("shop")->port == 5432);
    connection.port.reset();
    CHECK(admin.put_connection(connection, audit) == Put::updated);
    CHECK_FALSE(admin.connections().front().port);
    CHECK(admin.remove_connection("shop", audit));
    CHECK(world.queries.audits({.event = "change"}).total == 8);

    const SigningKey key{"k1", Secret{std::string{"\0\x01\xff", 3}}, at(1)};
    CHECK(admin.signing_keys(key).front().key.reveal() == key.key.reveal());
    CHECK(admin.signing_keys({"k2", Secret{"other"}, at(2)}).front().id == "k1");
    admin.put_signing_key({"k3", Secret{"new"}, at(3)});
    CHECK(admin.signing_keys(key).front().id == "k3");
}

TEST_CASE("a pool whose connections were cut reads again", "[queries]") {
    ApiWorld world;
    CHECK(world.queries.runs({}).total == 4);
    Connection{world.url, "test"}.script(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice "
        "queries' and datname = current_database()"
    );
    CHECK(world.queries.runs({}).total == 4);
    ConnectionPool nowhere{"postgresql:///sluice?host=/nonexistent"};
    try {
        Queries{nowhere}.runs({});
        FAIL("read from nowhere");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::unavailable);
    }
}

}  // namespace
}  // namespace sluice::store::test
