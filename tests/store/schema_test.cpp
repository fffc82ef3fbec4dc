// The database's schema: versions, the legal transitions, what it refuses by itself.
#include <set>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "store/migrate.hpp"
#include "store/pq.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace {

constexpr Query task_moves_sql{"t1", "select from_state, to_state from task_move"};
constexpr Query run_moves_sql{"t2", "select from_state, to_state from run_move"};
constexpr Query newer_sql{"t3", "select max(number)::int8 from schema_version"};

// The functions that commit, without the partitions' numbers: one body, of how many.
constexpr Query commit_bodies_sql{"t4", R"(
    select count(*), replace(regexp_replace(pg_get_functiondef(oid), '_p[0-9]+', '', 'g'),
        '/*p*/', '') as body
    from pg_proc where proname ~ '^commit_turn(_p[0-9]+)?$' group by 2)"};

std::set<std::pair<int, int>> moves(Connection& connection, const Query& query) {
    const Result rows = connection.run(query);
    std::set<std::pair<int, int>> found;
    for (int i = 0; i < rows.rows(); ++i) found.emplace(rows.int2(i, 0), rows.int2(i, 1));
    return found;
}

template <class Moves>
std::set<std::pair<int, int>> numbers(const Moves& moves) {
    std::set<std::pair<int, int>> found;
    for (const auto& [from, to] : moves) {
        found.emplace(static_cast<int>(from), static_cast<int>(to));
    }
    return found;
}

std::string state_of_refusal(Connection& connection, const std::string& sql) {
    try {
        connection.script(sql);
        return "accepted";
    } catch (const SqlError& error) {
        return error.state();
    }
}

TEST_CASE("the database has the legal transitions of the model", "[schema]") {
    Connection connection{fresh_database(), "test"};
    migrate(connection);
    CHECK(moves(connection, task_moves_sql) == numbers(legal_task_transitions()));
    CHECK(moves(connection, run_moves_sql) == numbers(legal_run_transitions()));
}

TEST_CASE("the database refuses every illegal transition, whoever writes it", "[schema]") {
    Connection connection{fresh_database(), "test"};
    migrate(connection);
    make_partitions(connection, 0);
    int refused = 0;
    for (int from = 0; from < task_state_count; ++from) {
        for (int to = 0; to < task_state_count; ++to) {
            connection.script(
                "begin; set local session_replication_role = replica; insert into task_instance "
                "values (1, null, null, null, null, null, 0, -1, 1, 0, 1, 1, 0, " +
                std::to_string(from) + ", 0, '', ''); set local session_replication_role = origin"
            );
            const std::string state = state_of_refusal(
                connection, "update task_instance set state = " + std::to_string(to)
            );
            const bool is_legal =
                from == to || legal(static_cast<TaskState>(from), static_cast<TaskState>(to));
            CAPTURE(from, to);
            CHECK(state == (is_legal ? "accepted" : "23514"));
            refused += is_legal ? 0 : 1;
            connection.script("rollback");
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("migrating twice, and by two at once, does the work once", "[schema]") {
    const std::string url = fresh_database();
    Connection first{url, "test"};
    Connection second{url, "test"};
    migrate(first);
    migrate(second);
    migrate(first);
    CHECK(first.run(newer_sql).int8(0, 0) == newest_migration());
}

TEST_CASE("what an earlier program left is migrated, its partitions too", "[schema]") {
    // One session does all that is missing: what it has planned in one migration must not outlive
    // what the next one replaces.
    for (int left = newest_migration() - 4; left <= newest_migration(); ++left) {
        CAPTURE(left);
        const std::string url = fresh_database();
        Connection earlier{url, "test"};
        migrate(earlier, left);
        make_partitions(earlier, 0);
        make_partitions(earlier, 65'536);
        Connection now{url, "test"};
        REQUIRE_NOTHROW(migrate(now));
        CHECK(now.run(newer_sql).int8(0, 0) == newest_migration());
        const Result bodies = now.run(commit_bodies_sql);
        REQUIRE(bodies.rows() == 1);
        CHECK(bodies.int8(0, 0) >= 3);
    }
}

TEST_CASE("a database newer than this program is refused and named", "[schema]") {
    Connection connection{fresh_database(), "test"};
    migrate(connection);
    connection.script("insert into schema_version (number, name) values (9999, 'future')");
    try {
        migrate(connection);
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::invalid);
        CHECK_THAT(error.what(), Catch::Contains("9999") && Catch::Contains("newer sluice"));
    }
}

TEST_CASE("a new partition locks out neither readers nor writers", "[schema]") {
    const std::string url = fresh_database();
    Connection maker{url, "test"};
    migrate(maker);
    make_partitions(maker, 0);
    // A reader and a writer hold their locks while the next partition is made.
    Connection reader{url, "test"};
    Connection writer{url, "test"};
    reader.script("begin; select * from task_instance");
    writer.script(
        "begin; insert into transition values (1, 1, now(), 0, -1, -1, 1, 0, 3, 'dispatch', '')"
    );
    maker.script("set lock_timeout = '2s'");
    CHECK_NOTHROW(make_partitions(maker, 65'536));
    writer.script("commit");
    reader.script("commit");
}

}  // namespace
}  // namespace sluice::store::test
