#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

const Json customers{
    {"to", "sales.dim_customer"},
    {"mode", "scd2"},
    {"key", "customer_id"},
    {"updated_at", "updated_at"},
    {"type1", {"opt_in"}},
    {"deletes", {{"where", "deleted_at is not null"}}}
};
const Json locations{{"to", "sales.dim_location"}, {"key", "location_id"}};
const Json dates{
    {"to", "sales.dim_date"},
    {"from", {{"date_spine", {{"start", "2025-12-01"}, {"end", "2026-12-31"}}}}}
};
const Json facts{
    {"to", "sales.fact_sales"},
    {"key", {"order_id", "line_no"}},
    {"event_time", "ordered_at"},
    {"dimensions", {"sales.dim_date", "sales.dim_location", "sales.dim_customer"}}
};

std::string customer(
    int id,
    const std::string& at,
    const std::string& city,
    bool opt_in = true,
    const std::string& deleted = ""
) {
    return "select " + std::to_string(id) + "::bigint customer_id, '" + city + "' city, " +
           (opt_in ? "true" : "false") + " opt_in, timestamptz '" + at + "+00' updated_at, " +
           (deleted.empty() ? "null::timestamptz" : "timestamptz '" + deleted + "+00'") +
           " deleted_at";
}

std::string fact(
    int order,
    const std::string& customer_id,
    const std::string& at,
    const std::string& location = "1"
) {
    return "select " + std::to_string(order) + "::bigint order_id, 1::integer line_no, " +
           customer_id + "::bigint customer_id, " + location +
           "::bigint location_id, timestamptz '" + at + "+00' ordered_at, 100::bigint net_cents";
}

void load_small_dimensions(LoadFixture& f) {
    REQUIRE_OK(f.load(0, dates));
    REQUIRE_OK(f.load(0, locations, "select 1::bigint location_id, 'Porto' as name"));
}

constexpr const char* fact_view =
    "select f.order_id, f.date_sk, l.name, c.customer_id, c.city, c.is_inferred from "
    "sales.fact_sales f join sales.dim_location l using (location_sk) join sales.dim_customer c "
    "using (customer_sk) join sales.dim_date d using (date_sk) order by 1";

}  // namespace

TEST_CASE("facts find the version of their time", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(
        0,
        customers,
        customer(7, "2026-01-01 06:00:00", "Lisboa") + " union all " +
            customer(7, "2026-01-01 12:00:00", "Braga")
    ));
    REQUIRE_OK(f.load(
        0,
        facts,
        fact(1, "7", "2026-01-01 01:00:00") + " union all " + fact(2, "7", "2026-01-01 11:59:59") +
            " union all " + fact(3, "7", "2026-01-01 12:00:00")
    ));
    CHECK(
        f.text(fact_view) ==
        "1,20260101,Porto,7,Lisboa,f 2,20260101,Porto,7,Lisboa,f 3,20260101,Porto,7,Braga,f"
    );
    CHECK(
        f.text("select valid_from, valid_to, is_current, city from sales.dim_customer where "
               "customer_id = 7 order by 1") ==
        "1900-01-01 00:00:00+00,2026-01-01 12:00:00+00,f,Lisboa "
        "2026-01-01 12:00:00+00,infinity,t,Braga"
    );
}

TEST_CASE("a late change of a dimension re-keys the facts it concerns", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(0, customers, customer(7, "2025-12-31 00:00:00", "Lisboa")));
    REQUIRE_OK(f.load(
        0,
        facts,
        fact(1, "7", "2026-01-01 10:00:00") + " union all " + fact(2, "7", "2026-01-01 20:00:00")
    ));
    REQUIRE_OK(f.load(1, customers, customer(7, "2026-01-01 15:00:00", "Braga")));
    CHECK(f.text(fact_view) == "1,20260101,Porto,7,Lisboa,f 2,20260101,Porto,7,Braga,f");
    // The correction takes the version away again, and the facts follow.
    REQUIRE_OK(f.load(1, customers, customer(9, "2026-01-01 15:00:00", "Faro")));
    CHECK(f.text(fact_view) == "1,20260101,Porto,7,Lisboa,f 2,20260101,Porto,7,Lisboa,f");
}

TEST_CASE("unknown keys become inferred members, filled in place later", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(0, customers, customer(1, "2025-12-31 00:00:00", "Lisboa")));
    REQUIRE_OK(f.load(0, facts, fact(1, "42", "2026-01-01 10:00:00", "8")));
    CHECK(f.text(fact_view) == "1,20260101,-,42,-,t");
    const std::string sk = f.text("select customer_sk from sales.fact_sales");
    REQUIRE_OK(f.load(1, customers, customer(42, "2026-01-02 00:00:00", "Braga")));
    REQUIRE_OK(f.load(1, locations, "select 8::bigint location_id, 'Tavira' as name"));
    CHECK(f.text(fact_view) == "1,20260101,Tavira,42,Braga,f");
    CHECK(f.text("select customer_sk from sales.fact_sales") == sk);
}

TEST_CASE("an inferred member goes when no fact needs it any more", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(0, customers, customer(1, "2025-12-31 00:00:00", "Lisboa")));
    REQUIRE_OK(f.load(0, facts, fact(1, "42", "2026-01-01 10:00:00")));
    REQUIRE_OK(f.load(0, facts, fact(1, "1", "2026-01-01 10:00:00")));
    CHECK(f.text("select count(*) from sales.dim_customer where is_inferred") == "0");
}

TEST_CASE("a NULL key is member -1, a key that was not valid then is member -2", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(
        0,
        customers,
        customer(7, "2025-12-31 00:00:00", "Lisboa") + " union all " +
            customer(7, "2026-01-01 12:00:00", "Lisboa", true, "2026-01-01 12:00:00")
    ));
    REQUIRE_OK(f.load(
        0,
        facts,
        fact(1, "null", "2026-01-01 10:00:00") + " union all " +
            fact(2, "7", "2026-01-01 11:00:00") + " union all " +
            fact(3, "7", "2026-01-01 13:00:00")
    ));
    CHECK(
        f.text("select order_id, customer_sk < 0, customer_sk = -1, customer_sk = -2 from "
               "sales.fact_sales order by 1") == "1,t,t,f 2,f,f,f 3,t,f,t"
    );
    CHECK(
        f.text("select customer_sk, customer_id, city from sales.dim_customer where "
               "customer_sk < 0 order by 1") == "-2,-,Invalid -1,-,Unknown"
    );
    CHECK(
        f.text("select is_current, valid_to from sales.dim_customer where customer_id = 7") ==
        "f,2026-01-01 12:00:00+00"
    );
    // They go with the last fact that needs them: what was wrong once leaves no trace.
    REQUIRE_OK(f.load(0, customers, customer(7, "2025-12-31 00:00:00", "Lisboa")));
    CHECK(f.text("select customer_sk from sales.dim_customer where customer_sk < 0") == "-1");
    REQUIRE_OK(f.load(0, facts, fact(2, "7", "2026-01-01 11:00:00")));
    CHECK(f.text("select count(*) from sales.dim_customer where customer_sk < 0") == "0");
}

TEST_CASE("a type 1 column shows its latest value in all versions", "[load][scd2]") {
    LoadFixture f;
    REQUIRE_OK(f.load(0, customers, customer(7, "2026-01-01 00:00:00", "Lisboa", false)));
    REQUIRE_OK(f.load(1, customers, customer(7, "2026-01-02 00:00:00", "Braga", false)));
    REQUIRE_OK(f.load(2, customers, customer(7, "2026-01-03 00:00:00", "Braga", true)));
    CHECK(
        f.text("select city, opt_in, is_current from sales.dim_customer order by valid_from") ==
        "Lisboa,t,f Braga,t,t"
    );
}

TEST_CASE("a fact key that crosses intervals fails the load", "[load][star]") {
    LoadFixture f;
    const Json params{{"to", "sales.fact_x"}, {"key", "id"}, {"event_time", "at_"}};
    REQUIRE_OK(f.load(0, params, "select 1 id, timestamptz '2026-01-01' as at_"));
    const Outcome outcome = f.load(1, params, "select 1 id, timestamptz '2026-01-02' as at_");
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Catch::Contains("E-LOAD-CROSS"));
    CHECK(f.text("select count(*) from sales.fact_x") == "1");
}

TEST_CASE("a date outside the date dimension fails, a missing dimension too", "[load][star]") {
    LoadFixture f;
    Outcome outcome = f.load(0, facts, fact(1, "1", "2026-01-01 10:00:00"));
    CHECK_THAT(outcome.message, Catch::Contains("sales.dim_date"));
    load_small_dimensions(f);
    REQUIRE_OK(f.load(0, customers, customer(1, "2025-12-31 00:00:00", "Lisboa")));
    outcome = f.load(0, facts, fact(1, "1", "2031-01-01 10:00:00"));
    CHECK(outcome.error_class == ErrorClass::data_quality);
    CHECK_THAT(outcome.message, Catch::Contains("E-LOAD-DIMENSION"));
}

TEST_CASE("a dimension in two roles, unknown members, days of the DAG's zone", "[load][star]") {
    LoadFixture f;
    f.timezone = "America/New_York";
    const Json airports{{"to", "sales.dim_airport"}, {"key", "faa"}};
    REQUIRE_OK(f.load(0, dates));
    REQUIRE_OK(f.load(0, airports, "select 'JFK' faa union all select 'LGA'"));
    const Json flights{
        {"to", "sales.fact_flights"},
        {"key", "id"},
        {"event_time", "at_"},
        {"dimensions",
         {"sales.dim_date",
          {{"dimension", "sales.dim_airport"}, {"role", "origin"}, {"using", {{"faa", "origin"}}}},
          {{"dimension", "sales.dim_airport"},
           {"role", "dest"},
           {"using", {{"faa", "dest"}}},
           {"missing", "unknown"}}}}
    };
    REQUIRE_OK(f.load(
        0,
        flights,
        "select 1 id, timestamptz '2026-01-02 03:00:00+00' as at_, 'JFK' origin, 'XXX' dest"
    ));
    CHECK(
        f.text("select date_sk, o.faa, dest_sk from sales.fact_flights f join sales.dim_airport "
               "o on o.airport_sk = f.origin_sk") == "20260101,JFK,-1"
    );
    // The key comes later: the facts that were unknown find it.
    REQUIRE_OK(f.load(1, airports, "select 'XXX' faa"));
    CHECK(
        f.text("select d.faa from sales.fact_flights f join sales.dim_airport d on "
               "d.airport_sk = f.dest_sk") == "XXX"
    );
}

TEST_CASE("the star has its keys and indexes", "[load][star]") {
    LoadFixture f;
    load_small_dimensions(f);
    REQUIRE_OK(f.load(0, customers, customer(7, "2025-12-31 00:00:00", "Lisboa")));
    REQUIRE_OK(f.load(0, facts, fact(1, "7", "2026-01-01 10:00:00")));
    CHECK(
        f.text("select count(*) from pg_constraint where contype = 'f' and conrelid = "
               "'sales.fact_sales'::regclass") == "3"
    );
    CHECK(
        f.text("select count(*) from pg_constraint where contype = 'p' and conrelid in "
               "('sales.fact_sales'::regclass, 'sales.dim_customer'::regclass)") == "2"
    );
    CHECK_THROWS(f.sql().execute(
        "insert into sales.dim_customer (customer_sk, customer_id, valid_from, valid_to, "
        "is_current) values (99, 7, '2026-01-01', 'infinity', true)"
    ));
}
