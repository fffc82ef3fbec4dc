// Two owners, lost connections, a server killed in the middle of a commit.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

using namespace std::chrono_literals;

constexpr Query backends_sql{"t1", R"(
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and application_name = 'sluice journal')"};

constexpr Query runs_sql{"t2", "select count(*) from dag_run"};

void cut_connections(const std::string& url) { Connection{url, "test"}.run(backends_sql); }

// A turn that starts one run with one task.
RunKey fill(Writer& writer, Turn& turn, const std::string& run_id) {
    const RunKey run = writer.begin_run(turn, "shop", run_id);
    writer.start(turn, {run, 0, unmapped});
    return run;
}

TEST_CASE("two daemons on one database: the second one waits for the lease", "[faults]") {
    const std::string url = fresh_database();
    PgJournal first{{url, "one", "http://one"}};
    first.load();
    PgJournal second{{url, "two", "http://two"}};
    try {
        second.load();
        FAIL("took a lease that is held");
    } catch (const Deposed& deposed) {
        CHECK_THAT(deposed.what(), Catch::Contains("one") && Catch::Contains("http://one"));
    }
    first.release_lease();
    CHECK_NOTHROW(second.load());
}

TEST_CASE("a deposed owner can commit nothing", "[faults]") {
    const std::string url = fresh_database();
    PgJournal first{{url, "one", ""}};
    Writer writer{first.load()};
    Turn turn = writer.turn(1);
    fill(writer, turn, "a");
    first.commit(turn);

    // An owner that is stopped for longer than its lease; a live one keeps it.
    Connection{url, "test"}.script("update lease set expires = now()");
    PgJournal second{{url, "two", ""}};
    second.load();
    Turn late = writer.turn(2);
    fill(writer, late, "b");
    CHECK_THROWS_AS(first.commit(late), Deposed);
    CHECK_THROWS_AS(first.renew_lease(), Deposed);
    CHECK_THROWS_AS(first.put_version(small_dag("shop", "x")), Deposed);
    CHECK_FALSE(second.find_run_key("shop", "b"));
    CHECK(second.load().open_runs.size() == 1);
}

TEST_CASE("the same holder takes its own lease again at once", "[faults]") {
    const std::string url = fresh_database();
    PgJournal dead{{url, "home-1", ""}};
    Writer writer{dead.load()};
    PgJournal reborn{{url, "home-1", ""}};
    CHECK_NOTHROW(reborn.load());
    Turn turn = writer.turn(1);
    fill(writer, turn, "zombie");
    CHECK_THROWS_AS(dead.commit(turn), Deposed);
}

TEST_CASE("a renewed lease lasts, a commit renews it too", "[faults]") {
    const std::string url = fresh_database();
    constexpr Query left_sql{
        "t2", "select (extract(epoch from expires - clock_timestamp()) * 1000)::int8 from lease"
    };
    PgJournal journal{{url, "one", "", 60s}};
    Writer writer{journal.load()};
    Connection look{url, "test"};
    look.script("update lease set expires = now()");
    journal.renew_lease();
    CHECK(look.run(left_sql).int8(0, 0) > 50'000);
    look.script("update lease set expires = now()");
    Turn turn = writer.turn(1);
    fill(writer, turn, "a");
    journal.commit(turn);
    CHECK(look.run(left_sql).int8(0, 0) > 50'000);
}

TEST_CASE("a connection lost before the commit: away, and the commit did not happen", "[faults]") {
    const std::string url = fresh_database();
    PgJournal journal{{url, "one", ""}};
    Writer writer{journal.load()};
    Turn turn = writer.turn(1);
    fill(writer, turn, "a");
    cut_connections(url);
    CHECK_THROWS_AS(journal.commit(turn), Away);
    CHECK_THROWS_AS(journal.commit(turn), Away);  // until it is loaded again
    const Snapshot snapshot = journal.load();
    CHECK(journal.commits_happened() == 0);
    CHECK(snapshot.last_seq.value == 0);
    CHECK(snapshot.open_runs.empty());
    journal.commit(turn);
}

TEST_CASE(
    "a connection lost after the commit: the lease's turn tells that it happened", "[faults]"
) {
    const std::string url = fresh_database();
    PgJournal journal{{url, "one", ""}};
    Writer writer{journal.load()};
    // A row whose commit is slow: the backend ends right after it, before the answer is read.
    Connection admin{url, "test"};
    admin.script(
        "create function slow() returns trigger language plpgsql as $$ begin perform "
        "pg_terminate_backend(pg_backend_pid()); return null; end $$"
    );
    SECTION("while the server was still at work: it did not happen") {
        admin.script(
            "create constraint trigger slow after insert on dag_run deferrable initially deferred "
            "for each row execute function slow(); alter table dag_run enable always trigger slow"
        );
        Turn turn = writer.turn(1);
        fill(writer, turn, "a");
        CHECK_THROWS_AS(journal.commit(turn), Away);
        admin.script("drop trigger slow on dag_run");
        CHECK(journal.load().open_runs.empty());
        CHECK(journal.commits_happened() == 0);
    }
    SECTION("another owner came between: our epoch's last turn tells") {
        Turn turn = writer.turn(1);
        fill(writer, turn, "a");
        cut_connections(url);
        CHECK_THROWS_AS(journal.commit(turn), Away);
        admin.script("update lease set expires = '-infinity'");
        PgJournal other{{url, "two", ""}};
        Writer theirs{other.load()};
        for (const char* id : {"b", "c"}) {
            Turn next = theirs.turn(2);
            fill(theirs, next, id);
            other.commit(next);
        }
        other.release_lease();
        CHECK(journal.load().open_runs.size() == 2);
        CHECK(journal.commits_happened() == 0);
    }
}

TEST_CASE("turns under way are committed in order, each in its own transaction", "[faults]") {
    const std::string url = fresh_database();
    PgJournal journal{{url, "one", ""}};
    Writer writer{journal.load()};
    const auto before = journal.turn();
    std::vector<Turn> turns;
    for (const char* id : {"a", "b", "c"}) {
        turns.push_back(writer.turn(static_cast<int>(turns.size()) + 1));
        fill(writer, turns.back(), id);
    }
    SECTION("all become durable") {
        for (const Turn& turn : turns) journal.send(turn);
        for (int settled = 1; settled <= 3; ++settled) {
            journal.settle();
            CHECK(journal.turn() >= before + settled);
        }
        CHECK(journal.turn() == before + 3);
        CHECK(journal.load().open_runs.size() == 3);
    }
    SECTION("what else is asked meanwhile waits for them") {
        journal.send(turns[0]);
        journal.send(turns[1]);
        journal.renew_lease();
        CHECK(journal.find_run_key("shop", "b").has_value());
        journal.settle();
        journal.settle();
        journal.commit(turns[2]);
        CHECK(journal.load().open_runs.size() == 3);
    }
    SECTION("none is committed after one that was refused") {
        turns[0].runs.front().run.run_id = "b";
        turns[1].runs.front().run.run_id = "b";
        for (const Turn& turn : turns) journal.send(turn);
        journal.settle();
        CHECK_THROWS_AS(journal.settle(), Refused);
        CHECK(journal.load().open_runs.size() == 1);
        Writer next{journal.load()};
        Turn turn = next.turn(5);
        fill(next, turn, "d");
        journal.commit(turn);
        CHECK(journal.load().open_runs.size() == 2);
    }
    SECTION("none is committed after the lease was lost") {
        journal.send(turns[0]);
        journal.settle();
        Connection{url, "test"}.script("update lease set epoch = epoch + 1");
        journal.send(turns[1]);
        journal.send(turns[2]);
        CHECK_THROWS_AS(journal.settle(), Deposed);
        CHECK(Connection{url, "test"}.run(runs_sql).int8(0, 0) == 1);
    }
    SECTION("the connection breaks: the turn tells how many happened") {
        // The session ends in the middle of the last one.
        Connection admin{url, "test"};
        admin.script(
            "create function slow() returns trigger language plpgsql as $$ begin perform "
            "pg_terminate_backend(pg_backend_pid()); return null; end $$; create constraint "
            "trigger slow after insert on dag_run deferrable initially deferred for each row when "
            "(new.run_id = 'c') execute function slow(); "
            "alter table dag_run enable always trigger slow"
        );
        for (const Turn& turn : turns) journal.send(turn);
        const bool settled = GENERATE(false, true);
        if (settled) journal.settle();
        const auto settle_all = [&] {
            for (int left = settled ? 2 : 3; left > 0; --left) journal.settle();
        };
        CHECK_THROWS_AS(settle_all(), Away);
        admin.script("drop trigger slow on dag_run");
        CHECK(journal.load().open_runs.size() == 2);
        // Of those that nobody had settled when it was noticed: the last one alone.
        CHECK(journal.commits_happened() == 0);
    }
    SECTION("nobody asked for them before the connection broke") {
        journal.send(turns[0]);
        journal.send(turns[1]);
        CHECK(journal.has_logical_date("shop", at(0)) == false);  // takes their answers
        cut_connections(url);
        CHECK_THROWS_AS(journal.renew_lease(), Away);
        CHECK(journal.load().open_runs.size() == 2);
        CHECK(journal.commits_happened() == 2);
    }
}

TEST_CASE(
    "PostgreSQL stopped and started again: away, then load tells the truth", "[faults][cluster]"
) {
    TemporaryFolder home;
    Cluster cluster{home.path()};
    cluster.start();
    PgJournal journal{{cluster.url("sluice"), "one", ""}};
    Writer writer{journal.load()};
    Turn first = writer.turn(1);
    const RunKey run = fill(writer, first, "a");
    journal.commit(first);

    cluster.stop();
    Turn second = writer.turn(2);
    writer.move(second, {run, 0, unmapped}, TaskState::running, TaskState::success);
    CHECK_THROWS_AS(journal.commit(second), Away);
    CHECK_THROWS_AS(journal.load(), Away);

    cluster.start();
    const Snapshot snapshot = journal.load();
    CHECK(journal.commits_happened() == 0);
    REQUIRE(snapshot.instances.size() == 1);
    CHECK(snapshot.instances.front().state == TaskState::running);
    journal.commit(second);
    CHECK(journal.load().instances.front().state == TaskState::success);
}

TEST_CASE(
    "the server killed in the middle of commits loses none that was acknowledged",
    "[faults][cluster]"
) {
    TemporaryFolder home;
    Cluster cluster{home.path()};
    cluster.start();
    PgJournal journal{{cluster.url("sluice"), "one", ""}};
    Writer writer{journal.load()};
    std::thread killer;
    int acknowledged = 0;
    try {
        for (int i = 0; i < 100'000; ++i) {
            Turn turn = writer.turn(i);
            fill(writer, turn, "r" + std::to_string(i));
            journal.commit(turn);
            ++acknowledged;
            if (acknowledged == 300) {
                killer = std::thread{[pid = cluster.pid()] { ::kill(pid, SIGKILL); }};
            }
        }
        FAIL("the server survived");
    } catch (const Away&) {
        SUCCEED();
    }
    killer.join();
    cluster.stop();
    cluster.start();
    const Snapshot snapshot = journal.load();
    const auto in_doubt = journal.commits_happened();
    CHECK(snapshot.open_runs.size() == static_cast<std::size_t>(acknowledged + in_doubt));
    CHECK(snapshot.instances.size() == snapshot.open_runs.size());
    CHECK(snapshot.last_seq.value == 2 * static_cast<std::int64_t>(snapshot.open_runs.size()));
}

// Run by name in a process of its own: commits turn after turn until the armed fault point kills
// it.
TEST_CASE("commits until killed", "[.victim]") {
    PgJournal journal{{std::getenv("SLUICE_TEST_URL"), "one", ""}};
    Writer writer{journal.load()};
    for (int i = 0; i < 50; ++i) {
        Turn turn = writer.turn(i);
        fill(writer, turn, "r" + std::to_string(i));
        journal.commit(turn);
    }
}

// Returns the signal that ended it, 0 = it ended by itself: the point was never reached.
int signal_that_ended(const std::string& url, const char* fault) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("SLUICE_FAULT", fault, 1);
        ::setenv("SLUICE_TEST_URL", url.c_str(), 1);
        ::execl("/proc/self/exe", "victim", "commits until killed", nullptr);
        ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("kill -9 at the fault points before and after a commit", "[faults]") {
    const std::string url = fresh_database();
    SECTION("before_commit: the third turn is not there") {
        REQUIRE(signal_that_ended(url, "before_commit:3") == SIGKILL);
        PgJournal journal{{url, "one", ""}};
        CHECK(journal.load().open_runs.size() == 2);
    }
    SECTION("after_commit_before_ack: the third turn is there") {
        REQUIRE(signal_that_ended(url, "after_commit_before_ack:3") == SIGKILL);
        PgJournal journal{{url, "one", ""}};
        CHECK(journal.load().open_runs.size() == 3);
    }
}

}  // namespace
}  // namespace sluice::store::test
