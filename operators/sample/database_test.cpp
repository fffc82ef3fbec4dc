#include <catch2/catch.hpp>

#include "operators/binding/warehouse_fixture.hpp"
#include "operators/sample/sample.hpp"

using namespace sluice;

TEST_CASE("the sample fills the shop, and again", "[sample]") {
    const binding::LakeFixture home;
    const std::string url = binding::warehouse_cluster().url("shop");
    sample::write_sample({.days = 2}, home.path(), url);
    const auto summary = sample::write_sample({}, home.path(), url);
    task::Connection connection;
    connection.id = "shop";
    connection.type = "postgres";
    connection.schema = url;
    connect::Postgres shop(connection, "test");
    for (const sample::Part& part : summary.parts)
        if (part.name.starts_with("shop."))
            CHECK(shop.integer("select count(*) from " + part.name.substr(5)) == part.rows);
    CHECK(
        shop.integer("select count(*) from customers where recorded_at < '2026-01-01 00:00:01+00'"
        ) == 1000
    );
    CHECK(
        shop.value("select email from customers where customer_id = 500 limit 1") ==
        "zq500canary@example.com"
    );
    CHECK(std::filesystem::exists(home.path() + "/sample/ecommerce/sample_manifest.json"));
}
