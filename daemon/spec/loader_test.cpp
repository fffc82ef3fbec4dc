#include "spec/loader.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "spec/test_catalogue.hpp"

namespace {

using nlohmann::json;
using namespace sluice;

const Catalogue& catalogue() {
    static const Catalogue made = spec::test_catalogue();
    return made;
}

std::optional<std::string> read_file(const std::string& path) {
    if (path == "policies/pii.yaml")
        return "key: master\nallow: {curated: [quasi]}\nclasses: {email: hmac, quasi: drop}\n";
    if (path == "policies/bad.yaml") return "key: master\nallow: {}\nclasses: {email: hmca}\n";
    if (path == "run.py") return "print(1)";
    if (path == "q.sql") return "select * from raw.orders";
    return std::nullopt;
}

Parsed<Dag> load(const std::string& text, const std::string& name = "x.json") {
    return spec::load(text, name, catalogue(), read_file);
}

/// A DAG with these top-level keys beside its id.
Parsed<Dag> dag_with(const std::string& keys) { return load(R"({"dag_id": "d", )" + keys + "}"); }
Parsed<Dag> tasks(const std::string& list) { return dag_with(R"("tasks": [)" + list + "]"); }

std::string task(const std::string& id, const std::string& more = {}) {
    return fmt::format(R"({{"task_id": "{}", "operator": "empty"{}}})", id, more);
}

Problem only(const Parsed<Dag>& parsed) {
    for (const auto& problem : parsed.problems) UNSCOPED_INFO(format(problem));
    REQUIRE_FALSE(parsed.value);
    REQUIRE(parsed.problems.size() == 1);
    return parsed.problems.front();
}

Dag good(const Parsed<Dag>& parsed) {
    for (const auto& problem : parsed.problems) UNSCOPED_INFO(format(problem));
    REQUIRE(parsed.value);
    return *parsed.value;
}

std::vector<std::string> ups(const Dag& dag, const std::string& id) {
    std::vector<std::string> out;
    for (const TaskNo up : dag.tasks.at(static_cast<std::size_t>(find_task(dag, id))).upstream)
        out.push_back(dag.tasks.at(static_cast<std::size_t>(up)).id);
    return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the smallest DAG loads with the defaults of the language", "[spec]") {
    const Dag dag = good(load(
        R"({"dag_id": "hello", "schedule": "@daily", "start_date": "2026-01-01",
            "tasks": [{"task_id": "hello", "operator": "shell", "with": {"argv": ["echo", "{{ ds }}"]}}]})",
        "hello.json"
    ));
    CHECK(dag.dag_id == "hello");
    CHECK(dag.owner == "sluice");
    CHECK(dag.fileloc == "hello.json");
    CHECK(dag.schedule.kind == ScheduleKind::cron_trigger);
    CHECK(dag.schedule.crons == Names{"0 0 * * *"});
    CHECK(dag.schedule.text == "@daily");
    CHECK(format_z(*dag.start_date) == "2026-01-01T00:00:00Z");
    CHECK(dag.max_active_runs == 16);
    REQUIRE(dag.tasks.size() == 1);
    CHECK(dag.tasks[0].with == R"({"argv":["echo","{{ ds }}"]})");
    CHECK(dag.tasks[0].retry_delay == std::chrono::minutes(5));
    CHECK(dag.hash.size() == 64);
}

TEST_CASE("YAML and JSON of one DAG have one hash", "[spec][yaml]") {
    const Dag from_json = good(
        load(R"({"tasks": [{"operator": "empty", "task_id": "a", "retries": 1.0}], "dag_id": "d"})")
    );
    const Dag from_yaml = good(
        load("dag_id: d\ntasks:\n  - task_id: a\n    operator: empty\n    retries: 1\n", "x.yaml")
    );
    CHECK(from_json.source == from_yaml.source);
    CHECK(from_json.hash == from_yaml.hash);
}

TEST_CASE(
    "bad input: a DAG file that is empty, too large, deeply nested, not UTF-8 or has duplicate "
    "keys",
    "[spec][bad]"
) {
    CHECK(only(load("")).code == "E-FILE-EMPTY");
    CHECK(only(load("", "x.yaml")).code == "E-FILE-EMPTY");
    CHECK(only(load(std::string(limits::dag_file_bytes + 1, ' '))).code == "E-FILE-SIZE");
    CHECK(only(load(std::string(200'000, '['))).code == "E-DEPTH");
    CHECK(
        only(load(R"({"dag_id": "d", "doc_md": ")"
                  "\xff\xfe"
                  R"("})"))
            .code == "E-FILE-UTF8"
    );
    const auto twice = only(load("{\"dag_id\": \"d\",\n \"dag_id\": \"e\", \"tasks\": []}"));
    CHECK(twice.code == "E-DUPLICATE-KEY");
    CHECK(twice.line == 2);
    CHECK(only(load("[]")).code == "E-TYPE");
    CHECK(only(load("\"x\"")).code == "E-TYPE");
}

TEST_CASE("bad input: an unknown operator names the one that was meant", "[spec][bad]") {
    const auto problem = only(tasks(R"({"task_id": "a", "operator": "shel"})"));
    CHECK(problem.code == "E-OPERATOR");
    CHECK(problem.pointer == "/tasks/0/operator");
    CHECK(problem.suggestion == "did you mean \"shell\"?");
}

TEST_CASE("bad input: a bad cron and an unknown zone", "[spec][bad]") {
    const auto text = GENERATE(
        as<std::string>{},
        "\"61 * * * *\"",
        "\"* * *\"",
        "\"\"",
        "\"every day\"",
        "\"@dayly\"",
        R"({"cron_interval": "0 25 * * *"})",
        R"({"cron": ["0 1 * * *", "x"]})"
    );
    CAPTURE(text);
    CHECK(
        only(dag_with(
                 R"("schedule": )" + text + R"(, "start_date": "2026-01-01", "tasks": [)" +
                 task("a") + "]"
             ))
            .code == "E-CRON"
    );
    const auto zone =
        only(dag_with(R"("timezone": "Europe/Amsterdm", "tasks": [)" + task("a") + "]"));
    CHECK(zone.code == "E-ZONE");
    CHECK(zone.suggestion == "did you mean \"Europe/Amsterdam\"?");
}

TEST_CASE("bad input: cycles are told with their path", "[spec][bad]") {
    const auto problem = only(tasks(
        task("a", R"(, "upstream": "c")") + ',' + task("b", R"(, "upstream": ["a"])") + ',' +
        task("c", R"(, "upstream": "b")")
    ));
    CHECK(problem.code == "E-CYCLE");
    CHECK(problem.message.find("-> ") != std::string::npos);
    CHECK(only(tasks(task("a", R"(, "upstream": "a")"))).code == "E-CYCLE");
}

TEST_CASE("bad input: YAML traps in a DAG file are refused", "[spec][bad][yaml]") {
    CHECK(
        only(load("dag_id: d\ncatchup: no\ntasks: [{task_id: a, operator: empty}]\n", "x.yaml"))
            .code == "E-YAML-TRAP"
    );
    CHECK(
        only(load("dag_id: 010\ntasks: [{task_id: a, operator: empty}]\n", "x.yaml")).code ==
        "E-YAML-TRAP"
    );
    CHECK(
        only(load("dag_id: 12\ntasks: [{task_id: a, operator: empty}]\n", "x.yaml")).code ==
        "E-TYPE"
    );
}

TEST_CASE("all problems are told at once, with line and suggestion", "[spec][bad]") {
    const auto parsed = load(R"({
  "dag_id": "d d",
  "shedule": "@daily",
  "max_active_runs": 0,
  "tasks": [
    {"task_id": "a", "operator": "empty", "retires": 3, "retry_delay": 30},
    {"task_id": "a", "operator": "empty", "trigger_rule": "all_sucess", "upstream": ["bb"]},
    {"task_id": "b", "operator": "shell", "with": {"argv": [], "envv": {}}}
  ]
})");
    REQUIRE_FALSE(parsed.value);
    std::vector<std::pair<std::string, int>> found;
    for (const auto& problem : parsed.problems) found.emplace_back(problem.code, problem.line);
    CHECK(
        found ==
        std::vector<std::pair<std::string, int>>{
            {"E-VALUE", 2},
            {"E-UNKNOWN-KEY", 3},
            {"E-VALUE", 4},
            {"E-UNKNOWN-KEY", 6},
            {"E-TYPE", 6},
            {"E-DUPLICATE-ID", 7},
            {"E-ENUM", 7},
            {"E-VALUE", 8},
            {"E-UNKNOWN-KEY", 8}
        }
    );
    CHECK(parsed.problems[1].suggestion == "did you mean \"schedule\"?");
    CHECK(parsed.problems[3].suggestion == "did you mean \"retries\"?");
    CHECK(parsed.problems[4].suggestion == "write the unit: \"30s\"");
    CHECK(parsed.problems[6].suggestion == "did you mean \"all_success\"?");
}

TEST_CASE(
    "keys of later issues are read and refused by name, their defaults are not", "[spec][later]"
) {
    const auto keys = GENERATE(
        as<std::string>{},
        R"("depends_on_past": true)",
        R"("is_setup": true)",
        R"("expand": {"x": [1]})",
        R"("weight_rule": "critical_path")",
        R"("retry_policy": [])",
        R"("on_failure_callback": [])",
        R"("inlets": "raw.x")",
        R"("map_index_template": "x")"
    );
    CAPTURE(keys);
    CHECK(only(tasks(task("a", ", " + keys))).code == "E-NOT-YET");
    CHECK(only(dag_with(R"("fail_fast": true, "tasks": [)" + task("a") + "]")).code == "E-NOT-YET");
    CHECK(
        only(dag_with(R"("schedule": ["raw.x"], "tasks": [)" + task("a") + "]")).code == "E-NOT-YET"
    );
    CHECK(
        only(dag_with(
                 R"("schedule": {"assets": {"all": ["raw.x"]}, "or_cron": "@daily"}, "tasks": [)" +
                 task("a") + "]"
             ))
            .code == "E-NOT-YET"
    );
    CHECK(
        only(dag_with(R"("default_args": {"depends_on_past": true}, "tasks": [)" + task("a") + "]"))
            .code == "E-NOT-YET"
    );
    CHECK(
        only(tasks(R"({"group_id": "g", "expand": {"x": [1]}, "tasks": [)" + task("a") + "]}"))
            .code == "E-NOT-YET"
    );
    CHECK(
        only(tasks(R"({"task_id": "a", "operator": "sensor", "with": {"time": "1h"}})")).code ==
        "E-NOT-YET"
    );
    good(tasks(task("a", R"(, "depends_on_past": false, "weight_rule": "upstream")")));
}

TEST_CASE("schedules become timetables", "[spec][schedule]") {
    const auto schedule = [](const std::string& text) {
        return good(dag_with(
                        R"("start_date": "2026-01-01", "schedule": )" + text + R"(, "tasks": [)" +
                        task("a") + "]"
                    ))
            .schedule;
    };
    CHECK(schedule("null").kind == ScheduleKind::none);
    CHECK(schedule("\"@once\"").kind == ScheduleKind::once);
    CHECK(schedule("\"@continuous\"").kind == ScheduleKind::continuous);
    const auto interval = schedule(R"({"cron_interval": "@daily", "delay": "2h"})");
    CHECK(interval.kind == ScheduleKind::cron_interval);
    CHECK(interval.delay == std::chrono::hours(2));
    CHECK(interval.text == R"({"cron_interval":"@daily","delay":"2h"})");
    const auto window = schedule(
        R"({"cron": ["0 3 * * *", "@hourly"], "window": "previous_tick", "run_immediately": true})"
    );
    CHECK(window.crons == Names{"0 3 * * *", "0 * * * *"});
    CHECK(window.previous_tick);
    CHECK(window.run_immediately == true);
    CHECK(schedule(R"({"delta_interval": "6h"})").delta == std::chrono::hours(6));
    CHECK(schedule(R"({"delta": "PT1H"})").kind == ScheduleKind::delta_trigger);
    CHECK(
        only(dag_with(R"("schedule": "@daily", "tasks": [)" + task("a") + "]")).code == "E-REQUIRED"
    );
    CHECK(
        only(dag_with(
                 R"("start_date": "2026-01-01", "schedule": {"delta": "0s"}, "tasks": [)" +
                 task("a") + "]"
             ))
            .code == "E-VALUE"
    );
    CHECK(
        only(
            dag_with(
                R"("start_date": "2026-01-01", "schedule": {"cron": "@daily", "delay": "2h"}, "tasks": [)" +
                task("a") + "]"
            )
        )
            .code == "E-UNKNOWN-KEY"
    );
}

TEST_CASE("naive times are those of the DAG's zone", "[spec][schedule]") {
    const Dag dag = good(dag_with(
        R"("timezone": "America/New_York", "start_date": "2013-01-01", "end_date": "2013-07-01T00:00:00Z", "tasks": [)" +
        task("a") + "]"
    ));
    CHECK(format_z(*dag.start_date) == "2013-01-01T05:00:00Z");
    CHECK(format_z(*dag.end_date) == "2013-07-01T00:00:00Z");
}

TEST_CASE("defaults: the DAG's, over them the group's, over them the task's own", "[spec]") {
    const Dag dag = good(
        dag_with(R"("default_args": {"retries": 1, "pool": "p", "retry_exponential_backoff": true},
        "tasks": [{"group_id": "g", "default_args": {"retries": 2}, "tasks": [
            {"task_id": "a", "operator": "empty"}, {"task_id": "b", "operator": "empty", "retries": 3}]},
            {"task_id": "c", "operator": "empty", "retry_exponential_backoff": 1.5}])")
    );
    CHECK(dag.tasks[0].retries == 2);
    CHECK(dag.tasks[0].pool == "p");
    CHECK(dag.tasks[0].retry_multiplier == 2);
    CHECK(dag.tasks[1].retries == 3);
    CHECK(dag.tasks[2].retries == 1);
    CHECK(dag.tasks[2].retry_multiplier == 1.5);
    const auto wrong = only(dag_with(
        R"("default_args": {"retries": "x"}, "tasks": [)" + task("a") + ',' + task("b") + "]"
    ));
    CHECK(wrong.pointer == "/default_args/retries");
}

TEST_CASE("groups: full ids, first and last tasks", "[spec][group]") {
    const Dag dag = good(tasks(
        task("start") + R"(, {"group_id": "g", "tooltip": "t", "upstream": "start", "tasks": [)" +
        task("a") + ',' + task("b", R"(, "upstream": ["g.a"])") +
        R"(, {"group_id": "h", "upstream": "g.b", "tasks": [)" + task("a") + ',' + task("c") +
        "]}]}," + task("end", R"(, "upstream": ["g"])")
    ));
    REQUIRE(dag.groups.size() == 2);
    CHECK(dag.groups[1].id == "g.h");
    CHECK(dag.groups[1].parent == "g");
    CHECK(dag.tasks[3].id == "g.h.a");
    CHECK(ups(dag, "g.a") == Names{"start"});
    CHECK(ups(dag, "g.b") == Names{"g.a"});
    CHECK(ups(dag, "g.h.c") == Names{"g.b"});
    CHECK(ups(dag, "end") == Names{"g.h.a", "g.h.c"});
    CHECK(dag.tasks[0].downstream == std::vector<TaskNo>{1});
    const auto meant = only(tasks(
        R"({"group_id": "g", "tasks": [)" + task("a") + ',' + task("b", R"(, "upstream": "a")") +
        "]}"
    ));
    CHECK(meant.code == "E-UPSTREAM");
    CHECK(meant.suggestion == "did you mean \"g.a\"?");
    CHECK(
        only(tasks(R"({"group_id": "a", "tasks": [)" + task("b") + "]}," + task("a"))).code ==
        "E-DUPLICATE-ID"
    );
}

TEST_CASE("data sets: columns, classes, keys and partitions", "[spec][dataset]") {
    const Dag dag = good(dag_with(
        R"("schedule": {"cron_interval": "@monthly"}, "start_date": "2026-01-01", "policy": "policies/pii.yaml", "schemas": {"sales": "warehouse"},
        "datasets": {"raw.orders": {"columns": {"id": "BIGINT not null", "email": "varchar @email",
            "amount": {"type": "decimal(10, 2) not null", "parse": ["money", "iso"]}}, "key": "id"},
            "sales.fact": {"partition_by": "day", "indexes": ["a", ["b", "c"]]}},
        "tasks": [{"task_id": "x", "operator": "extract", "with": {"from": {"conn_id": "c"}, "to": "raw.orders"}},
                  {"task_id": "t", "operator": "transform", "with": {"to": "sales.fact", "sql": "select 1 from raw.orders"}}])"
    ));
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
        Case{R"({"raw.o": {"columns": {"a": {"type": "date", "parse": "dmy"}}}})", "E-COLUMN"}
    );
    CAPTURE(bad.datasets);
    CHECK(
        only(dag_with(
                 std::string(R"("datasets": )") + bad.datasets + R"(, "tasks": [)" + task("a") + "]"
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

TEST_CASE("files that are named are part of the bundle and of its hash", "[spec][bundle]") {
    const std::string text =
        R"({"dag_id": "d", "tasks": [{"task_id": "p", "operator": "python", "with": {"script": "run.py"}}]})";
    const Dag one = good(load(text));
    CHECK(one.files.at("run.py") == "print(1)");
    const Dag other = good(spec::load(text, "x.json", catalogue(), [](const std::string&) {
        return std::optional<std::string>("print(2)");
    }));
    CHECK(one.source == other.source);
    CHECK(one.hash != other.hash);
    const Dag again = good(spec::load_stored(one.source, one.files, one.fileloc, catalogue()));
    CHECK(again.hash == one.hash);
    CHECK(
        only(tasks(R"({"task_id": "p", "operator": "python", "with": {"script": "{{ ds }}.py"}})"))
            .code == "E-FILE"
    );
}

TEST_CASE("a stored version loads though its operator is gone", "[spec][bundle]") {
    const Dag dag = good(load(
        R"({"dag_id": "d", "tasks": [{"task_id": "a", "operator": "shell", "with": {"argv": ["x"]}}]})"
    ));
    const Catalogue none({});
    const Dag again = good(spec::load_stored(dag.source, {}, "x.json", none));
    CHECK(again.tasks.at(0).operator_name == "shell");
}

TEST_CASE("params: short and long forms, defaults that keep their schema", "[spec][params]") {
    const Dag dag = good(dag_with(
        R"("params": {"n": 3, "tables": {"type": "array", "items": {"type": "string"}, "default": ["a"]}}, "tasks": [
        {"task_id": "a", "operator": "shell", "with": {"argv": ["{{ params.tables[0] }}", "{{ params.x }}"], "skip_on_exit_code": "{{ params.n }}"}, "params": {"x": "y"}}])"
    ));
    CHECK(json::parse(dag.params)["n"] == json{{"default", 3}});
    CHECK(
        only(dag_with(
                 R"("params": {"n": {"type": "integer", "default": "x"}}, "tasks": [)" + task("a") +
                 "]"
             ))
            .code == "E-TYPE"
    );
    CHECK(
        only(dag_with(
                 R"("params": {"n": {"type": "integer", "defalt": 1}}, "tasks": [)" + task("a") +
                 "]"
             ))
            .code == "E-PARAM"
    );
    CHECK(
        only(
            dag_with(
                R"("schedule": "@daily", "start_date": "2026-01-01", "params": {"n": {"type": "integer"}}, "tasks": [)" +
                task("a") + "]"
            )
        )
            .code == "E-PARAM"
    );
    CHECK(
        only(tasks(R"({"task_id": "a", "operator": "shell", "with": {"argv": ["{{ params.x }}"]}})")
        )
            .code == "E-TEMPLATE"
    );
}

TEST_CASE("the formats of params are held to", "[spec][params]") {
    const auto param = [](const std::string& schema) {
        return dag_with(R"("params": {"n": )" + schema + R"(}, "tasks": [)" + task("a") + "]");
    };
    good(param(R"({"type": "string", "format": "date", "default": "2026-01-01"})"));
    good(param(R"({"type": "string", "format": "time", "default": "07:30:00"})"));
    CHECK(
        only(param(R"({"type": "string", "format": "date", "default": "2026-01-01T00:00:00Z"})"))
            .code == "E-VALUE"
    );
    CHECK(
        only(param(R"({"type": "string", "format": "time", "default": "7h"})")).code == "E-VALUE"
    );
    CHECK(
        only(param(R"({"type": "string", "format": "email", "default": "ada"})")).code == "E-VALUE"
    );
    CHECK(only(param(R"({"type": "string", "format": "dat", "default": ""})")).code == "E-PARAM");
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
