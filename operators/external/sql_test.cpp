#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/external/external.hpp"
#include "operators/external/pg_session.hpp"
#include "operators/external/sql_text.hpp"
#include "task/child.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::task;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

/// A PostgreSQL of this test alone, on a socket in a folder; PostgreSQL refuses to run as root.
class Server {
public:
    static Server& instance() {
        static Server server;
        return server;
    }
    ~Server() {
        script("pg_ctl -D \"$D/data\" -m immediate stop");
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    std::string folder;

private:
    Server() {
        std::string pattern = "/tmp/sluice-pg-XXXXXX";
        folder = ::mkdtemp(pattern.data());
        REQUIRE(
            script(
                "initdb -D \"$D/data\" -U ada --auth=trust -N && "
                "printf 'host all all 127.0.0.1/32 scram-sha-256\\n' > \"$D/data/pg_hba.conf\" && "
                "printf 'local all locked reject\\nlocal all all trust\\n' >> "
                "\"$D/data/pg_hba.conf\" && "
                "pg_ctl -D \"$D/data\" -w -o \"-c listen_addresses= -k $D\" -l \"$D/log\" start"
            ) == 0
        );
    }

    int script(const std::string& command) {
        const std::string path = folder + "/script";
        std::ofstream(path) << "export D='" + folder + "' PATH=/usr/lib/postgresql/15/bin:$PATH\n" +
                                   command + '\n';
        // As root the server belongs to the account of the distribution's package.
        const std::string run = "if [ $(id -u) = 0 ]; then chown -R postgres " + folder +
                                " && su postgres -s /bin/bash " + path + "; else bash " + path +
                                "; fi > " + folder + "/output 2>&1";
        FakeLedger ledger;
        FakeContext fake(ledger);
        ChildOrder order;
        order.argv = {"bash", "-c", "umask 022; " + run + "; exit $?"};
        order.environment = fake.context().spawner().environment();
        // pg_ctl's server leaves the group by setsid, so it outlives this command.
        return run_child(fake.context(), order, [](Stream, std::string_view) {}).exit.exit_code;
    }
};

struct Ran {
    Outcome outcome;
    Json xcom;
    std::vector<std::string> lines;
};

Ran sql(Json params, const std::function<void(Connection&)>& change = {}) {
    FakeLedger ledger;
    FakeContext fake(ledger);
    Connection connection;
    connection.id = "db";
    connection.type = "postgres";
    connection.host = Server::instance().folder;
    connection.login = "ada";
    connection.schema = "postgres";
    if (change) change(connection);
    fake.connect(connection);
    fake.files({{"sql/x.sql", "select 'from a file' as x"}});
    params["conn_id"] = "db";
    Ran ran;
    ran.outcome = fake.run(ops::sql_operator(), params);
    ran.xcom = fake.xcom();
    for (const auto& [level, line] : fake.logs()) ran.lines.push_back(line);
    return ran;
}

}  // namespace

TEST_CASE("sql text is cut into statements, values are numbered anew", "[sql][text]") {
    const std::vector<ops::SqlValue> values{{"a"}, {"b"}, {"c"}};
    const auto parts = ops::split_sql(
        "select $3, $1, $3 -- ; $2\n; ;/* x; */ insert into t values (';', $$;$2$$, $2); -- end",
        values
    );
    REQUIRE(parts.size() == 2);
    REQUIRE(parts[0].text == "select $1, $2, $1 -- ; $2\n");
    REQUIRE(parts[0].values.at(0).text == "c");
    REQUIRE(parts[0].values.at(1).text == "a");
    REQUIRE(parts[1].text == "/* x; */ insert into t values (';', $$;$2$$, $1)");
    REQUIRE(parts[1].values.at(0).text == "b");
    REQUIRE_THROWS_AS(ops::split_sql("select $4", values), Error);
    REQUIRE(ops::sql_value(Json::array({"a\"b", 1, nullptr})).text == R"({"a\"b","1",NULL})");
}

TEST_CASE("sql: the first row is the value, types are kept", "[sql]") {
    const Ran ran = sql(
        {{"sql",
          {"select 1 as i, 'x' as t, true as b, null as n, 1.5 as d,",
           "'{\"a\":[1]}'::jsonb as j, date '2026-01-05' as day from generate_series(1, 3)"}}}
    );
    INFO(ran.outcome.message);
    REQUIRE(
        ran.xcom ==
        Json::parse(R"({"i":1,"t":"x","b":true,"n":null,"d":1.5,"j":{"a":[1]},"day":"2026-01-05"})")
    );
    REQUIRE_THAT(ran.lines.at(0), Catch::Contains("3 rows"));
    REQUIRE(sql({{"sql_file", "sql/x.sql"}}).xcom.at("x") == "from a file");
}

TEST_CASE("sql: values are bound, never pasted", "[sql]") {
    const Ran ran = sql(
        {{"sql",
          {{"text",
            "create temp table t (x text, at timestamptz); insert into t values ($1, $2); select "
            "x, at > now() - interval '1000 years' as ok, array_length($3::text[], 1) as n from t"},
           {"values",
            {"it's; drop table t", {{"timestamptz", "2026-01-05T00:00:00+00:00"}}, {"a", "b,c"}}}}}}
    );
    INFO(ran.outcome.message);
    REQUIRE(ran.xcom == Json::parse(R"({"x":"it's; drop table t","ok":true,"n":2})"));
}

TEST_CASE("sql: statements are one transaction unless autocommit", "[sql]") {
    REQUIRE(
        sql({{"sql", "drop table if exists one; create table one (i int)"}}).outcome.kind ==
        OutcomeKind::success
    );
    REQUIRE(
        sql({{"sql", "insert into one values (1); select 1 / 0"}}).outcome.error_class ==
        ErrorClass::data_quality
    );
    REQUIRE(sql({{"sql", "select count(*) as n from one"}}).xcom.at("n") == 0);
    REQUIRE(
        sql({{"sql", "insert into one values (1); select 1 / 0"}, {"autocommit", true}}
        ).outcome.kind == OutcomeKind::failed
    );
    REQUIRE(sql({{"sql", "select count(*) as n from one"}}).xcom.at("n") == 1);
    REQUIRE(
        sql({{"sql", "vacuum one; vacuum (analyze) one"}, {"autocommit", true}}).outcome.kind ==
        OutcomeKind::success
    );
    // What is not expected is not committed.
    REQUIRE(
        sql({{"sql", "insert into one values (2), (3)"}, {"expect", {{"rows", 1}}}}
        ).outcome.error_class == ErrorClass::data_quality
    );
    REQUIRE(
        sql({{"sql", "select count(*) as n from one"}, {"expect", {{"value", 1}, {"rows", 1}}}}
        ).outcome.kind == OutcomeKind::success
    );
    REQUIRE_THAT(
        sql({{"sql", "select 5"}, {"expect", {{"value", 4}}}}).outcome.message,
        Catch::Contains("5, expected 4")
    );
}

TEST_CASE("sql: the class of an error tells what a retry may do", "[sql]") {
    const Ran syntax = sql({{"sql", "select 1; selekt 2"}});
    REQUIRE(syntax.outcome.error_class == ErrorClass::permanent);
    REQUIRE_THAT(syntax.outcome.message, Catch::StartsWith("statement 2: syntax error"));
    REQUIRE(sql({{"sql", "select 1"}}, [](Connection& c) {
                c.login = "locked";
            }).outcome.error_class == ErrorClass::auth);
    REQUIRE(sql({{"sql", "select 1"}}, [](Connection& c) {
                c.schema = "nowhere";
            }).outcome.error_class == ErrorClass::permanent);
    REQUIRE(sql({{"sql", "select 1"}}, [](Connection& c) {
                c.host = "/no/socket";
            }).outcome.error_class == ErrorClass::transient);
    REQUIRE(sql({{"sql", "select 1"}}, [](Connection& c) {
                c.type = "mysql";
            }).outcome.error_class == ErrorClass::permanent);
    REQUIRE(ops::class_of_state("40P01") == ErrorClass::transient);
    REQUIRE(ops::class_of_state("53200") == ErrorClass::resource);
}

TEST_CASE("sql: a cancel ends the running statement within a second", "[sql][cancel]") {
    FakeLedger ledger;
    FakeContext fake(ledger);
    Connection connection;
    connection.id = "db";
    connection.type = "postgres";
    connection.host = Server::instance().folder;
    connection.login = "ada";
    connection.schema = "postgres";
    fake.connect(connection);
    TaskContext& ctx = fake.context();
    std::chrono::steady_clock::time_point begin;
    std::thread canceller([&] {
        // Until the statement is there to be cancelled.
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        const std::string look =
            "select count(*) as n from pg_stat_activity where query like 'select pg_sleep(61%'";
        while (sql({{"sql", look}}).xcom.at("n") == 0 && std::chrono::steady_clock::now() < deadline
        ) {
        }
        begin = std::chrono::steady_clock::now();
        ctx.cancel();
    });
    const Outcome outcome =
        fake.run(ops::sql_operator(), {{"conn_id", "db"}, {"sql", "select pg_sleep(61)"}});
    canceller.join();
    REQUIRE(std::chrono::steady_clock::now() - begin < 1s);
    REQUIRE(outcome.message == "cancelled");
    const Json left = sql({{"sql",
                            "select count(*) as n from pg_stat_activity where query like 'select "
                            "pg_sleep(61%' and state = 'active'"}})
                          .xcom;
    REQUIRE(left.at("n") == 0);
}
