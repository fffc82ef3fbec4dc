// What both journals promise: the same tests on PostgreSQL and in memory.
#include <functional>
#include <memory>

#include <catch2/catch.hpp>

#include "store/connection_pool.hpp"
#include "store/memory_journal.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "store/queries.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

std::unique_ptr<Journal> make_journal(const std::string& kind) {
    if (kind == "memory") return std::make_unique<MemoryJournal>();
    return std::make_unique<PgJournal>(JournalSettings{fresh_database(), "test", "here"});
}

TaskKey task(RunKey run, TaskNo number, MapIndex map = unmapped) { return {run, number, map}; }

}  // namespace

TEST_CASE("what a turn decided is there after a load", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    const Snapshot empty = journal->load();
    CHECK(empty.last_seq.value == 0);
    CHECK(empty.open_runs.empty());
    Writer writer{empty};

    Turn turn = writer.turn(10);
    const RunKey run = writer.begin_run(turn, "shop", "manual__1");
    DagRun& row = turn.runs.back().run;
    row.conf = R"({"a": [1, "x"]})";
    row.note = "it's \"quoted\" \\ {,}";
    row.logical_date = at(-100);
    row.data_interval = Interval{at(-100), at(0)};
    row.backfill = BackfillId{4};
    row.backfill_ordinal = 2;
    row.triggering_user = "ada";
    TaskInstance& instance = writer.start(turn, task(run, 0));
    instance.max_tries = 3;
    instance.scheduled_at = at(9);
    instance.queued_at = at(10);
    turn.dags.push_back({.dag_id = "shop", .current = VersionId{7}, .is_paused = false});
    turn.dags.back().last_automated = Interval{at(1), at(2)};
    turn.dags.back().next_run_after = at(50);
    turn.pools.push_back({.name = "etl", .slots = 16, .description = "d"});
    turn.backfills.push_back({.id = BackfillId{4}, .dag_id = "shop", .created_by = "ada"});
    turn.audits.push_back({.at = at(10), .actor = "ada", .event = "trigger_dag_run"});
    journal->commit(turn);

    const Snapshot snapshot = journal->load();
    CHECK(snapshot.last_seq.value == writer.seq());
    CHECK(snapshot.last_run == run);
    CHECK(snapshot.last_backfill.value == 4);
    CHECK(snapshot.now >= at(10));
    REQUIRE(snapshot.open_runs.size() == 1);
    const DagRun& found = snapshot.open_runs.front();
    CHECK(found.run_id == "manual__1");
    CHECK(found.conf == row.conf);
    CHECK(found.note == row.note);
    CHECK(found.logical_date == at(-100));
    CHECK(found.data_interval == Interval{at(-100), at(0)});
    CHECK(found.backfill == BackfillId{4});
    CHECK(found.triggering_user == "ada");
    CHECK(found.start_date == at(10));
    CHECK_FALSE(found.end_date);
    REQUIRE(snapshot.instances.size() == 1);
    CHECK(snapshot.instances.front().state == TaskState::running);
    CHECK(snapshot.instances.front().max_tries == 3);
    CHECK(snapshot.instances.front().scheduled_at == at(9));
    REQUIRE(snapshot.dags.size() == 1);
    CHECK_FALSE(snapshot.dags.front().is_paused);
    CHECK(snapshot.dags.front().last_automated == Interval{at(1), at(2)});
    REQUIRE(snapshot.pools.size() == 1);
    CHECK(snapshot.pools.front().slots == 16);
    REQUIRE(snapshot.backfills.size() == 1);
    CHECK(snapshot.backfills.front().created_by == "ada");
}

TEST_CASE("a finished run leaves the snapshot and is found by key, id and date", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "scheduled__1");
    turn.runs.back().run.logical_date = at(0);
    writer.start(turn, task(run, 1));
    journal->commit(turn);
    Turn end = writer.turn(2);
    writer.move(end, task(run, 1), TaskState::running, TaskState::success);
    DagRun& done = writer.change_run(end, run, "shop", RunState::running, RunState::success);
    done.run_id = "scheduled__1";
    done.logical_date = at(0);
    done.end_date = at(2);
    journal->commit(end);

    CHECK(journal->load().open_runs.empty());
    CHECK(journal->load().last_run == run);
    CHECK(journal->find_run_key("shop", "scheduled__1") == run);
    CHECK_FALSE(journal->find_run_key("shop", "other"));
    using Names = std::set<Journal::RunName>;
    CHECK(
        journal->taken({{"shop", "scheduled__1"}, {"shop", "other"}, {"other", "scheduled__1"}}) ==
        Names{{"shop", "scheduled__1"}}
    );
    CHECK(journal->has_logical_date("shop", at(0)));
    CHECK_FALSE(journal->has_logical_date("other", at(0)));
    const auto found = journal->find_run(run);
    REQUIRE(found);
    CHECK(found->run.state == RunState::success);
    REQUIRE(found->instances.size() == 1);
    CHECK(found->instances.front().state == TaskState::success);
    CHECK_FALSE(journal->find_run(RunKey{999}));
    CHECK(journal->runs_between("shop", at(0), at(0)).size() == 1);
    CHECK(journal->runs_between("shop", at(1), at(9)).empty());
}

TEST_CASE("a guarded row that had changed refuses the whole turn", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "r");
    writer.start(turn, task(run, 0));
    writer.start(turn, task(run, 1));
    journal->commit(turn);

    const auto refused = [&](const std::function<void(Writer&, Turn&)>& fill) {
        Writer next{journal->load()};
        Turn bad = next.turn(2);
        // Would be legal by itself: nothing of the turn may be written.
        next.move(bad, task(run, 1), TaskState::running, TaskState::success);
        fill(next, bad);
        CHECK_THROWS_AS(journal->commit(bad), Refused);
        CHECK(journal->find_run(run)->instances.at(1).state == TaskState::running);
    };
    SECTION("an instance in another state") {
        refused([&](Writer& w, Turn& t) {
            w.move(t, task(run, 0), TaskState::scheduled, TaskState::running);
        });
    }
    SECTION("an instance that does not exist") {
        refused([&](Writer& w, Turn& t) {
            w.move(t, task(run, 5), TaskState::running, TaskState::success);
        });
    }
    SECTION("a fresh instance that exists") {
        refused([&](Writer& w, Turn& t) { w.start(t, task(run, 0)); });
    }
    SECTION("an illegal transition") {
        refused([&](Writer& w, Turn& t) {
            w.move(t, task(run, 0), TaskState::running, TaskState::queued);
        });
    }
    SECTION("a run in another state") {
        refused([&](Writer& w, Turn& t) {
            w.change_run(t, run, "shop", RunState::queued, RunState::running).run_id = "r";
        });
    }
    SECTION("a run id that is taken") {
        refused([&](Writer& w, Turn& t) { w.begin_run(t, "shop", "r"); });
    }
    SECTION("an XCom over 64 KiB") {
        refused([&](Writer&, Turn& t) {
            t.xcoms.push_back({task(run, 0), {"big", "\"" + std::string(65'537, 'x') + "\""}, at(2)}
            );
        });
    }
    SECTION("a seq that leaves a gap") {
        refused([&](Writer&, Turn& t) { t.transitions.back().seq.value += 5; });
    }
}

TEST_CASE("a role that may not leave triggers out writes with them", "[journal]") {
    const std::string url = fresh_database();
    Connection{url, "test"}.script(
        "do $$ begin create role plain login; exception when duplicate_object then null; end $$; "
        "grant create on schema public to plain"
    );
    const auto user = url.find("user=sluice");
    REQUIRE(user != std::string::npos);
    PgJournal journal{{std::string{url}.replace(user, 11, "user=plain"), "test", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "r");
    writer.start(turn, task(run, 0));
    journal.commit(turn);
    Turn done = writer.turn(2);
    writer.move(done, task(run, 0), TaskState::running, TaskState::success);
    journal.commit(done);
    CHECK(journal.find_run(run)->instances.front().state == TaskState::success);

    Turn bad = writer.turn(3);
    writer.move(bad, task(run, 0), TaskState::success, TaskState::running);
    CHECK_THROWS_WITH(journal.commit(bad), Catch::Contains("illegal transition"));
}

TEST_CASE("runs behind the border of open runs are found by a load", "[journal]") {
    const std::string url = fresh_database();
    const auto open_keys = [](PgJournal& journal) {
        std::vector<std::int64_t> keys;
        for (const DagRun& run : journal.load().open_runs) keys.push_back(run.key.value);
        return keys;
    };
    PgJournal journal{{url, "test", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    const RunKey ended = writer.begin_run(turn, "shop", "ended");
    const RunKey open = writer.begin_run(turn, "shop", "open");
    journal.commit(turn);
    Turn end = writer.turn(2);
    writer.change_run(end, ended, "shop", RunState::running, RunState::success).run_id = "ended";
    journal.commit(end);

    constexpr Query raise{
        "raise", "select raise_open_from(epoch, 1), run_key from lease, open_from"
    };
    constexpr Query border{"border", "select run_key from open_from"};
    Connection admin{url, "test"};
    admin.run(raise);
    REQUIRE(admin.run(border).int8(0, 0) == open.value + 1);
    CHECK(open_keys(journal) == std::vector{open.value});

    Writer next{journal.load()};
    Turn again = next.turn(3);
    next.change_run(again, ended, "shop", RunState::success, RunState::queued).run_id = "ended";
    next.change_run(again, open, "shop", RunState::running, RunState::failed).run_id = "open";
    const RunKey fresh = next.begin_run(again, "shop", "fresh");
    journal.commit(again);
    CHECK(open_keys(journal) == std::vector{ended.value, fresh.value});

    // Raised once more: the one that is open is kept, the one that ended is let go.
    admin.run(raise);
    CHECK(open_keys(journal) == std::vector{ended.value, fresh.value});
    constexpr Query kept{"kept", "select count(*) from older_open_run"};
    CHECK(admin.run(kept).int8(0, 0) == 2);
    CHECK_THROWS_WITH(admin.script("select raise_open_from(0, 1)"), Catch::Contains("is over"));
}

TEST_CASE("commit_turn names what it refuses", "[journal]") {
    PgJournal journal{{fresh_database(), "test", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "r");
    writer.start(turn, task(run, 0));
    journal.commit(turn);
    const auto refused = [&](const std::string& why,
                             const std::function<void(Writer&, Turn&)>& fill) {
        Writer next{journal.load()};
        Turn bad = next.turn(2);
        fill(next, bad);
        CHECK_THROWS_WITH(journal.commit(bad), Catch::Contains(why));
    };
    refused("illegal transition in task_instance: 3 -> 2", [&](Writer& w, Turn& t) {
        w.move(t, task(run, 0), TaskState::running, TaskState::queued);
    });
    refused("illegal transition in task_instance: 0 -> 2", [&](Writer& w, Turn& t) {
        w.start(t, task(run, 1)).state = TaskState::queued;
    });
    refused("illegal transition in dag_run: 1 -> 0", [&](Writer& w, Turn& t) {
        w.change_run(t, run, "shop", RunState::running, RunState::queued).run_id = "r";
    });
    refused("lost update: 0 of 1 rows of task_instance", [&](Writer& w, Turn& t) {
        w.move(t, task(run, 0), TaskState::deferred, TaskState::failed);
    });
}

TEST_CASE("text that PostgreSQL cannot store is refused, not the daemon's end", "[journal]") {
    PgJournal journal{{fresh_database(), "test", ""}};
    Writer writer{journal.load()};
    const auto text =
        GENERATE(std::string{"a\0b", 3}, std::string{"\xff\xfe"}, std::string{"\xed\xa0\x80"});
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "r");
    writer.start(turn, task(run, 0)).error = text;
    CHECK_THROWS_AS(journal.commit(turn), Refused);

    Writer again{journal.load()};
    Turn attempts = again.turn(1);
    const RunKey other = again.begin_run(attempts, "shop", "r");
    attempts.attempts.push_back({.key = task(other, 0), .start = 1, .error = text});
    CHECK_THROWS_AS(journal.commit(attempts), Refused);
}

TEST_CASE("clearing an instance keeps its attempt and drops its XComs", "[journal]") {
    const std::string url = fresh_database();
    PgJournal journal{{url, "test", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    const RunKey run = writer.begin_run(turn, "shop", "r");
    writer.start(turn, task(run, 0));
    turn.xcoms.push_back({task(run, 0), {"return_value", R"({"rows": 12})"}, at(1)});
    turn.xcoms.push_back({task(run, 1), {"return_value", "3"}, at(1)});
    turn.rendered.push_back({{task(run, 0), 1}, R"({"command": "echo \"hi\"\t\u00e9"})"});
    journal.commit(turn);
    Turn clear = writer.turn(2);
    writer.move(clear, task(run, 0), TaskState::running, TaskState::up_for_retry);
    clear.attempts.push_back(
        {.key = task(run, 0),
         .start = 1,
         .try_number = 1,
         .state = TaskState::failed,
         .start_date = at(1),
         .end_date = at(2),
         .error_class = ErrorClass::transient,
         .error = "line\n\"two\"\x01"}
    );
    clear.xcoms_cleared.push_back(task(run, 0));
    journal.commit(clear);

    ConnectionPool pool{url};
    Queries queries{pool};
    CHECK(queries.xcoms(task(run, 0)).empty());
    CHECK(queries.xcom(task(run, 1), "return_value")->value == "3");
    CHECK(queries.rendered(task(run, 0)) == R"({"command": "echo \"hi\"\t\u00e9"})");
    const auto attempts = queries.attempts(task(run, 0));
    REQUIRE(attempts.size() == 1);
    CHECK(attempts.front().attempt.error == "line\n\"two\"\x01");
    CHECK(attempts.front().attempt.error_class == ErrorClass::transient);
    CHECK(attempts.front().attempt.end_date == at(2));
    CHECK_FALSE(attempts.front().attempt.scheduled_at);
}

TEST_CASE("an unchanged definition keeps its version, one nobody ran is replaced", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    const auto first = journal->put_version(small_dag("shop", "aaa"));
    CHECK(first.number == 1);
    CHECK(journal->put_version(small_dag("shop", "aaa")).id == first.id);

    const auto second = journal->put_version(small_dag("shop", "bbb"));
    CHECK(second.number == 1);  // nobody ran the first
    CHECK(second.id != first.id);
    CHECK(journal->versions({first.id}).empty());

    Turn turn = writer.turn(1);
    writer.begin_run(turn, "shop", "r", second.id);
    journal->commit(turn);
    const auto third = journal->put_version(small_dag("shop", "ccc"));
    CHECK(third.number == 2);
    const auto stored = journal->versions({second.id, third.id});
    REQUIRE(stored.size() == 2);
    CHECK(stored.front().hash == "bbb");
    CHECK(stored.front().files.at("policies/pii.yaml") == "classes: {}\n");
    CHECK(stored.back().source == small_dag("shop", "ccc").source);
}

TEST_CASE("a form is stored once, beside its version, which a run on it keeps", "[journal]") {
    const auto kind = GENERATE(as<std::string>{}, "memory", "postgresql");
    CAPTURE(kind);
    const auto journal = make_journal(kind);
    Writer writer{journal->load()};
    const auto version = journal->put_version(small_dag("shop", "aaa"));
    Dag dag = small_dag("shop", "form");
    dag.version_number = version.number;
    const auto form = journal->put_form(dag);
    CHECK(form.number == version.number);
    CHECK(form.id != version.id);
    CHECK(journal->put_form(dag).id == form.id);
    CHECK(journal->put_version(small_dag("shop", "aaa")).id == version.id);
    REQUIRE(journal->versions({form.id}).size() == 1);
    CHECK(journal->versions({form.id}).front().hash == "form");

    Turn turn = writer.turn(1);
    writer.begin_run(turn, "shop", "r", form.id);
    journal->commit(turn);
    CHECK(journal->put_version(small_dag("shop", "bbb")).number == version.number + 1);
    CHECK(journal->versions({version.id}).size() == 1);
}

TEST_CASE("turns go on across partitions, and rows of two partitions share a turn", "[journal]") {
    const std::string url = fresh_database();
    PgJournal journal{{url, "test", ""}};
    Snapshot snapshot = journal.load();
    Writer writer{snapshot};
    Turn turn = writer.turn(1);
    const RunKey old = writer.begin_run(turn, "shop", "old");
    writer.start(turn, task(old, 0));
    journal.commit(turn);

    snapshot = journal.load();
    snapshot.last_run = RunKey{200'000};  // three partitions further
    Writer far{snapshot};
    Turn next = far.turn(2);
    const RunKey recent = far.begin_run(next, "shop", "new");
    far.start(next, task(recent, 0));
    journal.commit(next);
    Turn both = far.turn(3);
    far.move(both, task(old, 0), TaskState::running, TaskState::success);
    far.move(both, task(recent, 0), TaskState::running, TaskState::failed);
    both.xcoms_cleared = {task(old, 0), task(recent, 0)};
    journal.commit(both);

    CHECK(journal.find_run(old)->instances.at(0).state == TaskState::success);
    CHECK(journal.find_run(recent)->instances.at(0).state == TaskState::failed);
    CHECK(journal.turn() == 3);
}

TEST_CASE("ten thousand runs are one turn", "[journal]") {
    PgJournal journal{{fresh_database(), "test", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    for (int i = 0; i < 10'000; ++i) {
        const RunKey run = writer.begin_run(turn, "shop", "backfill__" + std::to_string(i));
        turn.runs.back().run.backfill = BackfillId{1};
        turn.backfill_dates.push_back(
            {.backfill = BackfillId{1},
             .ordinal = i + 1,
             .logical_date = at(i),
             .action = "create",
             .reason = "",
             .run = run}
        );
    }
    turn.backfills.push_back({.id = BackfillId{1}, .dag_id = "shop"});
    journal.commit(turn);
    CHECK(journal.load().open_runs.size() == 10'000);
}

}  // namespace sluice::store::test
