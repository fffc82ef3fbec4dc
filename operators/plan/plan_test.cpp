#include "operators/plan/plan.hpp"

#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"

using namespace sluice;

namespace {

DatasetSpec people() {
    DatasetSpec spec;
    spec.name = "sales.people";
    for (const auto& [name, pii_class] :
         {std::pair{"id", ""}, {"city", ""}, {"mail", "email"}, {"doc", ""}, {"token", ""}}) {
        ColumnSpec column;
        column.name = name;
        column.type = "varchar";
        column.pii_class = pii_class;
        spec.columns.push_back(std::move(column));
    }
    return spec;
}

}  // namespace

TEST_CASE("a table is compared with its shadow, and what is classified stays hidden", "[plan]") {
    binding::WarehouseFixture w;
    w.sql.execute(
        "drop schema if exists sales__test_1 cascade; create table sales.people (sk bigint "
        "generated always as identity, id bigint primary key, city text, mail text, doc json, "
        "token text, _sluice_run_id text); insert into sales.people (id, city, mail, doc, token, "
        "_sluice_run_id) select i, 'Bonn', 'canary' || i || '@x', '{}', 'tok_' || repeat('a', 26), "
        "'r1' from generate_series(1, 100) i; create view sales.cities as select city, count(*) as "
        "n from sales.people group by 1; create schema if not exists _sluice; create table if not "
        "exists _sluice.ledger (dataset text, generation bigint); insert into _sluice.ledger "
        "values "
        "('sales.people', 3), ('other.people', 4)"
    );
    const plan::Shadow shadow{w.warehouse.value(), "sales", "sales__test_1"};
    plan::copy_schema(shadow, {});
    plan::Difference none = plan::compare_table(shadow, people());
    CHECK((none.before == 100 && none.after == 100));
    CHECK((none.added == 0 && none.changed == 0 && none.removed == 0 && none.samples.empty()));
    CHECK(none.notes == std::vector<std::string>{"tokens are not compared: token"});
    CHECK(w.text("select dataset from sales__test_1._sluice_ledger") == "sales.people");
    CHECK(w.text("select n from sales__test_1.cities") == "100");
    // New surrogate keys go on where the real ones end.
    w.sql.execute(
        "insert into sales__test_1.people (id, city, mail) values (101, 'Ulm', 'canary@x'); update "
        "sales__test_1.people set city = 'Köln', mail = 'canary2@x', _sluice_run_id = 'r2' where "
        "id "
        "= 7; delete from sales__test_1.people where id in (8, 9); update sales__test_1.people set "
        "_sluice_run_id = 'r2', token = 'tok_' || repeat('b', 26)"
    );
    CHECK(w.text("select sk from sales__test_1.people where id = 101") == "101");
    const plan::Difference found = plan::compare_table(shadow, people());
    CHECK((found.added == 1 && found.changed == 1 && found.removed == 2));
    REQUIRE(found.samples.size() == 4);
    // The data set does not declare sk: whether it is personal is not known.
    CHECK(found.samples[0] == "+ sk=*** id=101 city=Ulm mail=*** doc=null");
    CHECK(found.samples[1] == "~ id=7 city: Bonn -> Köln mail: *** -> ***");
    CHECK(found.samples[2].starts_with("- "));
    for (const std::string& line : found.samples) CHECK(line.find("canary") == std::string::npos);
    w.sql.execute("drop schema sales__test_1 cascade; drop table _sluice.ledger");
}

TEST_CASE("files of the lake are compared as rows", "[plan]") {
    binding::LakeFixture v;
    const auto write = [&](const std::string& name, const std::string& query) {
        const std::string file = v.path() + "/" + name;
        engine::Database database(engine::DatabaseOptions{});
        database.execute("copy (" + query + ") to '" + file + "' (format parquet)");
        return file;
    };
    DatasetSpec spec = people();
    spec.key = {"id"};
    const std::string before =
        write("a.parquet", "select i as id, 'Bonn' as city, 'canary' as mail from range(10) t(i)");
    const std::string after = write(
        "b.parquet",
        "select i as id, case i when 3 then 'Ulm' else 'Bonn' end as city, 'canary' as mail, 1 as "
        "extra from range(2, 11) t(i)"
    );
    const auto found = plan::compare_files({{before}, {after}}, spec, v.path());
    CHECK((found.before == 10 && found.after == 9));
    CHECK((found.added == 1 && found.changed == 1 && found.removed == 2));
    CHECK(found.notes == std::vector<std::string>{"new column extra"});
    CHECK(found.samples[1] == "~ id=3 city: Bonn -> Ulm");
    const auto first = plan::compare_files({{}, {after}}, spec, v.path());
    CHECK((first.before == 0 && first.added == 9 && first.removed == 0));
}
