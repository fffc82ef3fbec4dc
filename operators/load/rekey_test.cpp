#include <thread>

#include <catch2/catch.hpp>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

Json dimension(const std::string& name) {
    return {
        {"to", "sales.dim_" + name}, {"mode", "scd2"}, {"key", name}, {"updated_at", "updated_at"}
    };
}

std::string change(const std::string& name, const std::string& at, const std::string& value) {
    return "select 1::bigint " + name + ", '" + value + "' v, timestamptz '" + at +
           "+00' updated_at";
}

/// A load in a thread of its own, with the lake and the daemon's side of the ledger its own.
class Loader {
public:
    Loader(const std::string& name, const std::string& rows)
        : thread_([this, name, rows] {
              LoadFixture own(LoadFixture::Start::as_is);
              outcome_ = own.load(1, dimension(name), rows);
          }) {}
    Outcome wait() {
        thread_.join();
        return outcome_;
    }

private:
    Outcome outcome_;
    std::thread thread_;
};

}  // namespace

TEST_CASE(
    "two dimensions that re-key the same facts at the same time lose neither", "[load][star]"
) {
    LoadFixture f;
    for (const std::string name : {"customer", "product"})
        REQUIRE(
            f.load(0, dimension(name), change(name, "2025-12-31 00:00:00", "old")).kind ==
            OutcomeKind::success
        );
    REQUIRE(
        f.load(
             0,
             {{"to", "sales.fact"},
              {"key", "id"},
              {"event_time", "at_"},
              {"dimensions", {"sales.dim_customer", "sales.dim_product"}}},
             "select range::bigint id, 1::bigint customer, 1::bigint product, timestamptz "
             "'2026-01-01 10:00:00+00' at_ from range(3)"
        )
            .kind == OutcomeKind::success
    );
    // A session that holds a fact makes both loads wait in the middle of their work.
    f.sql().execute("begin");
    f.sql().query("select 1 from sales.fact where id = 1 for update");
    Loader customers("customer", change("customer", "2026-01-01 09:00:00", "new"));
    Loader products("product", change("product", "2026-01-01 09:30:00", "new"));
    connect::Postgres watcher(warehouse_connection(), "watcher");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const auto waiting = [&] {
        return watcher.value(
                   "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and "
                   "application_name like 'sluice:%'"
               ) == "2";
    };
    bool both = waiting();
    while (!both && std::chrono::steady_clock::now() < deadline) both = waiting();
    CHECK(both);
    f.sql().execute("rollback");
    for (Loader* loader : {&customers, &products}) {
        const Outcome outcome = loader->wait();
        INFO(outcome.message);
        CHECK(outcome.kind == OutcomeKind::success);
    }
    CHECK(
        f.text("select id, c.v, p.v from sales.fact join sales.dim_customer c using (customer_sk) "
               "join sales.dim_product p using (product_sk) order by 1"
        ) == "0,new,new 1,new,new 2,new,new"
    );
}
