// Data sets of other DAGs, schedules by assets, inlets and outlets.
#include <algorithm>

#include <catch2/catch.hpp>

#include "spec/loader.hpp"
#include "spec/loader_fixture.hpp"

using namespace sluice;
using namespace sluice::spec::fixture;

namespace {

constexpr const char* other_dag = R"({"dag_id": "other", "timezone": "Asia/Tokyo",
    "datasets": {"raw.orders": {"columns": {"id": "bigint not null", "mail": "varchar @email"},
        "key": "id", "partition": "hour"}},
    "tasks": [{"task_id": "x", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}}]})";

/// What the other DAGs are to a file that is read.
struct Others {
    std::vector<DatasetSpec> datasets = spec::own_datasets(good(load(other_dag, "other.json")));

    Parsed<Dag> read(const std::string& text) const {
        return spec::load(text, "x.json", catalogue(), read_file, [this](const std::string& name) {
            const auto found = std::ranges::find(datasets, name, &DatasetSpec::name);
            return found == datasets.end() ? nullptr : &*found;
        });
    }
    Parsed<Dag> dag_with(const std::string& keys) const {
        return read(R"({"dag_id": "d", )" + keys + "}");
    }
};

constexpr const char* reader =
    R"("tasks": [{"task_id": "t", "operator": "transform", "with": {"to": "processed.o", "sql": "select * from raw.orders"}}])";

}  // namespace

TEST_CASE("a data set of another DAG is inherited by name", "[spec][dataset]") {
    const Others others;
    const Dag dag = good(others.dag_with(reader));
    const auto found = std::ranges::find(dag.datasets, "raw.orders", &DatasetSpec::name);
    REQUIRE(found != dag.datasets.end());
    CHECK(found->owner == "other");
    CHECK(found->timezone == "Asia/Tokyo");
    CHECK(found->partition == "hour");
    CHECK(found->columns.at(1).pii_class == "email");
    CHECK(found->writer == no_task);
    CHECK(found->readers == std::vector<TaskNo>{0});
    // It offers to others what it writes itself.
    std::vector<std::string> own;
    for (const auto& dataset : spec::own_datasets(dag)) own.push_back(dataset.name);
    CHECK(own == Names{"processed.o"});

    SECTION("a stored version needs nobody else") {
        const Dag again = good(spec::load_stored(dag.source, dag.files, dag.fileloc, catalogue()));
        CHECK(again.hash == dag.hash);
        CHECK(again.datasets.size() == dag.datasets.size());
        CHECK(again.files.at(".sluice/datasets.json") == dag.files.at(".sluice/datasets.json"));
    }
    SECTION("another schema is another version of the reader") {
        Others changed;
        for (auto& dataset : changed.datasets)
            if (dataset.name == "raw.orders") dataset.columns[0].type = "integer";
        CHECK(good(changed.dag_with(reader)).hash != dag.hash);
    }
    SECTION("a name that no DAG writes or declares is an error") {
        CHECK(
            only(
                dag_with(
                    R"("tasks": [{"task_id": "m", "operator": "mask", "with": {"from": "processed.x", "to": "curated.x"}}])"
                )
            )
                .code == "E-DATASET-UNKNOWN"
        );
    }
    SECTION("the lake is one") {
        CHECK(
            only(others.dag_with(R"("lake": "elsewhere", )" + std::string(reader))).code ==
            "E-DATASET-LAKE"
        );
    }
}

TEST_CASE("a second writer or declaration over all DAGs is an error", "[spec][dataset][bad]") {
    const Others others;
    const auto twice = only(others.dag_with(
        R"("tasks": [{"task_id": "x", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}}])"
    ));
    CHECK(twice.code == "E-DATASET-WRITERS");
    CHECK(twice.pointer == "/tasks/0/with/to");
    CHECK(twice.message.find("\"other\"") != std::string::npos);
    const auto declared = only(others.dag_with(
        R"("datasets": {"raw.orders": {"columns": {"id": "bigint"}}}, "tasks": [)" + task("a") + "]"
    ));
    CHECK(declared.code == "E-DATASET-WRITERS");
    CHECK(declared.pointer == "/datasets/raw.orders");
    CHECK(
        only(others.dag_with(R"("tasks": [)" + task("a", R"(, "outlets": ["raw.orders"])") + "]"))
            .code == "E-DATASET-WRITERS"
    );
    // The DAG itself, read again, is no second one.
    CHECK(others.read(other_dag).value.has_value());
}

TEST_CASE("a schedule by assets", "[spec][assets]") {
    const Others others;
    const auto schedule = [&](const std::string& text) {
        return others.dag_with(
            R"("schedule": )" + text + R"(, "datasets": {"raw.a": {}, "raw.b": {}}, "tasks": [)" +
            task("t") + "]"
        );
    };
    SECTION("a list is all of them, and needs no start_date") {
        const Dag dag = good(schedule(R"(["raw.orders", "raw.a"])"));
        CHECK(dag.schedule.kind == ScheduleKind::none);
        REQUIRE(dag.schedule.assets);
        CHECK_FALSE(dag.schedule.assets->any);
        CHECK(dag.schedule.assets->names == Names{"raw.orders", "raw.a"});
        CHECK(dag.schedule.asset_batch);
    }
    SECTION("any, nested, one by one, and by time") {
        const Dag dag = good(others.dag_with(
            R"("schedule": {"assets": {"any": ["raw.a", {"all": ["raw.b", "raw.orders"]}]}, "batch": false, "or_cron": "@daily"},
            "start_date": "2026-01-01", "datasets": {"raw.a": {}, "raw.b": {}}, "tasks": [)" +
            task("t") + "]"
        ));
        CHECK(dag.schedule.kind == ScheduleKind::cron_trigger);
        CHECK(
            asset_condition_json(*dag.schedule.assets) ==
            R"({"any":["raw.a",{"all":["raw.b","raw.orders"]}]})"
        );
        CHECK_FALSE(dag.schedule.asset_batch);
        const auto& condition = *dag.schedule.assets;
        CHECK(is_met(condition, {"raw.a"}));
        CHECK_FALSE(is_met(condition, {"raw.b"}));
        CHECK(
            enough(condition, {"raw.b", "raw.orders"}) ==
            std::set<std::string>{"raw.b", "raw.orders"}
        );
        const Dag again = good(spec::load_stored(dag.source, dag.files, dag.fileloc, catalogue()));
        CHECK(again.schedule.assets->nested.size() == 1);
    }
    SECTION("an asset that nobody knows") {
        CHECK(only(schedule(R"(["raw.none"])")).code == "E-DATASET-UNKNOWN");
    }
    SECTION("forms that are none") {
        CHECK_FALSE(schedule(R"({"assets": ["raw.a"]})").value);
        CHECK_FALSE(schedule(R"({"assets": {"both": ["raw.a"]}})").value);
        CHECK_FALSE(schedule(R"([])").value);
    }
}

TEST_CASE("inlets and outlets are data sets like any other", "[spec][assets]") {
    const Dag dag = good(tasks(
        task("w", R"(, "outlets": ["raw.out"])") + ", " + task("r", R"(, "inlets": "raw.out")")
    ));
    CHECK(dag.tasks[0].outlets == Names{"raw.out"});
    CHECK(ups(dag, "r") == Names{"w"});
    CHECK(dag.datasets.at(0).writer == 0);
    CHECK(only(tasks(task("r", R"(, "inlets": "raw.none")"))).code == "E-DATASET-UNKNOWN");
    CHECK(only(tasks(task("r", R"(, "outlets": "nowhere.x")"))).code == "E-DATASET-NAME");
}

TEST_CASE("what gets or leaves files of the lake runs in a worker", "[spec][assets]") {
    const auto isolation = [](const std::string& more) {
        return good(dag_with(
                        R"("schemas": {"sales": "warehouse"}, "tasks": [)" +
                        task("w", R"(, "outlets": ["raw.in", "sales.t"])") +
                        R"(, {"task_id": "t", )" + more + "}]"
                    ))
            .tasks.at(1)
            .isolation;
    };
    const std::string tell = R"("operator": "shell", "with": {"argv": ["x"]})";
    CHECK(isolation(tell) == Isolation::inline_);
    CHECK(isolation(tell + R"(, "inlets": "raw.in")") == Isolation::process);
    CHECK(isolation(tell + R"(, "outlets": "raw.out")") == Isolation::process);
    CHECK(isolation(tell + R"(, "inlets": "sales.t")") == Isolation::inline_);
    CHECK(isolation(R"("operator": "empty", "inlets": "raw.in")") == Isolation::inline_);
}
