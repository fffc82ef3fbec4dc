#include "core/test_world.hpp"
#include "model/layout.hpp"

namespace sluice::core {
namespace {

using test::make_dag;
using test::World;
using Ids = std::set<std::string>;
using Lines = std::vector<std::string>;

/// A clear of the tasks; the run goes on with the latest version, as the runtime gives it.
struct Moving : World {
    using World::World;
    DagPtr latest;

    void begin(const Lines& lines) { latest = load(make_dag("dag", lines)); }
    void change(Dag dag) { latest = load(std::move(dag)); }

    ClearTasks clear_of(const Lines& tasks) {
        ClearTasks clear;
        clear.run = run().key;
        const Dag& before = *version(run().version);
        for (const auto& id : tasks) {
            const TaskNo no = find_task(before, id);
            if (no == no_task)
                clear.new_tasks.push_back(id);
            else
                clear.tasks.push_back({clear.run, no, unmapped});
        }
        clear.stored = stored(clear.run);
        clear.on_latest = true;
        if (is_of(before, *latest)) return clear;
        Dag form = form_of(*latest, before);
        clear.onto = form.hash == latest->hash ? latest : keep(std::move(form));
        return clear;
    }
    Answer move(const Lines& tasks) { return ask(clear_of(tasks)); }
};

Mapping map_of(const std::string& owner, TaskNo task, const std::string& expand, int length) {
    Mapping mapping;
    mapping.owner = owner;
    mapping.expand = expand;
    if (length >= 0) mapping.length = length;
    mapping.tasks = {task};
    return mapping;
}

TEST_CASE("a cleared run goes on with the tasks of the latest version", "[core][move]") {
    Moving world;
    world.begin({"a", "b < a", "c < b"});
    world.trigger("dag");
    world.end("a");
    world.fail("b");
    REQUIRE(world.run_state() == "failed");
    // c is gone, n is new, and b has another upstream.
    world.change(make_dag("dag", {"n", "a", "b < a n"}));
    world.move({"b"});
    CHECK(world.run_state() == "running");
    CHECK(world.state("a") == "success");
    CHECK(world.state("c") == "removed");
    CHECK(world.state("n") == "running");
    CHECK(world.state("b") == "none");
    CHECK(world.version(world.run().version)->hash != world.latest->hash);
    world.restart();
    CHECK(world.running() == Ids{"n"});
    world.end("n");
    world.end("b");
    CHECK(world.run_state() == "success");
    CHECK(world.instance("b").try_number == 2);
    CHECK(world.state("c") == "removed");
}

TEST_CASE(
    "a dry run on the latest version lists by its edges and changes nothing", "[core][move]"
) {
    Moving world;
    world.begin({"a", "b < a", "c"});
    world.trigger("dag");
    world.end("c");
    world.end("a");
    world.end("b");
    world.change(make_dag("dag", {"c", "a", "b < c"}));
    auto clear = world.clear_of({"c"});
    clear.downstream = true;
    clear.dry_run = true;
    const auto before = world.run().version;
    CHECK(world.ask(clear).instances.size() == 2);
    CHECK(world.run().version == before);
    CHECK(world.run_state() == "success");
    CHECK(world.scheduler.counts().open_runs == 0);
}

TEST_CASE("only new tasks run when nothing else is asked for", "[core][move]") {
    Moving world;
    world.begin({"a"});
    world.trigger("dag");
    world.end("a");
    world.change(make_dag("dag", {"a", "n < a"}));
    auto clear = world.clear_of({});
    clear.only_new = true;
    world.ask(clear);
    CHECK(world.running() == Ids{"n"});
    CHECK(world.instance("a").try_number == 1);
    CHECK(world.run().version == world.latest->version);
    world.end("n");
    CHECK(world.run_state() == "success");
}

TEST_CASE("a clear that finds nothing leaves the run on its version", "[core][move]") {
    Moving world;
    world.begin({"a", "b"});
    world.trigger("dag");
    world.end("a");
    world.end("b");
    world.change(make_dag("dag", {"b"}));
    auto clear = world.clear_of({});
    clear.only_failed = true;
    const auto before = world.run().version;
    world.ask(clear);
    CHECK(world.run().version == before);
    CHECK(world.run_state() == "success");
}

TEST_CASE("a run at work moves: what is gone is stopped, what goes on goes on", "[core][move]") {
    Moving world;
    world.begin({"a", "b", "c < b"});
    world.trigger("dag");
    CHECK(world.running() == Ids{"a", "b"});
    world.change(make_dag("dag", {"b", "d < b"}));
    const auto old = world.live_attempt("a");
    auto clear = world.clear_of({});
    clear.only_new = true;
    world.ask(clear);
    CHECK(world.run_state() == "running");
    CHECK(world.state("a") == "removed");
    CHECK(world.state("c") == "removed");
    CHECK(world.state("b") == "running");
    REQUIRE(world.cancels.size() == 1);
    CHECK(world.cancels.front().key == old);
    world.fail("a");  // comes too late
    CHECK(world.state("a") == "removed");
    world.end("b");
    CHECK(world.running() == Ids{"d"});
    world.end("d");
    CHECK(world.run_state() == "success");
}

TEST_CASE(
    "who looks at a run that moves looks again, even if it waits for a slot", "[core][move]"
) {
    Moving world;
    const auto trigger = [&](const std::string& run_id, int day) {
        TriggerRun event;
        event.dag_id = "dag";
        event.run_id = run_id;
        event.logical_date = test::at("2026-01-01T00:00:00Z") + std::chrono::days{day};
        REQUIRE_FALSE(world.ask(event).error);
    };
    world.begin({"a"});
    trigger("r1", 1);
    auto dag = make_dag("dag", {"a", "n"});
    dag.tasks[1].depends_on_past = dag.tasks[1].ignore_first_depends_on_past = true;
    dag.tasks[1].pool = "later";
    world.change(dag);
    trigger("r2", 2);  // no run before it has the task: n waits for a slot alone
    auto clear = world.clear_of({});
    clear.only_new = true;
    world.ask(clear);
    PutPool put;
    put.pool.name = "later";
    put.pool.slots = 2;
    world.ask(put);
    CHECK(world.state("n", "r1") == "running");
    CHECK(world.state("n", "r2") == "none");
    world.end("n", {}, "r1");
    CHECK(world.state("n", "r2") == "running");
}

TEST_CASE("limits and pools count a moved attempt by the new version", "[core][move]") {
    Moving world;
    Pool pool;
    pool.name = "narrow";
    pool.slots = 1;
    PutPool put;
    put.pool = pool;
    world.ask(put);
    world.begin({"a", "b"});
    world.trigger("dag");
    auto narrow = make_dag("dag", {"a", "b", "n"});
    for (auto& task : narrow.tasks) task.pool = "narrow";
    world.change(narrow);
    auto clear = world.clear_of({});
    clear.only_new = true;
    world.ask(clear);
    CHECK(world.running() == Ids{"a", "b"});
    world.end("a");
    CHECK(world.running() == Ids{"b"});
    world.end("b");
    CHECK(world.running() == Ids{"n"});
}

TEST_CASE(
    "what waited before a run ended and moved does not start by its old place", "[core][move]"
) {
    Settings settings;
    settings.parallelism = 1;
    Moving world{settings};
    const auto weighed = [](Dag dag, int weight) {
        for (auto& task : dag.tasks) task.priority_weight = weight;
        REQUIRE(link_tasks(dag).empty());
        return dag;
    };
    world.latest = world.load(weighed(make_dag("dag", {"a"}), 10));
    PauseDag pause;
    pause.dag_id = "dag";
    pause.paused = true;
    world.ask(pause);
    world.trigger("dag");
    world.load(make_dag("busy", {"x"}));
    world.trigger("busy", "r2");
    REQUIRE(world.running() == Ids{"x"});
    pause.paused = false;
    world.ask(pause);  // now it waits for the slot
    SetRunState end;
    end.run = world.run().key;
    end.state = RunState::failed;
    world.ask(end);
    world.change(weighed(make_dag("dag", {"a", "n"}), 1));
    world.move({"a"});
    REQUIRE(world.run_state("r") == "running");
    world.load(weighed(make_dag("other", {"o"}), 5));
    world.trigger("other", "r3");
    world.end("x");
    CHECK(world.running() == Ids{"o"});
    world.end("o");
    CHECK(world.running() == Ids{"a"});
    world.end("a");
    CHECK(world.running() == Ids{"n"});
}

TEST_CASE("a task that comes back begins anew, its old attempt in the history", "[core][move]") {
    Moving world;
    world.begin({"a", "b"});
    world.trigger("dag");
    world.end("a");
    world.end("b");
    world.change(make_dag("dag", {"b"}));
    world.move({"b"});
    CHECK(world.state("a") == "removed");
    CHECK(world.instance("a").try_number == 1);
    world.end("b");
    world.change(make_dag("dag", {"b", "a"}));
    auto clear = world.clear_of({});
    clear.only_new = true;
    world.ask(clear);
    CHECK(world.running() == Ids{"a"});
    CHECK(world.instance("a").try_number == 2);
    CHECK(world.attempts.back().state == TaskState::removed);
    world.end("a");
    CHECK(world.run_state() == "success");
}

TEST_CASE("a clear over turns leaves out what its run moved away from", "[core][move][clear]") {
    Settings settings;
    settings.clear_at_once = 3;
    Moving world(settings);
    auto dag = make_dag("dag", {"m", "x", "n < x", "end"});
    dag.mappings = {map_of("m", 0, "[]", 10)};
    dag.mappings[0].tasks = {0, 2};
    dag.tasks[0].mapping = dag.tasks[2].mapping = 0;
    world.latest = world.load(dag);
    world.trigger("dag");
    for (int i = 0; i < 10; ++i) world.end("m");
    world.end("end");
    world.fail("x");  // all of n are marked together, without a row each
    REQUIRE(world.run_state() == "failed");
    dag.tasks[2].mapping = no_map;
    dag.mappings[0].tasks = {0};
    world.change(dag);
    Turn turn;
    REQUIRE(world.scheduler.step(world.clear_of({}), world.now, turn) == Taken::yes);
    world.scheduler.dispatch(world.now, turn);
    world.take(turn);
    REQUIRE(world.clearings.size() == 1);
    world.restart();
    CHECK(world.clearings.empty());
    CHECK(world.running() == Ids{"end", "m", "x"});
}

TEST_CASE("a task that is mapped otherwise begins anew", "[core][move]") {
    Moving world;
    auto dag = make_dag("dag", {"m", "end < m"});
    dag.mappings = {map_of("m", 0, "[1,2,3]", 3)};
    dag.tasks[0].mapping = 0;
    world.latest = world.load(dag);
    world.trigger("dag");
    for (int i = 0; i < 3; ++i) world.end("m");
    world.end("end");
    REQUIRE(world.run_state() == "success");
    const auto state = [&](MapIndex index) {
        return name(world.instances.at({world.run().key, 0, index}).state);
    };

    SECTION("with other items") {
        dag.mappings = {map_of("m", 0, "[1,2]", 2)};
        world.change(dag);
        world.move({"end"});
        world.restart();
        CHECK(state(2) == "removed");
        CHECK(world.live.size() == 2);
        world.end("m");
        world.end("m");
        CHECK(world.running() == Ids{"end"});
    }
    SECTION("no more") {
        world.change(make_dag("dag", {"m", "end < m"}));
        world.move({"end"});
        world.restart();
        CHECK(state(0) == "removed");
        CHECK(state(2) == "removed");
        CHECK(world.running() == Ids{"m"});
        world.end("m");
        CHECK(world.running() == Ids{"end"});
    }
    SECTION("it is gone") {
        world.change(make_dag("dag", {"end"}));
        world.move({"end"});
        world.restart();
        CHECK(state(1) == "removed");
        CHECK(world.instances.at({world.run().key, 0, 1}).try_number == 1);
        CHECK(world.running() == Ids{"end"});
    }
    if (!world.live.empty()) world.end("end");
    CHECK(world.run_state() == "success");
}

}  // namespace
}  // namespace sluice::core
