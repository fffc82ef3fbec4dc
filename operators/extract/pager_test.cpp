#include "operators/extract/pager.hpp"

#include <catch2/catch.hpp>

#include "operators/engine/failure.hpp"
#include "operators/extract/page_fetcher.hpp"
#include "operators/extract/raw_json.hpp"

using namespace sluice;
using namespace sluice::extract;
using Json = nlohmann::json;
using namespace std::chrono_literals;

namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

Page page(std::string_view body, std::int64_t records, const std::string& link = "") {
    return {body, body, records, link, "http://h/x?page=1"};
}

}  // namespace

TEST_CASE("pagination by page: until a page is empty, or one is short", "[extract][http]") {
    Pager pager(Json::parse(R"({"type":"page","size_param":"per_page","size":2})"));
    CHECK(pager.parameters() == Parameters{{"page", "1"}, {"per_page", "2"}});
    CHECK(pager.advance(page("[1]", 1)));
    CHECK(pager.parameters().front().second == "2");
    CHECK_FALSE(pager.advance(page("[]", 0)));

    Pager shorter(Json::parse(R"({"type":"page","start":0,"size":2,"stop_when_empty":false})"));
    CHECK(shorter.parameters() == Parameters{{"page", "0"}});
    CHECK(shorter.advance(page("[1,2]", 2)));
    CHECK_FALSE(shorter.advance(page("[3]", 1)));
}

TEST_CASE(
    "pagination by offset: counts the records that came, not those asked for", "[extract][http]"
) {
    Pager pager(Json::parse(R"({"type":"offset","size_param":"limit","size":100})"));
    CHECK(pager.parameters() == Parameters{{"offset", "0"}, {"limit", "100"}});
    CHECK(pager.advance(page("[..]", 30)));
    CHECK(pager.parameters().front().second == "30");
    CHECK_FALSE(pager.advance(page("[]", 0)));
}

TEST_CASE("pagination by cursor: as long as the reply has one", "[extract][http]") {
    Pager pager(Json::parse(R"({"type":"cursor","cursor_path":"$.meta.next","param":"after"})"));
    CHECK(pager.parameters().empty());
    CHECK(pager.advance(page(R"({"meta":{"next":"c/1"}})", 2)));
    CHECK(pager.parameters() == Parameters{{"after", "c/1"}});
    // Numbers keep their digits; an empty page may stand between.
    CHECK(pager.advance(page(R"({"meta":{"next":12345678901234567890123}})", 0)));
    CHECK(pager.parameters() == Parameters{{"after", "12345678901234567890123"}});
    CHECK_FALSE(pager.advance(page(R"({"meta":{"next":null}})", 1)));
}

TEST_CASE(
    "pagination by Link header and by next address: on the same server only", "[extract][http]"
) {
    Pager link(Json::parse(R"({"type":"link"})"));
    CHECK(link.advance(page("[1]", 1, "</x?page=2>; rel=\"next\"")));
    CHECK(link.url() == "http://h/x?page=2");
    CHECK_FALSE(link.advance(page("[2]", 1)));

    Pager next(Json::parse(R"({"type":"next_url"})"));
    CHECK(next.advance(page(R"({"next":"http://h/x?page=2"})", 1)));
    CHECK(next.url() == "http://h/x?page=2");
    CHECK_THROWS_WITH(
        next.advance(page(R"({"next":"http://evil.example/x"})", 1)),
        Catch::Contains("another server")
    );
}

TEST_CASE(
    "a page that repeats for ever is found, also in a ring of pages", "[extract][http][bad]"
) {
    Pager pager(Json::parse(R"({"type":"page"})"));
    CHECK(pager.advance(page("[1]", 1)));
    CHECK_THROWS_WITH(
        pager.advance(page("[1]", 1)), Catch::Contains("same records as the page before")
    );

    Pager ring(Json::parse(R"({"type":"page"})"));
    const std::vector<std::string> bodies{"[1]", "[2]", "[3]"};
    const auto turn = [&] {
        for (std::size_t i = 0; i < 20; ++i) ring.advance(page(bodies[i % 3], 1));
    };
    CHECK_THROWS_WITH(turn(), Catch::Contains("same records as an earlier page"));

    Pager cursor(Json::parse(R"({"type":"cursor","cursor_path":"$.c"})"));
    CHECK(cursor.advance(page(R"({"c":"a","r":1})", 1)));
    CHECK_THROWS_WITH(cursor.advance(page(R"({"c":"a","r":2})", 1)), Catch::Contains("never ends"));
}

TEST_CASE("a pager goes on from its state", "[extract][http]") {
    const Json written = Json::parse(R"({"type":"page"})");
    Pager pager(written);
    CHECK(pager.advance(page("[1]", 1)));
    Pager other(written);
    other.restore(Json::parse(pager.state().dump()));
    CHECK(other.parameters() == Parameters{{"page", "2"}});
    CHECK_THROWS(other.advance(page("[1]", 1)));
}

TEST_CASE("what pagination says wrong is told at load", "[extract][http]") {
    const auto keys = [](const char* text) {
        std::string out;
        for (const auto& [key, message] : pagination_problems(Json::parse(text))) out += key + ' ';
        return out;
    };
    CHECK(keys(R"({"type":"page","param":"p","size_param":"s","size":10})").empty());
    CHECK(keys(R"({"type":"cursor"})") == "cursor_path ");
    CHECK(keys(R"({"type":"next_url","cursor_path":"next"})") == "cursor_path ");
    CHECK(keys(R"({"type":"link","param":"p","start":1})") == "param start ");
    CHECK(keys(R"({"type":"offset","stop_when_empty":false})") == "stop_when_empty ");
    CHECK(keys(R"({"type":"page","size_param":"s"})") == "size_param ");
}

TEST_CASE("rate limits are times between requests", "[extract][http]") {
    CHECK(rate_interval("5/s") == Duration{200ms});
    CHECK(rate_interval("120/min") == Duration{500ms});
    CHECK(rate_interval("1/h") == Duration{1h});
    CHECK_FALSE(rate_interval("0/s"));
    CHECK_FALSE(rate_interval("fast"));
    CHECK_FALSE(rate_interval("5/week"));
}

TEST_CASE("parts of a JSON text keep every digit", "[extract][json]") {
    const std::string text =
        R"( {"a": {"list": [ {"n": 1.10, "s": "],}\"" }, 12345678901234567890 ,[1, 2]]}, "b\u0041": "x"})";
    const auto path = [](const char* written) { return *json_path_of(written); };
    std::vector<std::string> elements;
    const auto list = raw_value(text, path("$.a.list[*]"));
    REQUIRE(list);
    CHECK(raw_elements(*list, [&](std::string_view one) { elements.emplace_back(one); }));
    CHECK(
        elements ==
        std::vector<std::string>{R"({"n": 1.10, "s": "],}\"" })", "12345678901234567890", "[1, 2]"}
    );
    CHECK(raw_value(text, path("$['a'].list[2][1]")) == "2");
    CHECK(raw_value(text, path("$.bA")) == "\"x\"");
    CHECK_FALSE(raw_value(text, path("$.a.none")));
    CHECK_FALSE(raw_value(text, path("$.a.list[7]")));
    CHECK_FALSE(raw_value("3", path("$.a")));
    CHECK_FALSE(raw_elements("{}", [](std::string_view) {}));
    CHECK(raw_elements("[]", [](std::string_view) { FAIL(); }));
    for (const char* wrong : {"a", "$.", "$[", "$.a[*].b", "$[x]", "$.*"})
        CHECK_FALSE(json_path_of(wrong));
}
