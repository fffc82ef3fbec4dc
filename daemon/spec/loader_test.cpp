#include "spec/loader.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "spec/loader_fixture.hpp"

using nlohmann::json;
using namespace sluice;
using namespace sluice::spec::fixture;

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
    CHECK(
        only(tasks(
                 R"({"group_id": "g", "expand": {"x": [1]}, "tasks": [{"group_id": "h", "expand": )"
                 R"({"y": [1]}, "tasks": [)" +
                 task("a", R"(, "expand": {"z": [1]})") + "]}]}"
             ))
            .code == "E-EXPAND"
    );
    CHECK(
        only(tasks(R"({"task_id": "a", "operator": "sensor", "with": {"time": "1h"}})")).code ==
        "E-NOT-YET"
    );
    good(tasks(task("a", R"(, "weight_rule": "upstream")")));
}

TEST_CASE("deadlines by past runs", "[spec][deadlines]") {
    const auto deadline = [](const std::string& keys) {
        return dag_with(
            R"("deadlines": [{"interval": "5m", )" + keys + R"(}], "tasks": [)" + task("a") + "]"
        );
    };
    const auto mean =
        good(deadline(R"("reference": "average_runtime", "limit": 7)")).deadlines.at(0);
    CHECK(mean.from == DeadlineFrom::average);
    CHECK(mean.limit == 7);
    CHECK(mean.min_runs == 7);
    const Dag dag =
        good(deadline(R"("reference": "percentile_runtime", "min_runs": 3, "percentile": 90, )"
                      R"("predicted_callback": [{"http": {"url": "http://localhost/"}}])"));
    const auto& high = dag.deadlines.at(0);
    CHECK(high.from == DeadlineFrom::percentile);
    CHECK(high.limit == 10);
    CHECK(high.min_runs == 3);
    CHECK(high.percentile == 90);
    REQUIRE(dag.callbacks.size() == 1);
    CHECK(dag.callbacks[0].on == CallbackOn::predicted);
    CHECK(dag.callbacks[0].deadline == 0);
    CHECK(only(deadline(R"("reference": "dagrun_queued_at", "limit": 5)")).code == "E-VALUE");
    CHECK(only(deadline(R"("reference": "average_runtime", "percentile": 90)")).code == "E-VALUE");
    CHECK(
        only(deadline(R"("reference": "average_runtime", "limit": 5, "min_runs": 6)")).code ==
        "E-VALUE"
    );
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

TEST_CASE("a schedule of events, with jitter and a calendar", "[spec][schedule]") {
    const auto text = [](const std::string& schedule) {
        return dag_with(
            R"("timezone": "Europe/Amsterdam", "start_date": "2026-01-01", "schedule": )" +
            schedule + R"(, "tasks": [)" + task("a") + "]"
        );
    };
    const auto events =
        good(
            text(
                R"({"events": ["2026-07-01T06:00", "2026-02-01T06:00Z"], "restrict_to_events": true})"
            )
        )
            .schedule;
    CHECK(events.kind == ScheduleKind::events);
    CHECK(events.restrict_to_events);
    REQUIRE(events.events.size() == 2);
    CHECK(format_z(events.events[1]) == "2026-07-01T04:00:00Z");
    CHECK(only(text(R"({"events": ["2026-07-01", "2026-07-01"]})")).code == "E-VALUE");
    CHECK_FALSE(text(R"({"events": []})").value.has_value());

    const auto closed =
        good(
            text(
                R"({"cron": "@daily", "jitter": "10m", "calendar": {"dates": ["2026-12-25/2026-12-26"],
            "weekends": true, "rule": "next_business_day"}})"
            )
        )
            .schedule;
    CHECK(closed.jitter == std::chrono::minutes(10));
    CHECK(closed.calendar.weekends);
    CHECK(closed.calendar.rule == ClosedRule::next_business_day);
    CHECK(closed.calendar.closed == std::vector{*parse_closed_days("2026-12-25/2026-12-26")});
    const auto wrong = [&](const std::string& calendar) {
        return only(text(R"({"cron_interval": "@daily", "calendar": )" + calendar + "}"));
    };
    CHECK(wrong(R"({"dates": ["25.12.2026"]})").pointer == "/schedule/calendar/dates/0");
    CHECK(wrong(R"({"dates": ["25.12.2026"]})").code == "E-CALENDAR");
    CHECK(wrong("{}").code == "E-CALENDAR");
    CHECK(wrong(R"({"file": "missing.json"})").code == "E-FILE");
    CHECK(
        only(text(R"({"cron": "0 0 * * 0", "calendar": {"weekends": true}})")).code == "E-CALENDAR"
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
