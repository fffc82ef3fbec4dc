#include "api/live_batch.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using namespace sluice::api;

TEST_CASE("topics are read, their parts decoded", "[api][live]") {
    const auto topics =
        parse_topics("dags,dag:a%2Cb,run:x/manual__2026%2B00%3A00,log:x/r/load.orders/-1/2@17");
    REQUIRE(topics.has_value());
    REQUIRE(topics->size() == 4);
    CHECK((*topics)[1].dag_id == "a,b");
    CHECK((*topics)[2].run_id == "manual__2026+00:00");
    const Topic& log = (*topics)[3];
    CHECK(log.task_id == "load.orders");
    CHECK(log.map_index == -1);
    CHECK(log.try_number == 2);
    CHECK(log.line == 17);
    CHECK(log.key == "x/r/load.orders/-1/2");
}

TEST_CASE("what is no topic is refused", "[api][live]") {
    for (const char* text :
         {"x", "dag:", "run:a", "run:a/b/c", "log:a/b/c/0", "log:a/b/c/x/1@2", "log:a/b/c/-1/1@-4"
         }) {
        CAPTURE(text);
        CHECK_FALSE(parse_topics(text));
    }
}

TEST_CASE("changes are merged, the last word on each key wins", "[api][live]") {
    runtime::Change first;
    first.seq = Seq{5};
    TaskInstance task;
    task.key = {RunKey{1}, 0, unmapped};
    task.state = TaskState::running;
    task.try_number = 1;
    first.instances = {task};
    first.definitions = {"d"};
    runtime::Change second;
    second.seq = Seq{6};
    task.state = TaskState::success;
    task.end_date = from_micros(7'000'000);
    second.instances = {task};
    DagState state;
    state.dag_id = "d";
    state.is_paused = false;
    second.dags = {state};
    Batch batch = batch_of(first);
    batch.add(batch_of(second));
    CHECK(batch.seq == Seq{6});
    REQUIRE(batch.tasks.size() == 1);
    CHECK(batch.tasks.begin()->second.letter == 's');
    CHECK(batch.tasks.begin()->second.at_ms == 7'000);
    CHECK(batch.dags.at("d").defined);
    CHECK(batch.dags.at("d").paused == false);
}
