// The past, setups and teardowns, what a branch may choose.
#include <catch2/catch.hpp>

#include "spec/loader_fixture.hpp"

namespace sluice::spec {
namespace {

using namespace fixture;

std::string branch_task(const std::string& with) {
    return R"({"task_id": "way", "operator": "branch", "with": )" + with + "}";
}

std::string below(const std::string& id, const std::string& more = "") {
    return task(id, R"(, "upstream": "way")" + more);
}

}  // namespace

TEST_CASE("the keys of past dependencies", "[spec][past]") {
    const Dag dag = good(tasks(
        task(
            "a", R"(, "wait_for_downstream": true, "wait_for_past_depends_before_skipping": true)"
        ) +
        "," +
        task(
            "b",
            R"(, "depends_on_previous_tasks": ["a", "b"], "ignore_first_depends_on_past": false)"
        )
    ));
    CHECK(dag.tasks[0].depends_on_past);
    CHECK(dag.tasks[0].wait_for_downstream);
    CHECK(dag.tasks[0].wait_for_past_depends_before_skipping);
    CHECK(dag.tasks[0].ignore_first_depends_on_past);
    CHECK(dag.tasks[1].depends_on_previous_tasks == std::vector<TaskNo>{0, 1});
    CHECK_FALSE(dag.tasks[1].ignore_first_depends_on_past);
    const auto unknown = only(tasks(task("load", R"(, "depends_on_previous_tasks": "laod")")));
    CHECK(unknown.code == "E-PAST");
    CHECK(unknown.suggestion == "did you mean \"load\"?");
    CHECK(
        only(tasks(task("a", R"(, "depends_on_past": true, "depends_on_previous_tasks": "a")")))
            .code == "E-PAST"
    );
}

TEST_CASE("setups and teardowns, and what they forbid", "[spec][setup]") {
    const auto setup = task("up", R"(, "is_setup": true)");
    const Dag dag = good(tasks(
        setup + "," + task("work", R"(, "upstream": "up")") + "," +
        task(
            "down",
            R"(, "upstream": ["up", "work"], "is_teardown": true, "on_failure_fail_dagrun": true)"
        )
    ));
    CHECK(dag.tasks[0].is_setup);
    CHECK(dag.tasks[2].is_teardown);
    CHECK(dag.tasks[2].on_failure_fail_dagrun);
    CHECK(dag.tasks[2].trigger_rule == TriggerRule::all_done_setup_success);
    for (const char* wrong :
         {R"(, "is_setup": true, "is_teardown": true)",
          R"(, "is_teardown": true, "trigger_rule": "all_done")",
          R"(, "on_failure_fail_dagrun": true)"}) {
        CAPTURE(wrong);
        CHECK(only(tasks(task("a", wrong))).code == "E-SETUP");
    }
    CHECK(
        only(tasks(setup + "," + task("a", R"(, "upstream": "up", "trigger_rule": "all_done")")))
            .code == "E-SETUP"
    );
    CHECK(only(tasks(task("a", R"(, "trigger_rule": "all_done_setup_success")"))).code == "E-ENUM");
}

TEST_CASE("what follows a group does not wait for its teardowns", "[spec][setup]") {
    const Dag dag = good(tasks(
        R"({"group_id": "g", "tasks": [)" + task("up", R"(, "is_setup": true)") + "," +
        task("work", R"(, "upstream": "g.up")") + "," +
        task("down", R"(, "upstream": ["g.up", "g.work"], "is_teardown": true)") + "]}," +
        task("next", R"(, "upstream": "g")")
    ));
    CHECK(dag.tasks[3].upstream == std::vector<TaskNo>{1});
}

TEST_CASE("fail_fast and failures in a row", "[spec]") {
    const Dag dag = good(dag_with(
        R"("fail_fast": true, "max_consecutive_failed_dag_runs": 3, "tasks": [)" + task("a") + "]"
    ));
    CHECK(dag.fail_fast);
    CHECK(dag.max_consecutive_failed_dag_runs == 3);
    CHECK(
        only(dag_with(
                 R"("fail_fast": true, "tasks": [)" +
                 task("a", R"(, "trigger_rule": "one_failed")") + "]"
             ))
            .code == "E-FAIL-FAST"
    );
}

TEST_CASE("a branch chooses what stands right below it", "[spec][branch]") {
    const auto missing =
        only(tasks(branch_task(R"({"case": [{"when": true, "then": "a"}]})") + "," + task("a")));
    CHECK(missing.code == "E-BRANCH");
    CHECK(missing.pointer == "/tasks/0/with/case/0/then");
    const auto group = branch_task(R"({"case": [{"when": true, "then": "g"}]})") +
                       R"(, {"group_id": "g", "upstream": "way", "tasks": [)" + task("x") + "]}";
    good(tasks(group));
}

TEST_CASE("a join below a branch that all_success would skip is warned of", "[spec][branch]") {
    const auto dag = [](const std::string& rule) {
        return tasks(
            branch_task(R"({"case": [{"when": true, "then": "a"}], "else": "b"})") + "," +
            below("a") + "," + below("b") + "," + task("join", R"(, "upstream": ["a", "b"])" + rule)
        );
    };
    const auto warned = dag("");
    REQUIRE(warned.value);
    REQUIRE(warned.problems.size() == 1);
    CHECK(warned.problems.front().code == "W-BRANCH-JOIN");
    CHECK(warned.problems.front().pointer == "/tasks/3");
    const auto fine = dag(R"(, "trigger_rule": "none_failed_min_one_success")");
    REQUIRE(fine.value);
    CHECK(fine.problems.empty());
}

}  // namespace sluice::spec
