#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/lake/slice.hpp"
#include "operators/lake/summary.hpp"
#include "task/fake_context.hpp"

using namespace sluice;

namespace {

struct Folder {
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "lake-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

DatasetSpec numbers() {
    DatasetSpec spec;
    spec.name = "raw.numbers";
    ColumnSpec n;
    n.name = "n";
    n.type = "bigint";
    ColumnSpec text;
    text.name = "text";
    text.type = "varchar";
    spec.columns = {n, text};
    return spec;
}

task::Operator writer(const std::string& query) {
    task::Operator op;
    op.name = "writer";
    op.run = [query](task::TaskContext& context, const nlohmann::json&) {
        const auto database = engine::open_database(context);
        lake::WriteRequest request;
        request.dataset = "raw.numbers";
        request.query = query;
        lake::Summary summary;
        summary.rows_out = lake::write(context, *database, request).rows;
        return lake::finish(context, summary);
    };
    return op;
}

}  // namespace

TEST_CASE("a slice that was written is read back, a re-run replaces it", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    for (const char* count : {"10", "4"}) {
        task::FakeContext fake(ledger);
        fake.folder("lake", home.path);
        fake.datasets({numbers()});
        const Outcome outcome = fake.run(
            writer("select range n, 'x' as text from range(" + std::string(count) + ")"), {}
        );
        REQUIRE(outcome.message.empty());
        REQUIRE(outcome.kind == OutcomeKind::success);
        CHECK(fake.xcom().at("rows_out") == std::stoi(count));
    }
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    fake.datasets({numbers()});
    const auto database = engine::open_database(fake.context());
    const lake::Source source =
        lake::read(fake.context(), *database, lake::query_of("raw.numbers"));
    CHECK(source.rows == 4);
    CHECK(source.columns.size() == 8);
    CHECK(database->integer("select sum(n) from " + source.relation) == 6);
    CHECK(
        database->text("select any_value(_sluice_interval) from " + source.relation) ==
        "2026-01-05T00:00:00+00:00/2026-01-06T00:00:00+00:00"
    );
}

TEST_CASE("a data set without slices reads as an empty relation of its columns", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    fake.datasets({numbers()});
    const auto database = engine::open_database(fake.context());
    const lake::Source source =
        lake::read(fake.context(), *database, lake::query_of("raw.numbers"));
    CHECK(source.rows == 0);
    CHECK(source.columns.at(0) == engine::ColumnInfo{"n", "BIGINT"});
    CHECK(database->integer("select count(*) from " + source.relation) == 0);
}

TEST_CASE("an empty result obeys on_empty", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    for (const auto& [on_empty, kind] :
         {std::pair{"ok", OutcomeKind::success},
          std::pair{"warn", OutcomeKind::success},
          std::pair{"skip", OutcomeKind::skipped},
          std::pair{"fail", OutcomeKind::failed}}) {
        task::FakeContext fake(ledger);
        fake.folder("lake", home.path);
        fake.datasets({numbers()});
        fake.job.on_empty = on_empty;
        CHECK(fake.run(writer("select 1::bigint n, '' as text where false"), {}).kind == kind);
    }
}

TEST_CASE("a write that fails leaves no folder behind", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    fake.datasets({numbers()});
    const Outcome outcome =
        fake.run(writer("select ('x' || range)::bigint n, '' as text from range(3)"), {});
    CHECK(outcome.kind == OutcomeKind::failed);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home.path)) {
        CHECK_FALSE(entry.is_regular_file());
    }
}

TEST_CASE("128-bit sums keep their value in the lake", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    fake.datasets({numbers()});
    REQUIRE(
        fake.run(writer("select 9007199254740993::hugeint n, '' as text"), {}).kind ==
        OutcomeKind::success
    );
    const auto database = engine::open_database(fake.context());
    const auto source = lake::read(fake.context(), *database, lake::query_of("raw.numbers"));
    CHECK(database->text("select n from " + source.relation) == "9007199254740993");
}

TEST_CASE("every cell is read back from a slice as it was written", "[lake]") {
    const Folder home;
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    fake.datasets({numbers()});
    // Differences of neighbours beyond 64 bits, pages without a value, too many for a dictionary,
    // and a number of rows that no block of an encoding divides.
    const std::string rows =
        "select case i % 4 when 0 then -9223372036854775808 when 1 then 9223372036854775807 "
        "when 2 then null else i end::bigint as n, "
        "case i % 3 when 0 then '' when 1 then repeat('x', (i % 70)::integer) || i end as text, "
        "case i % 2 when 0 then -2147483648 else 2147483647 end::integer as small, "
        "null::bigint as empty_, (i * 0.1)::double as real_, (i % 2 = 0) as flag, "
        "case i % 5 when 0 then '-9999999999.99' else '0.01' end::decimal(12, 2) as amount, "
        "timestamptz '0001-01-01 00:00:00+00' + interval 1 month * (i % 100000) as sold_at, "
        "[i, null]::bigint[] as list_, encode('b' || i) as bytes_ from range(150001) t(i)";
    REQUIRE(fake.run(writer(rows), {}).kind == OutcomeKind::success);
    const auto database = engine::open_database(fake.context());
    const auto source = lake::read(fake.context(), *database, lake::query_of("raw.numbers"));
    const auto sum = [&](const std::string& from) {
        return database->text(
            "select count(*) || ' ' || sum(hash(n, text, small, empty_, real_, flag, amount, "
            "sold_at, "
            "list_, bytes_)::hugeint) from " +
            from
        );
    };
    CHECK(sum(source.relation) == sum("(" + rows + ")"));
}
