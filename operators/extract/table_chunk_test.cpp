#include <atomic>
#include <thread>

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "operators/extract/table_fixture.hpp"

using namespace sluice;
using namespace sluice::extract;
using Json = nlohmann::json;

TEST_CASE("a table in chunks is the table", "[extract][postgres][chunks]") {
    Shop shop;
    shop.sql->execute(
        "create table t (id int, label text, made timestamptz(3), price numeric(12,2)); "
        "insert into t select g, 'l' || g % 7, timestamptz '2026-01-05 00:00+00' + g * interval "
        "'1 minute', g / 100.0 from generate_series(1, 1000) g; "
        "insert into t values (null, null, null, null), (5, 'l5', null, 1)"
    );
    REQUIRE(shop.run(from({{"table", "t"}})).kind == OutcomeKind::success);
    const std::string sums =
        "select concat_ws(' ', count(*), count(distinct (id, made)), sum(id), count(label), "
        "min(made), max(made), sum(price), typeof(any_value(price)), typeof(any_value(made))) from "
        "x";
    const std::string whole = shop.text(sums);
    const auto same = [&](const Json& chunk) {
        Json params = from({{"table", "t"}, {"chunk", chunk}});
        const Outcome outcome = shop.run(params);
        INFO(chunk << ": " << outcome.message);
        CHECK(outcome.kind == OutcomeKind::success);
        CHECK(shop.xcom["rows_in"] == 1002);
        CHECK(shop.text(sums) == whole);
    };
    same({{"column", "id"}, {"rows", 100}, {"parallel", 4}});
    same({{"column", "id"}, {"rows", 25}, {"parallel", 1}});
    same({{"column", "id"}});
    same({{"column", "label"}, {"rows", 100}});
    same({{"column", "made"}, {"rows", 300}, {"parallel", 3}});
    same({{"column", "price"}, {"rows", 999}});
    // The data set's key, else the table's primary key, names the column.
    const Outcome nothing = shop.run(from({{"table", "t"}, {"chunk", Json::object()}}));
    CHECK(nothing.error_class == ErrorClass::schema);
    CHECK_THAT(nothing.message, Catch::Contains("\"chunk\" needs a column"));
    shop.key = {"id"};
    same(Json::object());
    shop.key = {};
    shop.sql->execute(
        "delete from t where id is null or made is null; alter table t add primary key (id)"
    );
    CHECK(shop.run(from({{"table", "t"}, {"chunk", {{"rows", 99}}}})).message.empty());
    CHECK(shop.xcom["rows_out"] == 1000);

    SECTION("with an interval and a condition") {
        Json params = from({{"table", "t"}, {"where", "id % 2 = 0"}, {"chunk", {{"rows", 50}}}});
        params["incremental"] = "made";
        CHECK(shop.run(params).message.empty());
        CHECK(shop.xcom["rows_out"] == 500);
    }
    SECTION("a column that orders nothing") {
        shop.sql->execute("alter table t add j json");
        const Outcome outcome = shop.run(from({{"table", "t"}, {"chunk", {{"column", "j"}}}}));
        CHECK(outcome.error_class == ErrorClass::schema);
        CHECK_THAT(outcome.message, Catch::Contains("cannot cut by \"j\", which is of type json"));
    }
    SECTION("all chunks see one snapshot, though others write") {
        shop.sql->execute("create table other (n int)");
        std::atomic<bool> done{false};
        std::thread writer([&] {
            connect::Postgres busy(shop.shop, "test");
            while (!done) busy.execute("insert into other values (1)");
        });
        const Outcome outcome = shop.run(from(
            {{"query",
              "select id, pg_current_snapshot()::text as seen, count(*) over () as n, "
              "(select count(*) from other) as others from t"},
             {"chunk", {{"column", "id"}, {"rows", 20}, {"parallel", 4}}}}
        ));
        done = true;
        writer.join();
        INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(
            shop.text("select count(distinct seen) || ' ' || count(distinct others) from x") ==
            "1 1"
        );
    }
}

TEST_CASE("a retry reads only the chunks that are missing", "[extract][postgres][chunks]") {
    Shop shop;
    shop.sql->execute(
        "create table t as select g as id, 'first' as v from generate_series(1, 100) g; "
        "create table broken as select 65 as id"
    );
    Json params = from(
        {{"query",
          "select id, v, 1 / (case when exists (select from broken b where b.id = t.id) "
          "then 0 else 1 end) as one from t"},
         {"chunk", {{"column", "id"}, {"rows", 20}, {"parallel", 1}}}}
    );
    const Outcome outcome = shop.run(params);
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(
        outcome.message,
        Catch::Contains("connection \"shop\"") &&
            Catch::Contains("chunk 4 of 5, after row 4: division")
    );
    shop.sql->execute("delete from broken; update t set v = 'second'");
    SECTION("of the same source") {
        // Twice broken: what the attempt before the last one read counts too.
        shop.sql->execute("insert into broken values (90)");
        CHECK_THAT(shop.run(params).message, Catch::Contains("chunk 5 of 5"));
        shop.sql->execute("delete from broken; update t set v = 'third'");
        CHECK(shop.run(params).message.empty());
        CHECK(
            shop.text(
                "select string_agg(v || n, ' ' order by v) from (select v, count(*) as n from "
                "x group by v)"
            ) == "first60 second20 third20"
        );
        CHECK(shop.xcom["rows_in"] == 100);
        CHECK_THAT(shop.logs.front().second, Catch::Contains("goes on with 4 of 5 chunks"));
    }
    SECTION("a column of another type begins anew") {
        shop.sql->execute("alter table t alter id type bigint");
        CHECK(shop.run(params).message.empty());
        CHECK(shop.text("select count(*) from x where v = 'second'") == "100");
    }
    SECTION("what was read too long ago is read anew") {
        shop.checkpoint["at"] = shop.checkpoint["at"].get<std::int64_t>() - 7 * 3600;
        CHECK(shop.run(params).message.empty());
        CHECK(shop.text("select count(*) from x where v = 'second'") == "100");
    }
    // Nothing is left of it.
    CHECK_FALSE(std::filesystem::exists(shop.lake() + "/_spool"));
}

TEST_CASE(
    "a server that ends in the middle fails the attempt as transient", "[extract][postgres]"
) {
    Shop shop;
    shop.sql->execute("create table t as select g as id from generate_series(1, 100) g");
    // The session ends itself behind some rows.
    const char* query =
        "select id, case when id = 60 and current_query() like 'copy%' then "
        "pg_terminate_backend(pg_backend_pid()) end as gone from t";
    const Outcome once = shop.run(from({{"query", query}}));
    CHECK(once.error_class == ErrorClass::transient);
    CHECK_THAT(once.message, Catch::Contains("connection \"shop\""));
    const Outcome chunked = shop.run(
        from({{"query", query}, {"chunk", {{"column", "id"}, {"rows", 20}, {"parallel", 2}}}})
    );
    CHECK(chunked.error_class == ErrorClass::transient);
    CHECK_THAT(chunked.message, Catch::Contains("chunk 3 of 5"));
}

namespace {

/// Answers as a PostgreSQL without TLS does when it is asked for it.
class NoTls {
public:
    NoTls() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* any = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(socket_, any, size) == 0);
        REQUIRE(::listen(socket_, 1) == 0);
        REQUIRE(::getsockname(socket_, any, &size) == 0);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            const int client = ::accept(socket_, nullptr, nullptr);
            char request[8];
            if (::recv(client, request, sizeof request, MSG_WAITALL) == sizeof request)
                ::send(client, "N", 1, MSG_NOSIGNAL);
            ::close(client);
        });
    }
    NoTls(const NoTls&) = delete;
    NoTls& operator=(const NoTls&) = delete;
    ~NoTls() {
        ::shutdown(socket_, SHUT_RDWR);
        thread_.join();
        ::close(socket_);
    }
    int port{0};

private:
    int socket_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("TLS is verify-full unless the connection says otherwise", "[extract][postgres]") {
    const std::string folder = temporary_folder("tls");
    NoTls server;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", folder);
    task::Connection shop;
    shop.id = "shop";
    shop.type = "postgres";
    shop.host = "127.0.0.1";
    shop.port = server.port;
    fake.connect(shop);
    DatasetSpec spec;
    spec.name = "raw.x";
    fake.datasets({spec});
    const Outcome refused = fake.run(ops::extract_operator(), from({{"table", "t"}}));
    CHECK(refused.error_class == ErrorClass::auth);
    CHECK_THAT(
        refused.message,
        Catch::Contains("connection \"shop\"") && Catch::Contains("does not support SSL") &&
            Catch::Contains("\"sslmode\"")
    );
    std::filesystem::remove_all(folder);
}
