// Files of an object store as a source.
#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/connect/file_place.hpp"
#include "operators/connect/s3.hpp"
#include "operators/connect/s3_stub.hpp"
#include "operators/engine/failure.hpp"
#include "operators/extract/extract.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using Json = nlohmann::json;

namespace {

struct Landing {
    Landing() {
        std::string pattern = (std::filesystem::temp_directory_path() / "s3src-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~Landing() { std::filesystem::remove_all(path); }

    void prepare(task::FakeContext& fake, int day) {
        fake.folder("lake", path);
        fake.connect(connection());
        const auto start = parse_time("2026-01-01")->at + std::chrono::hours{24 * (day - 1)};
        fake.interval(start, start + std::chrono::hours{24});
        DatasetSpec spec;
        spec.name = "raw.x";
        DatasetSpec rejects;
        rejects.name = "raw.x_rejects";
        fake.datasets({spec, rejects});
    }
    task::Connection connection() {
        task::Connection made = stub.connection();
        made.id = "landing";
        return made;
    }
    void put(const std::string& name, const std::string& text) {
        task::FakeContext fake(ledger);
        connect::S3(fake.context(), connection()).put_text(name, text, "text/csv");
    }
    /// "source:id ..." of the day's slice, or what went wrong.
    std::string run(int day, const std::string& pattern, const Json& incremental = {}) {
        task::FakeContext fake(ledger);
        prepare(fake, day);
        Json params{{"from", {{"conn_id", "landing"}, {"path", pattern}}}, {"to", "raw.x"}};
        if (!incremental.is_null()) params["incremental"] = incremental;
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        if (outcome.kind != OutcomeKind::success) return outcome.message;
        task::FakeContext reader(ledger);
        prepare(reader, day);
        const auto db = engine::open_database(reader.context());
        const auto source = lake::read(reader.context(), *db, lake::query_of("raw.x"));
        if (source.columns.size() <= 6) return "";
        return db->text(
            "select coalesce(string_agg(_sluice_source || ':' || id, ' ' order by id), '') from " +
            source.relation
        );
    }
    std::string path;
    task::FakeLedger ledger;
    connect::S3Stub stub;
};

}  // namespace

TEST_CASE("files of a bucket are found by their pattern and read", "[extract][s3]") {
    Landing landing;
    landing.put("in/a.csv", "id\n1\n");
    landing.put("in/b.csv", "id\n2\n");
    landing.put("in/deep/c.csv", "id\n3\n");
    landing.put("in/d.txt", "id\n4\n");
    landing.put("inn/e.csv", "id\n5\n");
    CHECK(landing.run(1, "in/*.csv") == "in/a.csv:1 in/b.csv:2");
    CHECK(landing.run(2, "in/**/*.csv") == "in/a.csv:1 in/b.csv:2 in/deep/c.csv:3");
    CHECK(landing.run(3, "in/a.csv") == "in/a.csv:1");
    CHECK(
        landing.run(4, "in/z*.csv") ==
        "the source file \"in/z*.csv\" is missing in connection \"landing\" "
        "(s3://bucket/some/lake/)"
    );
    CHECK(landing.run(5, "../x.csv").find("inside the connection's folder") != std::string::npos);
}

TEST_CASE(
    "objects that were read before are skipped while they stay as they are", "[extract][s3]"
) {
    Landing landing;
    const Json modified{{"files", "modified"}};
    landing.put("a.csv", "id\n1\n");
    CHECK(landing.run(1, "*.csv", modified) == "a.csv:1");
    landing.put("b.csv", "id\n2\n");
    landing.stub.count_anew();
    CHECK(landing.run(2, "*.csv", modified) == "b.csv:2");
    CHECK(landing.stub.requests() == 2);  // a list, and the new one
    landing.put("a.csv", "id\n1\n3\n");
    CHECK(landing.run(3, "*.csv", modified) == "a.csv:1 a.csv:3");
}

TEST_CASE("bad input, bucket: an object that vanishes behind its listing", "[extract][s3][bad]") {
    Landing landing;
    landing.put("a.csv", "id\n1\n");
    task::FakeContext fake(landing.ledger);
    landing.prepare(fake, 1);
    connect::FilePlace place(fake.context(), landing.connection());
    const auto found = place.find("*.csv");
    REQUIRE(found.size() == 1);
    connect::S3(fake.context(), landing.connection()).remove("a.csv");
    try {
        place.fetch(found[0]);
        FAIL("it is there");
    } catch (const engine::Failure& failure) {
        CHECK(failure.error_class() == ErrorClass::transient);
        CHECK_THAT(
            failure.what(),
            Catch::Contains("\"landing\"") && Catch::Contains("a.csv: 404 NoSuchKey")
        );
    }
}
