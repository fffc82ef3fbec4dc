// kill -9 at every named point of a load, in a process of its own: what is live is the old rows or
// the new ones, never a third state, and a re-run gives the new ones.
#include <thread>

#include <catch2/catch.hpp>
#include <sys/wait.h>

#include "operators/load/load_fixture.hpp"

using namespace sluice;
using namespace sluice::load;
using Json = nlohmann::json;

namespace {

const Json facts{
    {"to", "sales.fact"},
    {"key", "id"},
    {"event_time", "at_"},
    {"dimensions", {"sales.dim_c"}},
    {"max_rejects", 1}
};
const Json dimension{{"to", "sales.dim_c"}, {"mode", "scd2"}, {"key", "c"}, {"updated_at", "at_"}};

constexpr const char* old_facts =
    "select 1 id, 1 c, timestamptz '2026-01-01 10:00:00+00' at_ union all select 2, 9, timestamptz "
    "'2026-01-01 11:00:00+00'";
constexpr const char* new_facts =
    "select 2 id, 1 c, timestamptz '2026-01-01 12:00:00+00' at_ union all select null, 8, null";
constexpr const char* old_dimension = "select 1 c, 'a' v, timestamptz '2026-01-01 06:00:00+00' at_";
constexpr const char* new_dimension =
    "select 1 c, 'b' v, timestamptz '2026-01-01 09:00:00+00' at_ union all select 9, 'n', "
    "timestamptz "
    "'2026-01-01 09:00:00+00'";

std::string state(LoadFixture& f) {
    return f.text(
               "select id, f.c, d.c, v, d.valid_from, d.valid_to, is_inferred from sales.fact f "
               "join sales.dim_c d using (c_sk) order by 1"
           ) +
           " | " + f.text("select c, v, valid_from from sales.dim_c order by 1, 3") + " | " +
           f.text("select column_name, reason from _sluice.rejects");
}

/// Runs the hidden test below in a new process that a fault point kills.
int run_child(const std::string& what, const std::string& fault) {
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string command = "SLUICE_FAULT=" + fault + ":1 SLUICE_TEST_LOAD=" + what +
                                " SLUICE_TEST_WAREHOUSE='" + warehouse_url() + "' '" + program +
                                "' '[.load_child]' > /dev/null 2>&1";
    const int status = std::system(("exec sh -c \"" + command + "\"").c_str());
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("the child of the crash test", "[.load_child]") {
    LoadFixture f(LoadFixture::Start::as_is);
    const bool is_facts = std::string(std::getenv("SLUICE_TEST_LOAD")) == "facts";
    const Outcome outcome =
        f.load(0, is_facts ? facts : dimension, is_facts ? new_facts : new_dimension);
    INFO(outcome.message);
    REQUIRE(outcome.kind == OutcomeKind::success);
}

#ifdef SLUICE_FAULT_POINTS
TEST_CASE("kill -9 of a load at any point loses nothing and doubles nothing", "[load][crash]") {
    for (const std::string what : {"facts", "dimension"}) {
        for (const std::string point :
             {"load_before_stage",
              "load_mid_copy",
              "load_after_stage",
              "load_inside_transaction",
              "load_after_commit_before_ack"}) {
            CAPTURE(what, point);
            LoadFixture f;
            const bool is_facts = what == "facts";
            REQUIRE(f.load(0, dimension, old_dimension).kind == OutcomeKind::success);
            REQUIRE(f.load(0, facts, old_facts).kind == OutcomeKind::success);
            const std::string before = state(f);
            // 137 = the point was reached; a point that is never reached fails the test.
            REQUIRE(run_child(what, point) == 137);
            const std::string after_crash = state(f);
            const Outcome again =
                f.load(0, is_facts ? facts : dimension, is_facts ? new_facts : new_dimension);
            INFO(again.message);
            REQUIRE(again.kind == OutcomeKind::success);
            const std::string converged = state(f);
            CHECK(converged != before);
            const bool committed = point == "load_after_commit_before_ack";
            CHECK(after_crash == (committed ? converged : before));
            CHECK(
                f.text("select count(*) from _sluice.ledger where state = 'committed' group by "
                       "dataset order by dataset") == "1 1"
            );
        }
    }
}
#endif

TEST_CASE("a cancel ends a load within a second and nothing is published", "[load][cancel]") {
    LoadFixture f;
    f.put(0, "select range id, repeat('x', 50) v from range(400000)");
    task::FakeContext fake(f.ledger);
    f.prepare(fake, 0);
    // Another session holds the table's lock, so the load waits in its transaction.
    REQUIRE(
        f.load(1, {{"to", "sales.t"}, {"mode", "append"}}, "select 1::bigint id, 'x' v").kind ==
        OutcomeKind::success
    );
    f.sql().execute("begin");
    f.sql().execute("lock table sales.t in access exclusive mode");
    Outcome outcome;
    std::thread loader([&] {
        outcome = fake.run(
            ops::load_operator(), {{"from", "curated.rows"}, {"to", "sales.t"}, {"mode", "append"}}
        );
    });
    connect::Postgres watcher(warehouse_connection(), "watcher");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const auto waiting = [&] {
        return watcher.value(
                   "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                   "and application_name like 'sluice:%'"
               ) == "1";
    };
    while (!waiting()) REQUIRE(std::chrono::steady_clock::now() < deadline);
    const auto cancelled = std::chrono::steady_clock::now();
    fake.context().cancel();
    loader.join();
    CHECK(std::chrono::steady_clock::now() - cancelled < std::chrono::seconds(1));
    f.sql().execute("rollback");
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(f.text("select count(*) from sales.t") == "1");
}
