#include "http/router.hpp"

#include <catch2/catch.hpp>

#include "http/message.hpp"

using namespace sluice::http;

namespace {

Route route(std::string method, std::string pattern) {
    return {std::move(method), pattern, pattern, Access::open, {}};
}

}  // namespace

TEST_CASE("a route is found by method and path, a literal before a parameter", "[router]") {
    const Router router({
        route("GET", "/"),
        route("GET", "/dags/{dag_id}"),
        route("PATCH", "/dags/{dag_id}"),
        route("GET", "/dags/{dag_id}/runs/{run_id}/tis/{task}/{map_index}"),
        route("GET", "/dags/{dag_id}/runs/{run_id}/tis/{task}/tries"),
        route("GET", "/static/{path...}"),
        route("GET", "/{page...}"),
    });
    CHECK(router.match("GET", "/").route->pattern == "/");
    CHECK(router.match("HEAD", "/dags/x").route->pattern == "/dags/{dag_id}");
    CHECK(router.match("GET", "/dags/x/runs/r/tis/t/tries").route->pattern.ends_with("/tries"));
    CHECK(router.match("GET", "/dags/x/runs/r/tis/t/3").route->pattern.ends_with("{map_index}"));
    CHECK(router.match("GET", "/static/a/b.js").params.at(0).second == "a/b.js");
    CHECK(router.match("GET", "/any/page").route->pattern == "/{page...}");
    const auto wrong = router.match("DELETE", "/dags/x");
    CHECK(wrong.route == nullptr);
    CHECK(wrong.allowed == std::vector<std::string>{"GET", "PATCH"});
    CHECK(router.match("POST", "/nope/nope").allowed.empty());
}

TEST_CASE("plus is literal in a path and a space in a query; escapes are decoded", "[router]") {
    const Router router({route("GET", "/runs/{run_id}")});
    const auto match = router.match("GET", "/runs/manual__2026-01-01T00:00:00+00%3A00%2Fx");
    REQUIRE(match.route != nullptr);
    CHECK(match.params.at(0).second == "manual__2026-01-01T00:00:00+00:00/x");
    const auto query = parse_query("a=1+2&b=%2B&c&=x&&a=%zz");
    CHECK(query == std::vector<Pair>{{"a", "1 2"}, {"b", "+"}, {"c", ""}, {"", "x"}, {"a", "%zz"}});
}

TEST_CASE("a cookie is found among others", "[router]") {
    Request request;
    request.headers = {{"cookie", "xs=1; s=ab=c;  t=2"}};
    CHECK(request.cookie("s") == "ab=c");
    CHECK(request.cookie("t") == "2");
    CHECK(request.cookie("x").empty());
}

TEST_CASE("an unchanged body is a 304, a large text is compressed when asked", "[router]") {
    Request request;
    Reply reply = json_reply(200, std::string(5'000, 'x'));
    apply_etag(request, reply);
    REQUIRE(reply.headers.size() == 1);
    request.headers = {{"if-none-match", reply.headers[0].second}, {"accept-encoding", "br, gzip"}};
    Reply again = json_reply(200, std::string(5'000, 'x'));
    apply_etag(request, again);
    CHECK(again.status == 304);
    CHECK(again.body.empty());
    apply_gzip(request, reply);
    CHECK(reply.body.size() < 200);
    CHECK(reply.headers.back() == Pair{"Content-Encoding", "gzip"});
}

TEST_CASE("HTML is escaped", "[router]") {
    CHECK(escape_html("<a href='x'>&\"") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
}
