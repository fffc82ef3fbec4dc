// Data sets, the edges they make, and the policy they need.
#include <catch2/catch.hpp>

#include "spec/loader.hpp"
#include "spec/loader_fixture.hpp"

using namespace sluice;
using namespace sluice::spec::fixture;

TEST_CASE("data sets: columns, classes, keys and partitions", "[spec][dataset]") {
    const Dag dag = good(dag_with(
        R"("schedule": {"cron_interval": "@monthly"}, "start_date": "2026-01-01", "policy": "policies/pii.yaml", "schemas": {"sales": "warehouse"},
        "datasets": {"raw.orders": {"columns": {"id": "BIGINT not null", "email": "varchar @email",
            "amount": {"type": "decimal(10, 2) not null", "parse": ["money", "iso"]}}, "key": "id"},
            "sales.fact": {"partition_by": "at_", "indexes": ["a", ["b", "c"]]}},
        "tasks": [{"task_id": "x", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}},
                  {"task_id": "t", "operator": "transform", "with": {"to": "sales.fact", "sql": "select 1 from raw.orders"}}])"
    ));
    CHECK(dag.datasets.at(1).partition_by == "month(at_)");
    const auto& orders = dag.datasets.at(0);
    CHECK(orders.name == "raw.orders");
    CHECK(orders.partition == "month");
    CHECK(orders.key == Names{"id"});
    REQUIRE(orders.columns.size() == 3);
    CHECK(orders.columns[2].type == "decimal(10,2)");
    CHECK(orders.columns[2].parse == Names{"money", "iso"});
    CHECK(orders.columns[1].pii_class == "email");
    CHECK(orders.columns[0].not_null);
    CHECK(orders.columns[0].type == "bigint");
    CHECK(dag.tasks[1].upstream == std::vector<TaskNo>{0});
    CHECK(dag.files.contains("policies/pii.yaml"));
    // Columns keep the order of the file, also in a stored version.
    const Dag again = good(spec::load_stored(dag.source, dag.files, dag.fileloc, catalogue()));
    CHECK(again.hash == dag.hash);
    CHECK(again.datasets.at(0).columns.at(2).name == "amount");
    CHECK(again.datasets.at(0).key == Names{"id"});
    CHECK(again.tasks[1].upstream == dag.tasks[1].upstream);
}

TEST_CASE("data sets that are wrong say how", "[spec][dataset][bad]") {
    struct Case {
        const char* datasets;
        const char* code;
    };
    const auto bad = GENERATE(
        Case{R"({"orders": {}})", "E-DATASET-NAME"},
        Case{R"({"rw.orders": {}})", "E-DATASET-NAME"},
        Case{R"({"raw.o": {"columns": {"a": "text"}}})", "E-COLUMN"},
        Case{R"({"raw.o": {"columns": {"a": "varchar @mail"}}})", "E-COLUMN"},
        Case{R"({"raw.o": {"columns": {"a": "varchar @email not null"}}})", "E-COLUMN"},
        Case{R"({"raw.o": {"columns": {"a": "decimal"}}})", "E-COLUMN"},
        Case{R"({"raw.o": {"columns": {"a": "varchar"}, "key": "b"}})", "E-COLUMN"},
        Case{R"({"raw.o": {"colums": {"a": "varchar"}}})", "E-UNKNOWN-KEY"},
        Case{R"({"raw.o": {"partition_by": "a"}})", "E-DATASET"},
        Case{R"x({"sales.o": {"partition_by": "week(a)"}})x", "E-DATASET"},
        Case{
            R"x({"sales.o": {"columns": {"a": "date"}, "partition_by": "month(b)"}})x", "E-COLUMN"
        },
        Case{R"({"raw.o": {"columns": {"a": {"type": "date", "parse": "dmy"}}}})", "E-COLUMN"}
    );
    CAPTURE(bad.datasets);
    CHECK(
        only(dag_with(
                 std::string(R"("schemas": {"sales": "warehouse"}, "datasets": )") + bad.datasets +
                 R"(, "tasks": [)" + task("a") + "]"
             ))
            .code == bad.code
    );
}

TEST_CASE("upstreams are inferred from data sets, SQL, gates and XComs", "[spec][edges]") {
    const Dag dag = good(dag_with(R"("schemas": {"sales": "warehouse"}, "tasks": [
        {"task_id": "report", "operator": "transform", "with": {"to": "sales.v", "sql": ["select * -- from raw.none", "from \"sales\".fact f where f.x = 'sales.other'"]}},
        {"task_id": "gate", "operator": "validate", "with": {"from": ["sales.fact"], "checks": [{"compare": "processed.b"}]}},
        {"task_id": "fact", "operator": "transform", "with": {"from": "processed.b", "to": "sales.fact", "steps": []}},
        {"task_id": "check", "operator": "validate", "with": {"from": "raw.a", "to": "processed.b"}},
        {"task_id": "get", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.a"}},
        {"task_id": "bad_rows", "operator": "transform", "with": {"to": "processed.bad", "sql": "select * from raw.a_quarantine"}},
        {"task_id": "tell", "operator": "shell", "with": {"argv": ["echo", "{{ xcom.get.rows }}"]}}])"
    ));
    CHECK(ups(dag, "check") == Names{"get"});
    CHECK(ups(dag, "fact") == Names{"check"});
    CHECK(ups(dag, "gate") == Names{"fact", "check"});
    CHECK(ups(dag, "report") == Names{"gate", "fact"});
    CHECK(ups(dag, "bad_rows") == Names{"check"});
    CHECK(ups(dag, "tell") == Names{"get"});
    CHECK(dag.tasks[0].inferred == dag.tasks[0].upstream);
}

TEST_CASE("a data set has one writer and is known", "[spec][edges][bad]") {
    const std::string get =
        R"({"task_id": "%", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}})";
    const auto twice = only(tasks(
        R"({"task_id": "a", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}},
        {"task_id": "b", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}})"
    ));
    CHECK(twice.code == "E-DATASET-WRITERS");
    CHECK(twice.pointer == "/tasks/1/with/to");
    const auto unknown = only(tasks(
        R"({"task_id": "a", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}},
        {"task_id": "b", "operator": "validate", "with": {"from": "raw.ordres", "to": "processed.orders"}})"
    ));
    CHECK(unknown.code == "E-DATASET-UNKNOWN");
    CHECK(unknown.suggestion == "did you mean \"raw.orders\"?");
    CHECK(
        only(
            tasks(
                R"({"task_id": "a", "operator": "mask", "with": {"from": "raw", "to": "curated.x"}})"
            )
        )
            .code == "E-DATASET-NAME"
    );
}

TEST_CASE("incremental needs intervals that are not empty", "[spec][schedule][bad]") {
    const std::string list =
        R"(, "start_date": "2026-01-01", "tasks": [{"task_id": "a", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.a", "incremental": "at"}}])";
    const auto problem = only(dag_with(R"("schedule": "@daily")" + list));
    CHECK(problem.code == "E-SCHEDULE-INTERVAL");
    CHECK(problem.suggestion.find("cron_interval") != std::string::npos);
    good(dag_with(R"("schedule": {"cron_interval": "@daily"})" + list));
    good(dag_with(R"("schedule": {"cron": "@daily", "window": "1d"})" + list));
    CHECK(
        only(dag_with(R"("schedule": {"cron_interval": "*/10 * * * *"})" + list)).code ==
        "E-PARTITION"
    );
}

TEST_CASE("a policy is there when it is needed, and right", "[spec][policy]") {
    const std::string list =
        R"("datasets": {"raw.a": {"columns": {"e": "varchar @email"}}}, "tasks": [
        {"task_id": "x", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.a"}},
        {"task_id": "m", "operator": "mask", "with": {"from": "raw.a", "to": "curated.a")";
    CHECK(only(dag_with(list + "}}]")).code == "E-POLICY");
    good(dag_with(list + R"(, "policy": "policies/pii.yaml"}}])"));
    good(dag_with(R"("policy": "policies/pii.yaml", )" + list + "}}]"));
    const auto bad = only(dag_with(R"("policy": "policies/bad.yaml", )" + list + "}}]"));
    CHECK(bad.file == "policies/bad.yaml");
    CHECK(bad.line == 3);
    CHECK(bad.suggestion == "did you mean \"hmac\"?");
    CHECK(
        only(dag_with(R"("policy": "policies/none.yaml", "tasks": [)" + task("a") + "]")).code ==
        "E-FILE"
    );
    CHECK(
        only(dag_with(R"("policy": "/etc/passwd", "tasks": [)" + task("a") + "]")).code == "E-FILE"
    );
}

TEST_CASE("reads found by binding become edges", "[spec][edges]") {
    Dag dag = good(tasks(
        R"({"task_id": "b", "operator": "transform", "with": {"to": "processed.b", "sql": "select 1"}},
        {"task_id": "a", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.a"}})"
    ));
    CHECK(dag.tasks[0].upstream.empty());
    CHECK(spec::add_reads(dag, {{0, {"raw.a"}}}).empty());
    CHECK(dag.tasks[0].upstream == std::vector<TaskNo>{1});
    CHECK(dag.tasks[1].downstream == std::vector<TaskNo>{0});
    CHECK(spec::add_reads(dag, {{1, {"processed.b"}}}).at(0).code == "E-CYCLE");
    CHECK(spec::add_reads(dag, {{1, {"processed.none"}}}).at(0).code == "E-DATASET-UNKNOWN");
}
