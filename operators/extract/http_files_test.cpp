// Files on an HTTP server as a source, from servers that misbehave.
#include <catch2/catch.hpp>

#include "operators/extract/http_fixture.hpp"

using namespace sluice;
using namespace sluice::extract_test;
using Catch::Contains;
using connect::Loopback;

namespace {

/// A server with one file, which can be told to misbehave.
struct FileServer {
    std::string body{"id\n1\n2\n3\n"};
    std::string version{"\"v1\""};  // its ETag; "" = it says nothing that tells versions apart
    bool head{true};                // it speaks HEAD
    bool ranges{true};
    int status{200};     // of every reply
    int cut{0};          // so many downloads break off half-way
    bool change{false};  // after a download that broke off it has another file
    int downloads{0};

    std::string answer(const std::string& request) {
        if (status != 200) return Loopback::reply(status, "");
        if (!request.starts_with("HEAD /data/x.csv") && !request.starts_with("GET /data/x.csv"))
            return Loopback::reply(404, "");
        const std::string tag = version.empty() ? "" : "ETag: " + version + "\r\n";
        if (request.starts_with("HEAD")) {
            if (!head) return Loopback::reply(405, "");
            return Loopback::reply(200, body, tag)
                .substr(0, Loopback::reply(200, body, tag).find("\r\n\r\n") + 4);
        }
        const std::string range = Loopback::header(request, "Range");
        const std::string same = Loopback::header(request, "If-Range");
        std::string reply = Loopback::reply(200, body, tag);
        if (ranges && !range.empty() && (same.empty() || same == version)) {
            const auto begin = std::stoul(range.substr(6));
            const auto end = range.ends_with("-0") ? begin + 1 : body.size();
            reply = Loopback::reply(
                206,
                body.substr(begin, end - begin),
                tag + "Content-Range: bytes " + std::to_string(begin) + "-" +
                    std::to_string(end - 1) + "/" + std::to_string(body.size()) + "\r\n"
            );
            if (range == "bytes=0-0") return reply;
        }
        ++downloads;
        if (cut > 0) {
            --cut;
            reply.resize(reply.size() - 4);
            if (change) {
                body = "id\n7\n8\n9\n";
                version = "\"v2\"";
            }
        }
        return reply;
    }
};

struct FileWorld : HttpHome {
    FileWorld()
        : HttpHome("partner"),
          server([this](const std::string& request) { return files.answer(request); }) {
        port = server.port();
        extra["retries"] = 2;
    }

    void prepare(task::FakeContext& fake) const {
        HttpHome::prepare(fake);
        const auto start = parse_time("2026-01-01")->at + std::chrono::hours{24 * day};
        fake.interval(start, start + std::chrono::hours{24});
    }
    /// "source:id ..." of the slice, or the class and what went wrong.
    std::string run(const Json& from = Json::object(), const Json& more = Json::object()) {
        task::FakeContext fake(ledger);
        prepare(fake);
        Json params{{"from", {{"conn_id", "partner"}, {"path", "data/x.csv"}}}, {"to", "raw.x"}};
        params["from"].update(from);
        params.update(more);
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        if (outcome.kind != OutcomeKind::success)
            return std::string(name(outcome.error_class)) + ": " + outcome.message;
        task::FakeContext reader(ledger);
        prepare(reader);
        const auto db = engine::open_database(reader.context());
        const auto source = lake::read(reader.context(), *db, lake::query_of("raw.x"));
        if (source.columns.size() <= 6) return "";
        return db->text(
            "select coalesce(string_agg(_sluice_source || '=' || id, ' ' order by id), '') from " +
            source.relation
        );
    }

    FileServer files;
    Loopback server;
    int day{0};
};

const std::string three = "data/x.csv=1 data/x.csv=2 data/x.csv=3";

}  // namespace

TEST_CASE("a file of an HTTP server is read like one of a folder", "[extract][webfile]") {
    FileWorld world;
    CHECK(world.run() == three);
    // The connection's login goes along, and nothing is unpacked on the way.
    for (const std::string& request : world.server.asked()) {
        CHECK(Loopback::header(request, "Authorization") == "Basic YWRhOnB3IHNlY3JldA==");
        CHECK(Loopback::header(request, "Accept-Encoding").empty());
    }
    CHECK(world.run({{"path", "/data/x.csv?part=a b"}}) == three);
    CHECK(world.server.targets().back() == "GET /data/x.csv?part=a%20b");
    SECTION("also from a server that does not speak HEAD") {
        world.files.head = false;
        CHECK(world.run() == three);
        world.files.ranges = false;
        CHECK(world.run() == three);
    }
    SECTION("and one without a byte") {
        world.files.body = "";
        CHECK_THAT(world.run(), Contains("data/x.csv is empty: it has no header"));
    }
}

TEST_CASE("a file of an HTTP server that broke off goes on where it was", "[extract][webfile]") {
    FileWorld world;
    world.files.cut = 1;
    CHECK(world.run() == three);
    const std::string last = world.server.asked().back();
    CHECK(Loopback::header(last, "Range") == "bytes=5-");
    CHECK(Loopback::header(last, "If-Range") == "\"v1\"");
    SECTION("from the beginning if it is another file by then") {
        world.files.cut = 1;
        world.files.change = true;
        CHECK(world.run() == "data/x.csv=7 data/x.csv=8 data/x.csv=9");
    }
    SECTION("from the beginning if the server knows no ranges, or no versions") {
        world.files.cut = 1;
        world.files.ranges = false;
        CHECK(world.run() == three);
        world.files.cut = 1;
        world.files.ranges = true;
        world.files.version = "";
        CHECK(world.run() == three);
        CHECK(Loopback::header(world.server.asked().back(), "Range").empty());
    }
    SECTION("and in the end it fails") {
        world.files.cut = 9;
        CHECK_THAT(
            world.run(),
            Contains("transient: connection \"partner\", GET /data/x.csv: transfer closed with 4 "
                     "bytes remaining")
        );
    }
}

TEST_CASE("a file of an HTTP server is read again when it has changed", "[extract][webfile]") {
    FileWorld world;
    const Json modified{{"incremental", {{"files", "modified"}}}};
    CHECK(world.run(Json::object(), modified) == three);
    CHECK(world.files.downloads == 1);
    world.day = 1;
    CHECK(world.run(Json::object(), modified) == "");
    CHECK(world.files.downloads == 1);  // its ETag says enough
    SECTION("also one that another version says nothing of") {
        world.files.version = "\"v2\"";
        CHECK(world.run(Json::object(), modified) == "");  // the content is what it was
        world.files.body = "id\n5\n";
        world.files.version = "\"v3\"";
        CHECK(world.run(Json::object(), modified) == "data/x.csv=5");
    }
    SECTION("and by its content if the server says nothing") {
        world.files.version = "";
        CHECK(world.run(Json::object(), modified) == "");
        CHECK(world.files.downloads == 2);
        world.files.body = "id\n6\n7\n8\n";
        CHECK(world.run(Json::object(), modified) == "data/x.csv=6 data/x.csv=7 data/x.csv=8");
    }
}

TEST_CASE("bad input, HTTP files", "[extract][webfile][bad]") {
    FileWorld world;
    const std::string begin = "connection \"partner\", GET /data/x.csv: ";
    SECTION("a file that is missing") {
        CHECK_THAT(
            world.run({{"path", "data/y.csv"}}),
            Contains("transient: the source file \"data/y.csv\" is missing in connection "
                     "\"partner\" (http://127.0.0.1:")
        );
        CHECK(world.run({{"path", "data/y.csv"}, {"on_missing", "empty"}}) == "");
    }
    SECTION("a refused login") {
        world.files.status = 403;
        CHECK(world.run() == "auth: " + begin + "the server answered 403");
    }
    SECTION("the server elsewhere") {
        world.files.status = 302;
        CHECK_THAT(world.run(), Contains("permanent: " + begin + "the server answered 302 (it se"));
    }
    SECTION("503 all the time") {
        world.files.status = 503;
        CHECK(world.run() == "transient: " + begin + "the server answered 503, 3 times in a row");
    }
    SECTION("a server without TLS") {
        world.schema = "https";
        CHECK_THAT(world.run(), Contains("permanent: " + begin + "the server does not speak TLS"));
    }
    SECTION("a server that is away") {
        int free = 0;
        {
            Loopback gone([](const std::string&) { return ""; });
            free = gone.port();
        }
        world.port = free;
        CHECK_THAT(world.run(), Contains("transient: " + begin + "Failed to connect"));
    }
    SECTION("a path that is none") {
        CHECK_THAT(world.run({{"path", "data/*.csv"}}), Contains("cannot say which files it has"));
        CHECK_THAT(world.run({{"path", "../x.csv"}}), Contains("must lie inside"));
    }
    SECTION("a file that is not packed as its name says, a broken one") {
        CHECK_THAT(
            world.run({{"compression", "gzip"}, {"format", "csv"}}), Contains("data_quality: ")
        );
    }
}
