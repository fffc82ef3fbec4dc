// Operators that wait for other runs and for people.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "operators/control/control.hpp"
#include "task/fake_context.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// Pokes until the operator ends, as the daemon would: each one gets what the last one left.
struct Poker {
    task::Operator op;
    Json params;
    std::function<Json(const Json&)> answers{};
    std::optional<PokeInfo> poke{};
    std::optional<Duration> execution_timeout{};
    Json returned{};

    Outcome look() {
        task::FakeLedger ledger;
        task::FakeContext context(ledger);
        context.answers = answers;
        context.job.poke = poke;
        context.job.execution_timeout = execution_timeout;
        const auto outcome = context.run(op, params);
        returned = context.xcom(op.name == "trigger_dag_run" ? "trigger_run_id" : "return_value");
        if (outcome.kind == OutcomeKind::waiting) {
            const Instant first = poke ? poke->first_at : SystemClock().now();
            poke = PokeInfo{first, poke ? poke->pokes + 1 : 1, outcome.wait->resume};
        }
        return outcome;
    }
};

TEST_CASE("a triggered run's id is durable before the run is asked for", "[control]") {
    std::vector<Json> wishes;
    std::string state = "running";
    Poker poker{trigger_dag_run_operator(), {{"trigger_dag_id", "other"}, {"conf", {{"n", 1}}}}};
    poker.answers = [&](const Json& request) -> Json {
        if (request.at("type") == "trigger_run") {
            wishes.push_back(request);
            return {{"run_id", request.at("run_id")}};
        }
        return {
            {"seen", 5},
            {"dag_known", true},
            {"run", {{"run_id", request.at("run_id")}, {"state", state}}}
        };
    };
    const bool waits = GENERATE(false, true);
    poker.params["wait_for_completion"] = waits;

    const auto first = poker.look();
    REQUIRE(first.kind == OutcomeKind::waiting);
    REQUIRE(wishes.empty());
    const auto durable = poker.poke;
    const auto second = poker.look();
    REQUIRE(wishes.size() == 1);
    poker.poke = durable;  // the daemon was killed: only what was durable is left
    const auto third = poker.look();
    REQUIRE(wishes.size() == 2);
    CHECK(wishes[0] == wishes[1]);
    CHECK(wishes[0].at("conf") == Json{{"n", 1}});
    CHECK(wishes[0].at("by") == "test_dag/manual__2026-01-05/task#1");
    if (!waits) {
        CHECK(second.kind == OutcomeKind::success);
        CHECK(poker.returned == wishes[0].at("run_id"));
        return;
    }
    REQUIRE(third.kind == OutcomeKind::waiting);
    CHECK(third.wait->kind == WaitKind::deferred);
    CHECK(third.wait->event == run_event("other", wishes[0].at("run_id")));
    CHECK(third.wait->seen == Seq{5});
    SECTION("success") {
        state = "success";
        CHECK(poker.look().kind == OutcomeKind::success);
    }
    SECTION("failure") {
        state = "failed";
        CHECK(poker.look().kind == OutcomeKind::failed);
    }
    CHECK(wishes.size() == 2);
}

TEST_CASE("a run that is reset is asked for at once", "[control]") {
    int wishes = 0;
    Poker poker{
        trigger_dag_run_operator(),
        {{"trigger_dag_id", "other"}, {"trigger_run_id", "mine"}, {"reset_dag_run", true}}
    };
    poker.answers = [&](const Json& request) -> Json {
        ++wishes;
        CHECK(request.at("reset") == true);
        return {{"run_id", "an older one"}};
    };
    CHECK(poker.look().kind == OutcomeKind::success);
    CHECK(poker.returned == "an older one");
    CHECK(wishes == 1);
}

Json answered(const Json& question, const char* option) {
    return {
        {"asked", question},
        {"answer",
         {{"chosen_options", {option}},
          {"params_input", Json::object()},
          {"responded_by_user", {{"id", "ada"}, {"name", "ada"}}}}}
    };
}

TEST_CASE("an approval ends as somebody says", "[control]") {
    Poker poker{approval_operator(), {{"subject", "go?"}, {"body", "really"}}};
    const auto asked = poker.look();
    REQUIRE(asked.kind == OutcomeKind::waiting);
    CHECK(asked.wait->kind == WaitKind::input);
    CHECK_FALSE(asked.wait->until);
    const auto question = Json::parse(asked.wait->resume);
    CHECK(question.at("options") == Json::array({"Approve", "Reject"}));
    CHECK(poker.look().kind == OutcomeKind::waiting);  // nobody has said anything
    SECTION("yes") {
        poker.poke->resume = answered(question, "Approve").dump();
        const auto yes = poker.look();
        CHECK(yes.kind == OutcomeKind::success);
        CHECK_FALSE(yes.branch);
        CHECK(poker.returned.at("chosen_options") == Json::array({"Approve"}));
    }
    SECTION("no: what follows directly is skipped") {
        poker.poke->resume = answered(question, "Reject").dump();
        const auto no = poker.look();
        CHECK(no.kind == OutcomeKind::success);
        REQUIRE(no.branch);
        CHECK(no.branch->chosen.empty());
    }
    SECTION("no, as a failure") {
        poker.params["fail_on_reject"] = true;
        poker.poke->resume = answered(question, "Reject").dump();
        CHECK(poker.look().kind == OutcomeKind::failed);
    }
}

TEST_CASE("a question that nobody answers ends with its default, or fails", "[control]") {
    Poker poker{hitl_branch_operator(), {{"subject", "which?"}, {"options", {"a", "b"}}}};
    poker.execution_timeout = 1h;
    const auto asked = poker.look();
    REQUIRE(asked.kind == OutcomeKind::waiting);
    REQUIRE(asked.wait->until);
    poker.poke->first_at -= 2h;
    SECTION("none") {
        const auto over = poker.look();
        CHECK(over.kind == OutcomeKind::failed);
        CHECK(over.message == "nobody has answered within 1h");
    }
    SECTION("a default") {
        poker.params["defaults"] = "b";
        const auto over = poker.look();
        REQUIRE(over.branch);
        CHECK(over.branch->chosen == std::vector<std::string>{"b"});
    }
}

}  // namespace
}  // namespace sluice::ops
