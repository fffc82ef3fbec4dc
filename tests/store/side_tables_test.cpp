// What stands beside the rows of a turn: callbacks, checkpoints, counted artefacts; and the end of
// them all, retention.
#include <memory>

#include <catch2/catch.hpp>

#include "base/artefacts.hpp"
#include "base/error.hpp"
#include "store/checkpoints.hpp"
#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "store/outbox.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "store/queries.hpp"
#include "store/retention.hpp"
#include "store/task_metrics.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

TaskKey task(RunKey run, TaskNo number) { return {run, number, unmapped}; }

std::int64_t count(const std::string& url, const std::string& sql) {
    Connection connection(url, "test");
    Params none;
    return connection.plan("select count(*) from " + sql, none).int8(0, 0);
}

CallbackDue due(const TaskKey& key, CallbackOn on, int deadline = -1) {
    CallbackDue row;
    row.key = key;
    row.start = 1;
    row.try_number = 1;
    row.callback = {on, "http", R"({"url":"http://localhost/{{ ds }}"})", deadline};
    row.reason = "it's \"late\"";
    row.at = at(5);
    return row;
}

}  // namespace

TEST_CASE("deadlines are known after a load, and how long runs took", "[journal][deadlines]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    std::unique_ptr<Journal> journal;
    if (kind == "memory")
        journal = std::make_unique<MemoryJournal>();
    else
        journal = std::make_unique<PgJournal>(JournalSettings{fresh_database(), "test", "here"});
    Writer writer{journal->load()};
    Turn turn = writer.turn();
    const RunKey run = writer.begin_run(turn, "d", "r");
    turn.deadlines = {
        {run, no_task, 1, at(60), {}, {}}, {run, 0, 0, at(7), {}, {}}, {run, 0, 1, {}, {}, {}}
    };
    journal->commit(turn);
    Turn later = writer.turn(7);
    later.deadlines = {{run, no_task, 1, at(60), at(7), {}}, {run, 0, 0, at(7), at(6), at(7)}};
    journal->commit(later);
    const Snapshot snapshot = journal->load();
    REQUIRE(snapshot.deadlines.size() == 3);
    CHECK(snapshot.deadlines[0].run == run);
    CHECK(snapshot.deadlines[0].task == no_task);
    CHECK(snapshot.deadlines[0].number == 1);
    CHECK(snapshot.deadlines[0].at == at(60));
    CHECK(snapshot.deadlines[0].predicted_at == at(7));
    CHECK_FALSE(snapshot.deadlines[0].missed_at);
    CHECK(snapshot.deadlines[1].missed_at == at(7));
    CHECK_FALSE(snapshot.deadlines[2].at);
    Turn again = writer.turn(8);
    again.deadlines_dropped = {run};
    again.deadlines = {{run, 0, 0, at(90), {}, {}}};
    journal->commit(again);
    REQUIRE(journal->load().deadlines.size() == 1);
    CHECK_FALSE(journal->load().deadlines[0].missed_at);
    Turn end = writer.turn(9);
    writer.change_run(end, run, "d", RunState::running, RunState::failed);
    journal->commit(end);
    CHECK(journal->load().deadlines.empty());
}

TEST_CASE("how long the last runs of a DAG took", "[journal][deadlines]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    std::unique_ptr<Journal> journal;
    if (kind == "memory")
        journal = std::make_unique<MemoryJournal>();
    else
        journal = std::make_unique<PgJournal>(JournalSettings{fresh_database(), "test", "here"});
    Writer writer{journal->load()};
    std::vector<RunKey> runs;
    for (int i = 0; i < 4; ++i) {
        Turn turn = writer.turn(100 * i);
        runs.push_back(writer.begin_run(turn, i == 1 ? "other" : "d", "r" + std::to_string(i)));
        writer.start(turn, task(runs.back(), 0));
        journal->commit(turn);
        Turn end = writer.turn(100 * i + 10 + i);
        auto& instance = writer.move(
            end,
            task(runs.back(), 0),
            TaskState::running,
            i == 2 ? TaskState::failed : TaskState::success
        );
        instance.end_date = at(100 * i + 5);
        auto& run = writer.change_run(
            end,
            runs.back(),
            i == 1 ? "other" : "d",
            RunState::running,
            i == 2 ? RunState::failed : RunState::success
        );
        run.run_id = "r" + std::to_string(i);
        run.start_date = at(100 * i);
        run.end_date = at(100 * i + 10 + i);
        journal->commit(end);
    }
    const auto times = journal->run_times("d", RunKey{0}, 10, true);
    REQUIRE(times.size() == 2);
    CHECK(times[0].took == std::chrono::seconds{13});
    CHECK(times[1].took == std::chrono::seconds{10});
    CHECK(times[1].tasks == std::map<TaskNo, Duration>{{0, std::chrono::seconds{5}}});
    CHECK(journal->run_times("d", RunKey{0}, 1, true).size() == 1);
    const auto but = journal->run_times("d", runs[3], 10, false);
    REQUIRE(but.size() == 1);
    CHECK(but[0].tasks.empty());
}

TEST_CASE("the outbox has a row a callback, until it is delivered", "[outbox]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Writer writer{journal.load()};
    Turn turn = writer.turn(5);
    const RunKey run = writer.begin_run(turn, "d", "r");
    turn.callbacks.push_back(due(task(run, 0), CallbackOn::failure));
    turn.callbacks.push_back(due(task(run, no_task), CallbackOn::success));
    journal.commit(turn);

    ConnectionPool pool(url);
    Outbox outbox(pool);
    const auto rows = outbox.waiting(0);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].event == "on_failure");
    CHECK(rows[0].run == run);
    CHECK(rows[0].task == 0);
    CHECK(rows[0].created_at == at(5));
    CHECK(rows[0].payload.find("{{ ds }}") != std::string::npos);
    CHECK(rows[0].run_id == "r");
    CHECK(outbox.waiting(rows[0].id).size() == 1);
    outbox.failed(rows[0].id, {"http://x", "refused", at(100), false});
    CHECK(outbox.find(rows[0].id)->tries == 1);
    CHECK(outbox.find(rows[0].id)->error == "refused");
    outbox.failed(rows[0].id, {"http://x", "refused", at(200), true});
    CHECK(outbox.waiting(0).size() == 1);
    CHECK(outbox.retry(rows[0].id));
    CHECK(outbox.waiting(0).size() == 2);
    outbox.delivered(rows[0].id, "http://x");
    CHECK_FALSE(outbox.retry(rows[0].id));
    OutboxFilter filter;
    filter.state = "delivered";
    CHECK(outbox.list(filter).total == 1);
    filter = {};
    filter.dag_id = "other";
    CHECK(outbox.list(filter).total == 0);
}

TEST_CASE("a checkpoint is written by the running attempt alone", "[checkpoint]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Writer writer{journal.load()};
    Turn turn = writer.turn();
    const RunKey run = writer.begin_run(turn, "d", "r");
    const TaskKey key = task(run, 0);
    writer.start(turn, key).starts = 2;
    journal.commit(turn);

    ConnectionPool pool(url);
    Checkpoints checkpoints(pool);
    CHECK(checkpoints.load(key) == "null");
    checkpoints.save({key, 2}, R"({"at":1})");
    checkpoints.save({key, 2}, R"({"at":2})");
    CHECK(checkpoints.load(key) == R"({"at":2})");
    CHECK_THROWS_AS(checkpoints.save({key, 1}, "1"), Error);
    CHECK_THROWS_AS(checkpoints.save({task(run, 1), 1}, "1"), Error);
    CHECK_THROWS_WITH(
        checkpoints.save({key, 2}, '"' + std::string(70'000, 'x') + '"'),
        Catch::Contains("inline_value_bytes")
    );
    Turn end = writer.turn(3);
    writer.move(end, key, TaskState::running, TaskState::success).starts = 2;
    end.checkpoints_dropped.push_back(key);
    journal.commit(end);
    CHECK(checkpoints.load(key) == "null");
    CHECK_THROWS_AS(checkpoints.save({key, 2}, "1"), Error);
}

TEST_CASE("what values refer to is counted for their run", "[artefacts]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Writer writer{journal.load()};
    const ArtefactRef list{std::string(64, 'a'), 70'000, "list", 3};
    const ArtefactRef text{std::string(64, 'b'), 80'000, "string", 0};
    Turn turn = writer.turn();
    const RunKey run = writer.begin_run(turn, "d", "r");
    turn.runs.back().run.conf = reference_text({std::string(64, 'c'), 90'000, "object", 0});
    const TaskKey key = task(run, 0);
    writer.start(turn, key);
    turn.xcoms.push_back({key, {"return_value", reference_text(list)}, at(1)});
    turn.xcoms.push_back({key, {"small", "1"}, at(1)});
    turn.rendered.push_back({{key, 1}, R"({"a":)" + reference_text(text) + R"(,"b":1})"});
    journal.commit(turn);
    Retention retention(url);
    const auto found =
        retention.counted({list.hash, text.hash, std::string(64, 'c'), std::string(64, 'd')});
    CHECK(found == std::set{list.hash, text.hash, std::string(64, 'c')});
    CHECK(count(url, "artefact where items = 3") == 1);
    ConnectionPool pool(url);
    Queries queries(pool);
    CHECK(reference_of(queries.xcom(key, "return_value")->value) == list);
}

TEST_CASE(
    "retention drops a partition when all its runs are finished, old and not held", "[retention]"
) {
    constexpr std::int64_t partition = 65'536;
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    Snapshot snapshot = journal.load();
    Writer writer{snapshot};
    Turn turn = writer.turn(1);
    const RunKey old = writer.begin_run(turn, "d", "old");
    const TaskKey key = task(old, 0);
    writer.start(turn, key);
    turn.xcoms.push_back(
        {key, {"k", reference_text({std::string(64, 'a'), 70'000, "list", 3})}, at(1)}
    );
    turn.callbacks.push_back(due(key, CallbackOn::success));
    journal.commit(turn);
    snapshot.last_run = RunKey{partition + 10};
    snapshot.last_seq = Seq{writer.seq()};
    Writer later{snapshot};
    Turn young = later.turn(2);
    const RunKey fresh = later.begin_run(young, "d", "fresh");
    REQUIRE(fresh.value > partition);
    journal.commit(young);

    // What data tasks measured goes with their run; a metric is looked back on for as long.
    ConnectionPool pool(url);
    TaskMetrics metrics(pool);
    for (const auto& [at_run, name] : {std::pair{old, "old"}, std::pair{fresh, "fresh"}})
        metrics.put(
            {.dag_id = "d",
             .task_id = "t",
             .interval = {},
             .run = at_run,
             .run_id = name,
             .start = 1,
             .passed = true,
             .metrics = R"({"": {"rows_in": 1}})"}
        );
    REQUIRE(count(url, "task_metric") == 2);

    Retention retention(url);
    std::vector<std::string> gone;
    const auto forget = [&](const std::string&, const std::string& run) { gone.push_back(run); };
    const auto first = [&] { return retention.plan(std::chrono::hours{1}).front(); };
    CHECK(first().why == "1 of its runs are not finished");
    CHECK(retention.apply(std::chrono::hours{1}, forget) == 0);

    Turn end = later.turn(3);
    later.move(end, key, TaskState::running, TaskState::success);
    later.change_run(end, old, "d", RunState::running, RunState::success).end_date = at(3);
    journal.commit(end);
    CHECK(retention.plan(std::chrono::hours{24 * 36'500}).front().may_go == false);
    REQUIRE(first().may_go);
    CHECK(retention.plan(std::chrono::hours{1}).back().why == "new runs go there");
    CHECK(retention.apply(std::chrono::hours{1}, forget) == 1);
    CHECK(gone == std::vector<std::string>{"old"});
    CHECK(count(url, "dag_run") == 1);
    CHECK(count(url, "task_instance") == 0);
    CHECK(count(url, "artefact") == 0);
    CHECK(count(url, "outbox") == 0);
    CHECK(count(url, "task_metric where run_id = 'fresh'") == 1);
    CHECK(count(url, "task_metric") == 1);
    CHECK(count(url, "run_partition where number = 0") == 0);
    CHECK(count(url, "pg_class where relname ~ '_p0$'") == 0);
    CHECK(count(url, "pg_proc where proname = 'commit_turn_p0'") == 0);
    CHECK(retention.apply(std::chrono::hours{1}, forget) == 0);

    // The loop goes on, and a new start finds nothing odd.
    Turn more = later.turn(4);
    later.change_run(more, fresh, "d", RunState::running, RunState::success);
    journal.commit(more);
    CHECK(journal.load().open_runs.empty());
}

TEST_CASE("a retention that was stopped half-way is finished by the next", "[retention]") {
    const std::string url = fresh_database();
    PgJournal journal({url, "test", "here"});
    const Snapshot snapshot = journal.load();
    Writer writer{snapshot};
    Turn turn = writer.turn(1);
    writer.begin_run(turn, "d", "r");
    journal.commit(turn);
    {
        Connection connection(url, "test");
        connection.script("delete from dag_run; delete from run_partition where number = 0");
        connection.script("alter table xcom detach partition xcom_p0 concurrently");
    }
    Retention retention(url);
    CHECK(retention.apply(std::chrono::hours{1}, [](const auto&, const auto&) {}) == 0);
    CHECK(count(url, "pg_class where relname ~ '_p0$'") == 0);
}

}  // namespace sluice::store::test
