// `incremental` by cursor and by files: what a slice has read stands in the ledger, and runs may be
// repeated or come out of order.
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/extract/extract.hpp"
#include "operators/extract/progress.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using extract::CursorBound;
using extract::CursorRange;
using Json = nlohmann::json;

namespace {

struct Shop {
    Shop() {
        std::string pattern = (std::filesystem::temp_directory_path() / "cursor-XXXXXX").string();
        path = mkdtemp(pattern.data());
        std::filesystem::create_directory(path + "/lake");
        std::filesystem::create_directory(path + "/in");
    }
    ~Shop() { std::filesystem::remove_all(path); }
    Shop(const Shop&) = delete;
    Shop& operator=(const Shop&) = delete;

    void put(const std::string& name, const std::string& text) const {
        std::ofstream(path + "/in/" + name, std::ios::binary) << text;
    }
    void prepare(task::FakeContext& fake, int day) const {
        fake.folder("lake", path + "/lake");
        fake.folder("landing", path + "/in");
        const auto start = parse_time("2026-01-01")->at + std::chrono::hours{24 * (day - 1)};
        fake.interval(start, start + std::chrono::hours{24});
        DatasetSpec spec;
        spec.name = "raw.x";
        spec.declared = true;
        for (const auto& [name, type] : {std::pair{"id", "bigint"}, std::pair{"at", column_type}}) {
            ColumnSpec column;
            column.name = name;
            column.type = type;
            spec.columns.push_back(column);
        }
        DatasetSpec rejects;
        rejects.name = "raw.x_rejects";
        fake.datasets({spec, rejects});
    }
    /// Runs the interval of a day; gives the ids that its slice has.
    std::string run(int day, const Json& incremental) {
        {
            task::FakeContext fake(ledger);
            prepare(fake, day);
            const Json params{
                {"from", {{"conn_id", "landing"}, {"path", "*.csv"}}},
                {"to", "raw.x"},
                {"incremental", incremental},
                {"max_rejects", most_rejects}
            };
            const Outcome outcome = fake.run(ops::extract_operator(), params);
            if (outcome.kind != OutcomeKind::success) return outcome.message;
        }
        return slice_of(day);
    }
    std::string slice_of(int day) {
        return text(
            "select coalesce(string_agg(id, ' ' order by id::bigint), '') from x where "
            "_sluice_interval like '2026-01-0" +
            std::to_string(day) + "T%'"
        );
    }
    std::string text(const std::string& sql) {
        task::FakeContext fake(ledger);
        prepare(fake, 1);
        const auto db = engine::open_database(fake.context());
        task::InputQuery all = lake::query_of("raw.x");
        all.partitions = task::InputQuery::Partitions::all;
        const auto source = lake::read(fake.context(), *db, all);
        db->execute("create view x as select * from " + source.relation);
        return db->text(sql);
    }
    std::string path;
    const char* column_type{"bigint"};
    int most_rejects{0};
    task::FakeLedger ledger;
};

Json slice(const std::optional<CursorBound>& from, const std::optional<CursorBound>& to) {
    return to_json("at", CursorRange{from, to});
}

}  // namespace

TEST_CASE("a cursor reads what is new, and nothing twice", "[extract][cursor]") {
    Shop shop;
    const Json by{{"cursor", "at"}, {"key", "id"}};
    shop.put("x.csv", "id,at\n1,9\n2,10\n");
    CHECK(shop.run(1, by) == "1 2");
    // 9 < 10 < 100: as declared, not as text. A late row with the last value is a tie: its key
    // tells.
    shop.put("x.csv", "id,at\n1,9\n2,10\n3,10\n4,100\n");
    CHECK(shop.run(2, by) == "3 4");
    CHECK(shop.run(3, by).empty());
    shop.put("x.csv", "id,at\n1,9\n2,10\n3,10\n4,100\n5,100\n6,101\n");
    CHECK(shop.run(4, by) == "5 6");
    CHECK(shop.text("select count(*) || ' ' || count(distinct id) from x") == "6 6");
}

TEST_CASE(
    "a run by cursor that is repeated reads its own rows again, not those of later runs",
    "[extract][cursor]"
) {
    Shop shop;
    const Json by{{"cursor", "at"}, {"key", Json::array({"id"})}};
    shop.put("x.csv", "id,at\n1,1\n2,2\n");
    CHECK(shop.run(1, by) == "1 2");
    shop.put("x.csv", "id,at\n1,1\n2,2\n3,2\n4,3\n");
    CHECK(shop.run(2, by) == "3 4");
    shop.put("x.csv", "id,at\n1,1\n2,2\n3,2\n4,3\n5,4\n");
    CHECK(shop.run(1, by) == "1 2");
    CHECK(shop.slice_of(2) == "3 4");
    // The newest one has nothing behind it: it takes what has come since.
    CHECK(shop.run(2, by) == "3 4 5");
    CHECK(shop.run(3, by).empty());
}

TEST_CASE("runs by cursor out of order neither lose nor double a row", "[extract][cursor]") {
    Shop shop;
    const Json by{{"cursor", "at"}, {"key", "id"}};
    shop.put("x.csv", "id,at\n1,1\n2,2\n");
    CHECK(shop.run(2, by) == "1 2");
    // Day 1 comes later: day 2 has read from the very beginning.
    CHECK(shop.run(1, by).empty());
    shop.put("x.csv", "id,at\n1,1\n2,2\n3,3\n");
    CHECK(shop.run(4, by) == "3");
    CHECK(shop.run(3, by).empty());
    CHECK(shop.run(2, by) == "1 2");
    CHECK(shop.text("select count(*) || ' ' || count(distinct id) from x") == "3 3");
}

TEST_CASE("a cursor begins at its first value, and may look back", "[extract][cursor]") {
    Shop shop;
    shop.column_type = "timestamptz";
    const Json by{{"cursor", "at"}, {"initial", "2026-01-02T00:00:00Z"}, {"lookback", "1h"}};
    shop.put(
        "x.csv", "id,at\n1,2026-01-01T10:00:00Z\n2,2026-01-02T10:00:00Z\n3,2026-01-02T10:30:00Z\n"
    );
    CHECK(shop.run(1, by) == "2 3");
    shop.put(
        "x.csv",
        "id,at\n2,2026-01-02T10:00:00Z\n3,2026-01-02T10:30:00Z\n4,2026-01-02T09:00:00Z\n5,2026-01-"
        "02T09:45:00Z\n"
    );
    CHECK(shop.run(2, by) == "2 3 5");
    Shop numbers;
    numbers.put("x.csv", "id,at\n1,1\n");
    CHECK_THAT(
        numbers.run(1, {{"cursor", "at"}, {"lookback", "1h"}}),
        Catch::Contains("lookback needs a cursor that is a time")
    );
}

TEST_CASE(
    "a cursor that cannot be read is a rejected row, one that is not there is none",
    "[extract][cursor]"
) {
    Shop shop;
    shop.put("x.csv", "id,at\n1,1\n2,soon\n3,\n");
    CHECK_THAT(shop.run(1, {{"cursor", "at"}}), Catch::Contains("\"at\" is not a bigint"));
    shop.most_rejects = 1;
    CHECK(shop.run(1, {{"cursor", "at"}}) == "1");
    CHECK_THAT(shop.run(1, {{"cursor", "no"}}), Catch::Contains("the source has no column \"no\""));
}

TEST_CASE(
    "files that were read before are skipped while they stay as they are", "[extract][files]"
) {
    Shop shop;
    const Json modified{{"files", "modified"}};
    shop.put("a.csv", "id,at\n1,1\n");
    CHECK(shop.run(1, modified) == "1");
    shop.put("b.csv", "id,at\n2,1\n");
    CHECK(shop.run(2, modified) == "2");
    CHECK(shop.run(3, modified).empty());
    // Touched, not changed.
    const std::filesystem::path a = shop.path + "/in/a.csv";
    std::filesystem::last_write_time(
        a, std::filesystem::last_write_time(a) + std::chrono::hours{1}
    );
    CHECK(shop.run(3, modified).empty());
    // A repeated run reads its own again.
    CHECK(shop.run(1, modified) == "1");
    shop.put("a.csv", "id,at\n1,1\n3,1\n");
    CHECK(shop.run(4, modified) == "1 3");
    CHECK(shop.run(3, modified).empty());
    CHECK(shop.run(5, modified).empty());
}

TEST_CASE(
    "a run's window lies behind earlier slices and before the next one", "[extract][cursor]"
) {
    const CursorBound five{"5", {"[\"a\"]"}};
    const CursorBound nine{"9", {}};
    const std::vector<extract::ReadSlice> slices{
        {"dt=1\n", slice(std::nullopt, five)},
        {"dt=3\n", slice(five, nine)},
        {"dt=4\n", Json{{"files", Json::object()}}}
    };
    const auto before = extract::window_of(slices, "dt=0\n", "at");
    CHECK(before.none);
    const auto between = extract::window_of(slices, "dt=2\n", "at");
    CHECK(between.bounded);
    CHECK(between.range == CursorRange{five, five});
    const auto behind = extract::window_of(slices, "dt=5\n", "at");
    CHECK_FALSE(behind.bounded);
    CHECK(behind.range == CursorRange{nine, std::nullopt});
    // Another column's slices say nothing.
    CHECK(extract::window_of(slices, "dt=5\n", "other").range == CursorRange{});
}
