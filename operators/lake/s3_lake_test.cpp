#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/connect/s3_stub.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/slice.hpp"
#include "operators/lake/storage.hpp"
#include "operators/lake/summary.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using nlohmann::json;

namespace {

DatasetSpec things() {
    DatasetSpec spec;
    spec.name = "raw.things";
    return spec;
}

task::Operator writer_of(const std::string& query) {
    task::Operator op;
    op.name = "writer";
    op.run = [query](task::TaskContext& context, const json&) {
        return engine::guarded([&] {
            const auto database = engine::open_database(context);
            lake::WriteRequest request;
            request.dataset = "raw.things";
            request.query = query;
            lake::Summary summary;
            summary.rows_out = lake::write(context, *database, request).rows;
            return lake::finish(context, summary);
        });
    };
    return op;
}

struct S3Lake {
    Outcome write(const std::string& query) {
        task::FakeContext fake(ledger);
        fake.connect(stub.connection(extra));
        fake.datasets({things()});
        return fake.run(writer_of(query), {});
    }
    /// The sum of n over what readers see; -1 = it cannot be read.
    std::int64_t sum(std::string* why = nullptr) {
        task::FakeContext fake(ledger);
        fake.connect(stub.connection(extra));
        fake.datasets({things()});
        try {
            const auto database = engine::open_database(fake.context());
            const auto source = lake::read(fake.context(), *database, lake::query_of("raw.things"));
            return database->integer("select sum(n)::bigint from " + source.relation);
        } catch (const Error& error) {
            if (why != nullptr) *why = error.what();
            return -1;
        }
    }

    connect::S3Stub stub;
    task::FakeLedger ledger;
    json extra = json::object();
};

}  // namespace

TEST_CASE("a slice in a bucket is written, read and replaced as one in a folder", "[lake]") {
    S3Lake lake;
    for (const std::int64_t count : {10, 4}) {
        const Outcome outcome =
            lake.write("select range n from range(" + std::to_string(count) + ")");
        REQUIRE(outcome.message.empty());
        CHECK(lake.sum() == count * (count - 1) / 2);
    }
    const auto objects = lake.stub.objects();
    CHECK(objects.size() == 2);
    for (const auto& [key, object] : objects) CHECK(key.starts_with("some/lake/raw/things/"));
}

TEST_CASE("a write that fails leaves no object, a store that stays away is transient", "[lake]") {
    S3Lake lake;
    lake.extra["retries"] = 1;
    CHECK(
        lake.write("select ('x' || range)::bigint n from range(3)").error_class ==
        ErrorClass::data_quality
    );
    CHECK(lake.stub.objects().empty());
    lake.stub.instead([](int) { return std::string(); });
    CHECK(lake.write("select 1 n").error_class == ErrorClass::transient);
    lake.stub.instead([](int number) -> std::optional<std::string> {
        if (number % 3 == 0) return std::nullopt;
        return number % 3 == 1 ? connect::S3Stub::error(503, "SlowDown") : std::string();
    });
    lake.extra["retries"] = 7;
    CHECK(lake.write("select 7 n").kind == OutcomeKind::success);
    CHECK(lake.sum() == 7);
}

TEST_CASE("what is read must have room on the task's disk", "[lake]") {
    S3Lake lake;
    REQUIRE(lake.write("select range n from range(1000)").kind == OutcomeKind::success);
    lake.extra["cache_bytes"] = 100;
    std::string why;
    CHECK(lake.sum(&why) == -1);
    CHECK(why.find("cache_bytes of the connection") != std::string::npos);
    const std::string damaged = lake.stub.objects().begin()->first;
    lake.extra["cache_bytes"] = 100'000;
    CHECK(lake.sum(&why) == 499'500);
    lake.stub.damage(damaged);
    CHECK(lake.sum(&why) == -1);
    CHECK(why.find("its content is not what was written") != std::string::npos);
}

TEST_CASE("folders of a bucket are removed whole, strange ones found", "[lake]") {
    S3Lake lake;
    task::FakeContext fake(lake.ledger);
    fake.connect(lake.stub.connection());
    const auto storage = lake::open_storage(fake.context());
    for (const char* file :
         {"raw/x/dt=1/g=1-a/part-0.parquet",
          "raw/x/dt=1/g=1-a/part-1.parquet",
          "raw/x/g=2-b/part-0.parquet",
          "raw/xy/g=3-c/part-0.parquet",
          "raw/x/odd"})
        storage->put(file, "x");
    const Instant later = parse_time("2026-01-06")->at;
    using Names = std::vector<std::string>;
    CHECK(storage->unknown_folders("raw.x", {}, later) == Names{"raw/x/dt=1/g=1-a", "raw/x/g=2-b"});
    CHECK(storage->unknown_folders("raw.x", {"raw/x/g=2-b"}, later) == Names{"raw/x/dt=1/g=1-a"});
    CHECK(storage->unknown_folders("raw.x", {}, parse_time("2026-01-05")->at).empty());
    storage->remove_folder("raw/x/dt=1/g=1-a");
    storage->remove_folder("raw/x/dt=1/g=1-a");
    CHECK(lake.stub.objects().size() == 3);
    CHECK_THROWS_AS(storage->remove_folder("raw/x"), Error);
    CHECK_THROWS_AS(storage->remove_folder("../g=1"), Error);
    CHECK(storage->bytes("raw/x/odd") == 1);
    CHECK_THROWS_AS(storage->bytes("raw/x/no"), engine::Failure);
}

TEST_CASE("a lake lies in a folder or an object store, nowhere else", "[lake]") {
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.connect({.id = "lake", .type = "postgres"});
    CHECK_THROWS_AS(lake::open_storage(fake.context()), Error);
}
