#include "operators/control/control.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "task/fake_context.hpp"

using namespace sluice;
using namespace sluice::task;
using Json = nlohmann::json;

namespace {

Outcome run(const Operator& op, const Json& params, bool latest = true) {
    FakeLedger ledger;
    FakeContext fake(ledger);
    fake.latest = latest;
    const Outcome outcome = fake.run(op, params);
    REQUIRE(outcome.kind == OutcomeKind::success);
    return outcome;
}

}  // namespace

TEST_CASE("branch: the first true case decides, then else, then nobody", "[branch]") {
    const Json cases = {{{"when", false}, {"then", "a"}}, {{"when", true}, {"then", {"b", "c"}}}};
    const auto second = run(ops::branch_operator(), {{"case", cases}, {"else", "d"}});
    REQUIRE(second.branch == Branch{{"b", "c"}, false});
    const Json never = {{{"when", "False"}, {"then", "a"}}};
    REQUIRE(
        run(ops::branch_operator(), {{"case", never}, {"else", "d"}}).branch->chosen ==
        std::vector<std::string>{"d"}
    );
    REQUIRE(run(ops::branch_operator(), {{"case", never}}).branch == Branch{});
}

TEST_CASE("short_circuit: a true condition changes nothing, a false one skips", "[branch]") {
    const auto op = ops::short_circuit_operator();
    REQUIRE_FALSE(run(op, {{"condition", 7}}).branch);
    REQUIRE(run(op, {{"condition", 0}}).branch == Branch{{}, true});
    REQUIRE(
        run(op, {{"condition", ""}, {"ignore_downstream_trigger_rules", false}}).branch == Branch{}
    );
}

TEST_CASE("latest_only: only a run that is not the newest skips", "[branch]") {
    REQUIRE_FALSE(run(ops::latest_only_operator(), Json::object(), true).branch);
    REQUIRE(run(ops::latest_only_operator(), Json::object(), false).branch == Branch{});
}

TEST_CASE("branch: what counts as true", "[branch]") {
    for (const Json& no :
         {Json(),
          Json(false),
          Json(0),
          Json(""),
          Json(" "),
          Json("None"),
          Json("null"),
          Json("0"),
          Json::array(),
          Json::object()})
        CHECK_FALSE(ops::is_true(no));
    for (const Json& yes :
         {Json(true), Json(1), Json(-0.5), Json("yes"), Json("a b"), Json::array({0})})
        CHECK(ops::is_true(yes));
}
