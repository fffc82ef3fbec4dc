// The HTTP source through the operator, against a server that misbehaves.
#include <atomic>
#include <filesystem>

#include <catch2/catch.hpp>

#include "operators/extract/http_fixture.hpp"

using namespace sluice;
using namespace sluice::extract_test;
using Catch::Contains;
using connect::Loopback;

namespace {

struct World : HttpHome {
    World() : HttpHome("api") {}

    void prepare(task::FakeContext& fake) const {
        ColumnSpec column;
        column.name = "id";
        column.type = "bigint";
        HttpHome::prepare(fake, {column});
        fake.job.checkpoint = checkpoint.dump();
        fake.job.info.attempt_id = "1-" + std::to_string(++attempts);
    }
    Outcome run(const Json& from = Json::object(), const Json& more = Json::object()) {
        task::FakeContext fake(ledger);
        prepare(fake);
        Json params{
            {"from", {{"conn_id", "api"}, {"endpoint", "/v1/x"}, {"pagination", {{"type", "page"}}}}
            },
            {"to", "raw.x"},
            {"on_schema_change", "evolve"}
        };
        params["from"].update(from);
        params.update(more);
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        xcom = fake.xcom();
        if (outcome.kind != OutcomeKind::success) checkpoint = fake.last_checkpoint();
        return outcome;
    }
    std::string text(const std::string& sql) {
        task::FakeContext fake(ledger);
        prepare(fake);
        const auto db = engine::open_database(fake.context());
        const auto source = lake::read(fake.context(), *db, lake::query_of("raw.x"));
        db->execute("create view x as select * from " + source.relation);
        return db->text(sql);
    }
    [[nodiscard]] bool spool_is_gone() const { return !std::filesystem::exists(path + "/_spool"); }

    Json checkpoint;
    Json xcom;
    mutable int attempts{0};
};

int page_of(const std::string& request) {
    const auto at = request.find("page=");
    return at == std::string::npos ? 0 : std::stoi(request.substr(at + 5));
}
/// Three pages of two records, then an empty one.
std::string pages(const std::string& request) {
    const int page = page_of(request);
    if (page > 3) return Loopback::reply(200, "[]");
    const std::string first = std::to_string(2 * page - 1);
    return Loopback::reply(
        200, "[{\"id\":" + first + "},\n {\"id\":" + std::to_string(2 * page) + "}]"
    );
}

void failed(const Outcome& outcome, ErrorClass error_class, const std::string& words) {
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(name(outcome.error_class) == name(error_class));
    CHECK_THAT(
        outcome.message, Contains("connection \"api\", GET /v1/x, page ") && Contains(words)
    );
}

}  // namespace

TEST_CASE("an HTTP source reads page after page into raw", "[extract][http]") {
    Loopback server(pages);
    World world;
    world.port = server.port();
    const Outcome outcome = world.run({{"query_params", {{"q", "a b"}}}});
    CHECK(outcome.message.empty());
    REQUIRE(outcome.kind == OutcomeKind::success);
    CHECK(world.xcom["rows_out"] == 6);
    CHECK(world.xcom["files"] == 4);
    CHECK(world.text("select string_agg(id, ' ' order by id) from x") == "1 2 3 4 5 6");
    CHECK(world.text("select any_value(_sluice_source) from x") == "api:/v1/x");
    CHECK(server.targets().front() == "GET /v1/x?page=1&q=a%20b");
    CHECK(world.spool_is_gone());
}

TEST_CASE(
    "records of an HTTP source keep their digits and their nested values", "[extract][http]"
) {
    Loopback server([](const std::string&) {
        return Loopback::reply(
            200,
            "\xEF\xBB\xBF{\"data\": {\"rows\": [{\"id\": 12345678901234567890123, "
            "\"n\": {\"a\": [1, 2]}, \"s\": \"line\\nbreak\"}]}}"
        );
    });
    World world;
    world.port = server.port();
    const Json from{{"records", "$.data.rows[*]"}, {"pagination", {{"type", "link"}}}};
    REQUIRE(world.run(from).kind == OutcomeKind::success);
    CHECK(world.text("select id from x") == "12345678901234567890123");
    CHECK(world.text("select n from x") == "{\"a\":[1,2]}");
    CHECK(world.text("select s from x") == "line\nbreak");
}

TEST_CASE(
    "an HTTP source without a record is an empty slice, not a changed schema", "[extract][http]"
) {
    Loopback server([](const std::string&) { return Loopback::reply(200, "[]"); });
    World world;
    world.port = server.port();
    const Outcome outcome = world.run();
    CHECK(outcome.message.empty());
    CHECK(outcome.kind == OutcomeKind::success);
    CHECK(world.text("select count(*) from x") == "0");
}

TEST_CASE("429 and 500 are waited out within the attempt", "[extract][http]") {
    std::atomic<int> asked{0};
    Loopback server([&](const std::string& request) {
        const int number = ++asked;
        if (number == 1) return Loopback::reply(429, "slow down", "Retry-After: 0\r\n");
        if (number == 3) return Loopback::reply(500, "oops");
        return pages(request);
    });
    World world;
    world.port = server.port();
    REQUIRE(world.run().kind == OutcomeKind::success);
    CHECK(world.xcom["rows_out"] == 6);
    CHECK(asked == 6);
}

TEST_CASE("rate_limit keeps the time between requests", "[extract][http]") {
    Loopback server(pages);
    World world;
    world.port = server.port();
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(world.run({{"rate_limit", "20/s"}}).kind == OutcomeKind::success);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{150});
}

TEST_CASE("a retry goes on behind the last whole page", "[extract][http]") {
    std::atomic<bool> broken{true};
    Loopback server([&](const std::string& request) {
        if (broken && page_of(request) == 3) return Loopback::reply(503, "later");
        return pages(request);
    });
    World world;
    world.port = server.port();
    failed(world.run(), ErrorClass::transient, "page 3: the server answered 503: later, 2 times");
    REQUIRE(world.checkpoint["state"]["pages"] == 2);
    broken = false;
    const std::size_t before = server.asked().size();

    SECTION("of the same parameters") {
        REQUIRE(world.run().kind == OutcomeKind::success);
        CHECK(page_of(server.asked()[before]) == 3);
    }
    SECTION("not of others") {
        REQUIRE(world.run({{"headers", {{"X-A", "b"}}}}).kind == OutcomeKind::success);
        CHECK(page_of(server.asked()[before]) == 1);
    }
    SECTION("not without the file") {
        std::filesystem::remove_all(world.path + "/_spool");
        REQUIRE(world.run().kind == OutcomeKind::success);
        CHECK(page_of(server.asked()[before]) == 1);
    }
    SECTION("not after hours") {
        world.checkpoint["at"] = world.checkpoint["at"].get<std::int64_t>() - 7 * 3600;
        REQUIRE(world.run().kind == OutcomeKind::success);
        CHECK(page_of(server.asked()[before]) == 1);
    }
    CHECK(world.text("select string_agg(id, ' ' order by id) from x") == "1 2 3 4 5 6");
    CHECK(world.spool_is_gone());
}

TEST_CASE("a cursor that has died is begun anew", "[extract][http]") {
    std::atomic<int> phase{0};
    Loopback server([&](const std::string& request) {
        const bool second = request.find("cursor=") != std::string::npos;
        if (second && phase == 0) return Loopback::reply(500, "oops");
        if (second && request.find("cursor=old") != std::string::npos)
            return Loopback::reply(410, "gone");
        if (second) return Loopback::reply(200, R"({"d":[{"id":2}]})");
        const std::string next = phase == 0 ? "old" : "new";
        return Loopback::reply(200, R"({"d":[{"id":1}],"next":")" + next + "\"}");
    });
    World world;
    world.port = server.port();
    const Json from{
        {"records", "$.d[*]"}, {"pagination", {{"type", "cursor"}, {"cursor_path", "$.next"}}}
    };
    failed(world.run(from), ErrorClass::transient, "page 2");
    phase = 1;
    REQUIRE(world.run(from).kind == OutcomeKind::success);
    CHECK(world.text("select string_agg(id, ' ' order by id) from x") == "1 2");
}

TEST_CASE("bad input, HTTP: server down", "[extract][http][bad]") {
    World world;
    world.port = Loopback([](const std::string&) { return std::string(); }).port();
    failed(world.run(), ErrorClass::transient, "page 1: Failed to connect to 127.0.0.1");
}

TEST_CASE("bad input, HTTP: wrong password", "[extract][http][bad]") {
    Loopback server([](const std::string&) { return Loopback::reply(401, "who?"); });
    World world;
    world.port = server.port();
    const Outcome outcome = world.run();
    failed(outcome, ErrorClass::auth, "page 1: the server answered 401: who?");
    CHECK_THAT(outcome.message, !Contains("pw secret"));
}

TEST_CASE("bad input, HTTP: TLS mismatch", "[extract][http][bad]") {
    Loopback server(pages);
    World world;
    world.port = server.port();
    world.schema = "https";
    failed(world.run(), ErrorClass::permanent, "page 1: the server does not speak TLS");
}

TEST_CASE("bad input, HTTP: a table that vanishes", "[extract][http][bad]") {
    Loopback server([](const std::string& request) {
        return page_of(request) == 1 ? pages(request) : Loopback::reply(404, "no such thing");
    });
    World world;
    world.port = server.port();
    failed(world.run(), ErrorClass::permanent, "page 2: the server answered 404: no such thing");
}

TEST_CASE("bad input, HTTP: a column that changes type mid-read", "[extract][http][bad]") {
    Loopback server([](const std::string& request) {
        if (page_of(request) == 2) return Loopback::reply(200, R"([{"id":"three"},{"id":[4]}])");
        return pages(request);
    });
    World world;
    world.port = server.port();
    // Raw keeps what came, as text; the contract is judged by validate.
    REQUIRE(world.run().kind == OutcomeKind::success);
    CHECK(world.text("select string_agg(id, ' ' order by id) from x") == "1 2 5 6 [4] three");
}

TEST_CASE("bad input, HTTP: a page that repeats for ever", "[extract][http][bad]") {
    Loopback server([](const std::string&) { return Loopback::reply(200, "[{\"id\":1}]"); });
    World world;
    world.port = server.port();
    failed(
        world.run(),
        ErrorClass::permanent,
        "page 2: the page has the same records as the page before"
    );
    std::atomic<int> number{0};
    Loopback endless([&](const std::string&) {
        return Loopback::reply(200, "[{\"id\":" + std::to_string(++number) + "}]");
    });
    world.port = endless.port();
    const Outcome outcome = world.run({{"max_pages", 4}});
    CHECK(outcome.error_class == ErrorClass::permanent);
    CHECK_THAT(outcome.message, Contains("there are more than max_pages (4) pages"));
}

TEST_CASE("bad input, HTTP: 429 for an hour", "[extract][http][bad]") {
    Loopback server([](const std::string&) {
        return Loopback::reply(429, "", "Retry-After: 3600\r\n");
    });
    World world;
    world.port = server.port();
    const Outcome outcome = world.run();
    failed(outcome, ErrorClass::rate_limited, "page 1: the server answered 429");
    CHECK(outcome.retry_after == std::chrono::hours{1});
    CHECK(server.asked().size() == 1);
}

TEST_CASE("bad input, HTTP: a body cut off", "[extract][http][bad]") {
    Loopback server([](const std::string& request) {
        std::string reply = pages(request);
        if (page_of(request) == 2) reply.resize(reply.size() - 5);
        return reply;
    });
    World world;
    world.port = server.port();
    failed(world.run(), ErrorClass::transient, "page 2: transfer closed with 5 bytes remaining");
}

TEST_CASE("bad input, HTTP: invalid JSON", "[extract][http][bad]") {
    std::string second = "[{\"id\":3},{\"id\":";
    Loopback server([&](const std::string& request) {
        return page_of(request) == 2 ? Loopback::reply(200, second) : pages(request);
    });
    World world;
    world.port = server.port();
    failed(
        world.run(),
        ErrorClass::data_quality,
        "page 2: the reply is not valid JSON at byte 17, where the reply ends: it is cut off, "
        "after row 2"
    );
    second = "<html>";
    failed(world.run(), ErrorClass::data_quality, "page 2: the reply is not valid JSON at byte 1,");
    second = R"({"error":"no","secret":"ada@example.com"})";
    world.checkpoint = nullptr;
    const Outcome outcome = world.run();
    failed(outcome, ErrorClass::data_quality, "is no array: it is an object of error, secret");
    CHECK_THAT(outcome.message, !Contains("ada@"));
}

TEST_CASE("bad input, HTTP: records that are no objects are set aside", "[extract][http][bad]") {
    Loopback server([](const std::string& request) {
        return page_of(request) == 2 ? Loopback::reply(200, "[7, {\"id\":3}]") : pages(request);
    });
    World world;
    world.port = server.port();
    const Outcome outcome = world.run();
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Contains("api:/v1/x:3: not a JSON object"));
    world.checkpoint = nullptr;
    REQUIRE(world.run(Json::object(), {{"max_rejects", 1}}).kind == OutcomeKind::success);
    CHECK(world.xcom["rows_rejected"] == 1);
    CHECK(world.xcom["rows_out"] == 5);
}

TEST_CASE("bad input, HTTP: bytes that are not UTF-8", "[extract][http][bad]") {
    Loopback server([](const std::string& request) {
        return page_of(request) == 2 ? Loopback::reply(200, "[{\"id\":\"\xC3\x28\"}]")
                                     : pages(request);
    });
    World world;
    world.port = server.port();
    failed(
        world.run(),
        ErrorClass::data_quality,
        "page 2: the reply is not UTF-8 at byte 8, after row 2"
    );
}

TEST_CASE("an HTTP source and a connection of another kind do not fit", "[extract][http]") {
    World world;
    task::FakeContext fake(world.ledger);
    world.prepare(fake);
    const Json params{{"from", {{"conn_id", "lake"}, {"endpoint", "/x"}}}, {"to", "raw.x"}};
    const Outcome outcome = fake.run(ops::extract_operator(), params);
    CHECK_THAT(
        outcome.message,
        Contains("connection \"lake\" is of type \"fs\", so \"from\" must say what is read by one "
                 "of path")
    );
}
