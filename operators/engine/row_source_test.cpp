#include <algorithm>
#include <mutex>

#include <catch2/catch.hpp>

#include "operators/engine/database.hpp"
#include "operators/engine/failure.hpp"

using namespace sluice;
using namespace sluice::engine;

namespace {

/// Numbers from 0 on, in batches.
RowSource numbers(std::int64_t rows, const std::shared_ptr<std::int64_t>& next) {
    RowSource source;
    source.name = "numbers";
    source.columns = {{"n", "BIGINT"}, {"odd", "DECIMAL(4,1)"}, {"j", "JSON"}, {"l", "INTEGER[]"}};
    source.begin = [next] { *next = 0; };
    source.next = [rows, next, mutex = std::make_shared<std::mutex>()](RowAppender& into) {
        const std::lock_guard lock(*mutex);
        const std::int64_t end = std::min(rows, *next + static_cast<std::int64_t>(batch_rows));
        for (; *next < end; ++*next) {
            into.integer(*next);
            if (*next % 2 == 0)
                into.null();
            else
                into.huge(15);
            into.text("{\"a\": " + std::to_string(*next) + "}");
            into.begin_list(2);
            into.integer(*next % 7);
            into.null();
            into.end_list();
            into.end_row();
        }
    };
    return source;
}

constexpr const char* seen =
    "select count(*) || ' ' || count(distinct n) || ' ' || sum(odd) || ' ' || "
    "sum((j->>'$.a')::int) "
    "|| ' ' || sum(l[1]) || ' ' || count(l[2]) from ";

}  // namespace

TEST_CASE("rows are made while a statement reads them", "[engine]") {
    Database db(DatabaseOptions{});
    const auto next = std::make_shared<std::int64_t>(0);
    db.add_source(numbers(5000, next));
    const auto columns = db.describe("select * from numbers()");
    REQUIRE(columns.size() == 4);
    CHECK(columns[1].type == "DECIMAL(4,1)");
    CHECK(columns[2].type == "JSON");
    CHECK(columns[3].type == "INTEGER[]");
    CHECK(*next == 0);
    CHECK(db.text(seen + std::string("numbers()")) == "5000 5000 3750.0 12497500 14995 0");
    db.execute("create table t as select * from numbers()");
    CHECK(db.integer("select count(*) from t where n = rowid") == 5000);
}

TEST_CASE("several threads read a source that has no order", "[engine]") {
    DatabaseOptions options;
    options.threads = 3;
    Database db(options);
    const auto next = std::make_shared<std::int64_t>(0);
    RowSource source = numbers(50'000, next);
    source.threads = 3;
    db.forget_order();
    db.add_source(source);
    db.execute("create table t as select * from numbers()");
    CHECK(db.text(seen + std::string("t")) == "50000 50000 37500.0 1249975000 149997 0");
}

TEST_CASE("what a source throws fails the statement, and only that", "[engine]") {
    Database db(DatabaseOptions{});
    const auto next = std::make_shared<std::int64_t>(0);
    RowSource source = numbers(5000, next);
    const auto good = source.next;
    source.next = [&, good](RowAppender& into) {
        if (*next >= 4000) bad_data("row 4001 is bad");
        good(into);
    };
    db.add_source(source);
    CHECK_THROWS_WITH(
        db.execute("create table t as select * from numbers()"), Catch::Contains("row 4001 is bad")
    );
    source.name = "never";
    source.begin = [] { bad_data("there is nothing"); };
    db.add_source(source);
    CHECK_THROWS_WITH(db.query("select * from never()"), Catch::Contains("there is nothing"));
    CHECK(db.integer("select 7") == 7);
}
