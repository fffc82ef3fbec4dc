#include "api/input.hpp"

#include <catch2/catch.hpp>

#include "api/failure.hpp"

using namespace sluice;
using namespace sluice::api;

namespace {

http::Request with_query(std::string text) {
    http::Request request;
    request.query = http::parse_query(text);
    return request;
}

http::Request with_body(std::string text) {
    http::Request request;
    request.body = std::move(text);
    return request;
}

template <class Act>
Json detail_of(Act act) {
    try {
        act();
    } catch (const Failure& failure) {
        CHECK(failure.status() == 422);
        return Json::parse(failure.detail());
    }
    FAIL("nothing was thrown");
    return {};
}

}  // namespace

TEST_CASE("limit is 50 by default, cut to 100, and offset counts from 0", "[api][input]") {
    const auto plain = with_query("");
    CHECK(Query(plain).page().limit == 50);
    const auto large = with_query("limit=5000&offset=7");
    CHECK(Query(large).page().limit == 100);
    CHECK(Query(large).page().offset == 7);
}

TEST_CASE("wrong query parameters are named as Airflow names them", "[api][input]") {
    const auto request = with_query("limit=-1&offset=x");
    const Json detail = detail_of([&] {
        Query query(request);
        query.page();
        query.done();
    });
    CHECK(
        detail.dump() ==
        R"([{"type":"greater_than_equal","loc":["query","limit"],"msg":"Input should be greater than or equal to 0","input":"-1","ctx":{"ge":0}},)"
        R"({"type":"int_parsing","loc":["query","offset"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"}])"
    );
}

TEST_CASE("times in a query may have lost their plus", "[api][input]") {
    const auto request = with_query("a=2026-01-01T00:00:00+00:00&b=2026-01-01T01:00:00%2B01:00");
    Query query(request);
    CHECK(query.time("a") == query.time("b"));
    query.done();
}

TEST_CASE("a body's faults come all at once: missing, of the wrong type, unknown", "[api][input]") {
    const Json detail = detail_of([] {
        Body body(with_body(R"({"conf":[1],"x":1})"));
        body.require("logical_date");
        body.time("logical_date");
        body.object("conf");
        body.done();
    });
    REQUIRE(detail.size() == 3);
    CHECK(
        detail[0].dump() ==
        R"({"type":"missing","loc":["body","logical_date"],"msg":"Field required","input":{"conf":[1],"x":1}})"
    );
    CHECK(
        detail[1].dump() ==
        R"({"type":"dict_type","loc":["body","conf"],"msg":"Input should be a valid dictionary","input":[1]})"
    );
    CHECK(
        detail[2].dump() ==
        R"({"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted","input":1})"
    );
}

TEST_CASE("a body that is not JSON, or no object, is refused", "[api][input]") {
    const Json broken = detail_of([] { Body body(with_body("{oops")); });
    CHECK(broken[0]["type"] == "json_invalid");
    CHECK(broken[0]["loc"] == Json::array({"body", 1}));
    const Json list = detail_of([] { Body body(with_body("[1]")); });
    CHECK(list[0]["type"] == "model_attributes_type");
    const std::string open = R"({"a":)" + std::string(100'000, '[');
    const Json deep =
        detail_of([&] { Body body(with_body(open + std::string(100'000, ']') + "}")); });
    CHECK(deep[0]["ctx"]["error"] == "Nested deeper than 64 levels");
}

TEST_CASE("an enumeration names what it takes; a time without a zone may be refused", "[api]") {
    const Json detail = detail_of([] {
        Body body(with_body(R"({"state":"running","at":"2026-01-01T00:00:00"})"));
        body.one_of("state", {"queued", "success", "failed"});
        body.time("at", Body::Zone::required);
        body.done();
    });
    CHECK(detail[0]["msg"] == "Input should be 'queued', 'success' or 'failed'");
    CHECK(detail[0]["ctx"]["expected"] == "'queued', 'success' or 'failed'");
    CHECK(detail[1]["type"] == "timezone_aware");
}

TEST_CASE("null is absent for fields that may be null", "[api][input]") {
    Body body(with_body(R"({"a":null,"b":"2026-01-01T00:00:00Z","c":true,"d":3})"));
    CHECK_FALSE(body.text("a").has_value());
    CHECK(body.is_null("a"));
    CHECK(body.time("b").has_value());
    CHECK(body.boolean("c") == true);
    CHECK(body.integer("d") == 3);
    body.done();
}

TEST_CASE("patterns are SQL's LIKE without case, alternatives by |, ~ is all", "[api][input]") {
    CHECK(matches_pattern("Warehouse_Daily", "house"));
    CHECK(matches_pattern("warehouse_daily", "x | DAILY"));
    CHECK(matches_pattern("anything", "~"));
    CHECK(matches_pattern("a_b", "a_b"));
    CHECK(matches_pattern("abc", "a%c"));
    CHECK_FALSE(matches_pattern("abc", "x|y"));
}
