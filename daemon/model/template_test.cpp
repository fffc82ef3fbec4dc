#include "model/template.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;
using sluice::Error;
using sluice::Problem;
using sluice::RenderContext;

RenderContext context() {
    RenderContext out;
    out.dag_id = "sales";
    out.run_id = "r1";
    out.task_id = "load.fact";
    out.logical_date = sluice::parse_time("2026-01-05T02:03:04Z")->at;
    out.data_interval = sluice::Interval{
        sluice::parse_time("2026-01-05T00:00:00Z")->at,
        sluice::parse_time("2026-01-06T00:00:00Z")->at
    };
    out.partition_key = "2026-01-05";
    out.params = R"({"n": 3, "tables": ["a", "b"], "who": {"name": "Ada"}, "flag": true})";
    out.conf = R"({"x": 1})";
    out.xcoms["extract"]["return_value"] = R"({"rows": 7})";
    out.xcoms["group.task"]["return_value"] = "\"text\"";
    out.xcoms["extract"]["other"] = "5";
    out.variables["region"] = "eu";
    out.variables["limits"] = R"({"max": 9})";
    out.connections["shop"] = {
        "shop", "postgres", "db.example", 5432, "ann", "shop", "", R"({"a": {"b": 1}})"
    };
    return out;
}

json render(const std::string& text) { return sluice::render_text(text, context()); }

std::vector<Problem> check(const json& with, const json& schema = json::object()) {
    sluice::TemplateScope scope;
    scope.task_ids = {"extract", "group.task", "load.fact"};
    scope.params = R"({"n": 3, "tables": ["a"], "who": {"name": "Ada"}, "any": null})";
    return sluice::check_templates(with, schema, scope, "/with");
}

}  // namespace

TEST_CASE("expressions give what they give in Jinja", "[model][template]") {
    struct Case {
        const char* text;
        json value;
    };
    const auto one = GENERATE(
        Case{"plain", "plain"},
        Case{"{{ ds }}", "2026-01-05"},
        Case{"{{ ds_nodash }}/{{ ts }}", "20260105/2026-01-05T02:03:04+00:00"},
        Case{"{{ ts_nodash }} {{ ts_nodash_with_tz }}", "20260105T020304 20260105T020304+0000"},
        Case{"{{ data_interval_end | ds }}", "2026-01-06"},
        Case{"{{ data_interval_start | ts }}", "2026-01-05T00:00:00+00:00"},
        Case{"{{ data_interval_start }}", "2026-01-05T00:00:00+00:00"},
        Case{"{{ params.n }}", 3},
        Case{"{{ params.n + 1 }}", 4},
        Case{"{{ params.n / 2 }}", 1.5},
        Case{"{{ -7 // 2 }}", -4},
        Case{"{{ -7 % 3 }}", 2},
        Case{"{{ 1 + 2 * 3 - (4 - 2) }}", 5},
        Case{"{{ params.tables }}", json{"a", "b"}},
        Case{"{{ params.tables[0] ~ params.tables[-1] }}", "ab"},
        Case{"{{ params['who'].name | upper }}", "ADA"},
        Case{"n={{ params.n }}, list={{ params.tables }}", "n=3, list=[\"a\",\"b\"]"},
        Case{"{{ params.n > 2 and not params.flag }}", false},
        Case{"{{ 'big' if params.n > 2 else 'small' }}", "big"},
        Case{"{{ 'a' in params.tables }}", true},
        Case{"{{ 'z' not in params.tables }}", true},
        Case{"{{ params.who.age | default('old') }}", "old"},
        Case{"{{ params.who.age is defined }}", false},
        Case{"{{ xcom.extract.rows }}", 7},
        Case{"{{ xcom['group.task'] }}", "text"},
        Case{"{{ ti.xcom_pull('extract', key='other') + 1 }}", 6},
        Case{"{{ ti.xcom_pull(task_ids=['extract'])[0].rows }}", 7},
        Case{"{{ var.value.region }}{{ var.json.limits.max }}", "eu9"},
        Case{"{{ var.value.get('none', 'd') }}", "d"},
        Case{
            "{{ conn.shop.host }}:{{ conn.shop.port }}/{{ conn.shop.schema }}",
            "db.example:5432/shop"
        },
        Case{"{{ conn.shop.extra.a.b }}", 1},
        Case{"{{ dag.dag_id }} {{ task.task_id }} {{ ti.try_number }}", "sales load.fact 1"},
        Case{"{{ dag_run.conf.x }}", 1},
        Case{"{{ task_instance_key_str }}", "sales__load.fact__20260105"},
        Case{"{{ macros.ds_add(ds, -5) }}", "2025-12-31"},
        Case{"{{ macros.ds_format(ds, '%Y-%m-%d', '%d/%m/%y') }}", "05/01/26"},
        Case{
            "{{ (logical_date + macros.timedelta(days=1, hours=2)) | ts }}",
            "2026-01-06T04:03:04+00:00"
        },
        Case{"{{ (data_interval_end - data_interval_start) }}", "1d"},
        Case{"{{ logical_date.strftime('%B %j %A') }}", "January 005 Monday"},
        Case{
            "{{ logical_date.in_timezone('America/New_York').isoformat() }}",
            "2026-01-04T21:03:04-05:00"
        },
        Case{"{{ logical_date.year * 100 + logical_date.month }}", 202601},
        Case{"{{ {'a': [1, 2.5, none]} | tojson }}", R"({"a":[1,2.5,null]})"},
        Case{"{{ macros.json.loads('[1, 2]') | length }}", 2},
        Case{"{{ ' a,b ' | trim | replace(',', ';') }}", "a;b"},
        Case{"{{ 'a-b'.split('-') | join('+') }}", "a+b"},
        Case{"{% for t in params.tables %}[{{ t }}]{% endfor %}", "[a][b]"},
        Case{"{% for k, v in params.who.items() %}{{ k }}={{ v }}{% endfor %}", "name=Ada"},
        Case{
            "{% if params.n == 1 %}one{% elif params.n == 3 %}three{% else %}?{% endif %}", "three"
        },
        Case{"a {#- note -#} b", "ab"},
        Case{"{{ '{{' }}x", "{{x"},
        Case{"{{ \"}}\" }}", "}}"}
    );
    CAPTURE(one.text);
    CHECK(render(one.text) == one.value);
}

TEST_CASE("what cannot be rendered says why", "[model][template]") {
    const auto text = GENERATE(
        as<std::string>{},
        "{{ nothing }}",
        "{{ params.missing }}",
        "{{ 1 / 0 }}",
        "{{ ds",
        "{{ }}",
        "{% if %}x",
        "{% if ds %}x",
        "{% endif %}",
        "{{ 'a' | nofilter }}",
        "{{ xcom.nobody.rows }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ ds + 1 }}",
        "{{ 'A b' | identifier }}",
        "{{ params.n.x }}",
        "{{ a < b < c }}",
        "{% while %}",
        "{{ conn.shop }}",
        "{{ conn.none.host }}",
        "{{ ds | default }}",
        "{{ conn.shop.password }}",
        "{{ params.tables[5] }}",
        "{{ xcom[ds] }}"
    );
    CAPTURE(text);
    CHECK_THROWS_AS(render(text), Error);
}

TEST_CASE("a run without a logical date has no ds", "[model][template]") {
    RenderContext none = context();
    none.logical_date.reset();
    none.data_interval.reset();
    CHECK_THROWS_AS(sluice::render_text("{{ ds }}", none), Error);
    CHECK_THROWS_AS(sluice::render_text("{{ data_interval_start }}", none), Error);
    CHECK(sluice::render_text("{{ logical_date is none }}", none) == true);
}

TEST_CASE("what Airflow's templates know besides", "[model][template]") {
    auto known = context();
    const auto render = [&](const std::string& text) { return sluice::render_text(text, known); };
    CHECK(render("{{ prev_start_date_success }}").is_null());
    CHECK(render("{{ prev_data_interval_end_success }}").is_null());
    known.previous = {
        sluice::Interval{
            sluice::parse_time("2026-01-04T00:00:00Z")->at,
            sluice::parse_time("2026-01-05T00:00:00Z")->at
        },
        sluice::parse_time("2026-01-05T02:00:00Z")->at,
        sluice::parse_time("2026-01-05T02:09:00Z")->at
    };
    CHECK(render("{{ prev_data_interval_start_success | ds }}") == "2026-01-04");
    CHECK(render("{{ prev_data_interval_end_success | ds }}") == "2026-01-05");
    CHECK(render("{{ prev_start_date_success }}") == "2026-01-05T02:00:00+00:00");
    CHECK(render("{{ prev_end_date_success }}") == "2026-01-05T02:09:00+00:00");
    known.inlets = {"raw.a"};
    known.outlets = {"raw.b"};
    known.inlet_events = R"({"raw.a": [{"extra": {"n": 1}}, {"extra": {"n": 2}}]})";
    known.reschedule_count = 3;
    known.map_index_template = "{{ map.x }}";
    known.expanded_count = 40;
    CHECK(render("{{ inlets }}") == json::parse(R"([{"name": "raw.a", "uri": "raw.a"}])"));
    CHECK(render("{{ outlets[0].name }}") == "raw.b");
    CHECK(render("{{ inlet_events['raw.a'][1].extra.n }}") == 2);
    CHECK(render("{{ outlet_events['raw.b'].extra }}") == json::object());
    CHECK(render("{{ task_reschedule_count }}") == 3);
    CHECK(render("{{ map_index_template }}") == "{{ map.x }}");
    CHECK(render("{{ expanded_ti_count }}") == 40);
    CHECK(check({{"a", "{{ prev_start_date_success }} {{ inlet_events['raw.a'] }}"}}).empty());
    const auto reads = sluice::template_reads({{"a", "{{ prev_end_date_success | ds }}"}});
    CHECK(reads.rare == std::set<std::string>{"prev_end_date_success"});
}

TEST_CASE("templates do bounded work", "[model][template]") {
    CHECK_THROWS_AS(render("{{ " + std::string(100'000, '(') + " }}"), Error);
    CHECK_THROWS_AS(render("{{ 1" + std::string(100'000, '-') + "1 }}"), Error);
    std::string chain = "'a'";
    for (int i = 0; i < 50; ++i) chain += "|replace('a','aaaaaaaaaa')";
    CHECK_THROWS_AS(render("{{ " + chain + " }}"), Error);
    std::string loops;
    for (int i = 0; i < 20; ++i) loops += "{% for x in [1,2,3,4,5,6,7,8,9] %}";
    loops += "x";
    for (int i = 0; i < 20; ++i) loops += "{% endfor %}";
    CHECK_THROWS_AS(render(loops), Error);
    std::string blocks;
    for (int i = 0; i < 100'000; ++i) blocks += "{% if 1 %}";
    CHECK_THROWS_AS(render(blocks), Error);
    std::string sum = "1";
    for (int i = 0; i < 100'000; ++i) sum += "+1";
    CHECK_NOTHROW(sluice::template_reads("{{ " + sum + " }}"));
}

TEST_CASE("SQL templates become bound parameters", "[model][template][sql]") {
    const json schema = json::parse(
        R"({"properties": {"sql": {"x-template": "sql", "oneOf": [{"type": "string"},
             {"type": "array", "items": {"type": "string"}}]}, "raw": {"type": "string", "x-template": "none"}}})"
    );
    const auto out = sluice::render_params(
        {{"sql",
          {"select * from {{ params.who.name | lower | identifier }}",
           "where d = {{ ds }} and t < {{ data_interval_end }} and n = {{ params.n }} -- it's"}},
         {"raw", "{{ not rendered }}"}},
        schema,
        context()
    );
    CHECK(out["sql"]["text"] == "select * from ada\nwhere d = $1 and t < $2 and n = $3 -- it's");
    CHECK(
        out["sql"]["values"] ==
        json::parse(R"(["2026-01-05", {"timestamptz": "2026-01-06T00:00:00+00:00"}, 3])")
    );
    CHECK(out["raw"] == "{{ not rendered }}");
    CHECK(
        sluice::render_params({{"sql", "select $1"}}, schema, context())["sql"] ==
        json{{"text", "select $1"}, {"values", json::array()}}
    );
    for (const char* bad :
         {"select '{{ ds }}'",
          "select \"{{ ds }}\"",
          "select 1 -- {{ ds }}",
          "select $$ {{ ds }} $$",
          "select $1, {{ ds }}",
          "select /* /* */ {{ ds }} */ 1",
          "select e'\\'{{ ds }}'"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(sluice::render_params({{"sql", bad}}, schema, context()), Error);
        CHECK(check({{"sql", bad}}, schema).size() == 1);
    }
    for (const char* good :
         {"select 'it''s', {{ ds }}",
          "select \"{{ params.who.name | lower | identifier }}\"",
          "select a$1 from t where {{ ds }} = 1"}) {
        CAPTURE(good);
        CHECK_NOTHROW(sluice::render_params({{"sql", good}}, schema, context()));
    }
}

TEST_CASE(
    "a secret is a placeholder, and only where secrets are accepted", "[model][template][secret]"
) {
    const json schema = json::parse(
        R"({"properties": {"env": {"type": "object", "x-secret": true}, "cwd": {"type": "string"}, "kept": {"type": "string", "default": "{{ ds }}"}}})"
    );
    const json with = json{{"env", {{"PW", "a {{ conn.shop.password }} {{ secret.salt }}"}}}};
    json out = sluice::render_params(with, schema, context());
    CHECK(out["kept"] == "2026-01-05");
    json masked = out;
    sluice::mask_secrets(masked);
    CHECK(masked["env"]["PW"] == "a *** ***");
    sluice::reveal_secrets(out, [](const std::string& name) { return '<' + name + '>'; });
    CHECK(out["env"]["PW"] == "a <conn.shop.password> <secret.salt>");
    CHECK_THROWS_AS(
        sluice::render_params({{"cwd", "{{ secret.salt }}"}}, schema, context()), Error
    );
    CHECK(check({{"cwd", "x{{ secret.salt }}"}}, schema).size() == 1);
    CHECK(check({{"cwd", "x"}, {"env", {{"A", "{{ secret.salt }}"}}}}, schema).empty());
    CHECK(check({{"env", {{"A", "{{ secret.salt | upper }}"}}}}, schema).size() == 1);
    // A value of the run cannot pose as a placeholder.
    RenderContext sly = context();
    sly.params = json{{"p", sluice::secret_placeholder("secret.salt")}}.dump();
    CHECK_THROWS_AS(
        sluice::render_params({{"env", {{"A", "{{ params.p }}"}}}}, schema, sly), Error
    );
    CHECK_THROWS_AS(
        sluice::render_params({{"env", {{"A", "x{{ params.p }}"}}}}, schema, sly), Error
    );
    sly.params = json{{"p", {sluice::secret_placeholder("secret.salt")}}}.dump();
    CHECK_THROWS_AS(
        sluice::render_params({{"env", {{"A", "{{ params.p }}"}}}}, schema, sly), Error
    );
}

TEST_CASE("rendered values are held to the schema", "[model][template]") {
    const json schema = json::parse(
        R"({"properties": {"n": {"type": "integer", "maximum": 5}, "mode": {"enum": ["a", "b"]}}})"
    );
    CHECK(sluice::render_params({{"n", "{{ params.n }}"}}, schema, context())["n"] == 3);
    CHECK_THROWS_AS(sluice::render_params({{"n", "{{ params.n * 2 }}"}}, schema, context()), Error);
    CHECK_THROWS_AS(sluice::render_params({{"mode", "{{ ds }}"}}, schema, context()), Error);
    CHECK(check({{"n", "{{ ds }}"}}, schema).at(0).code == "E-TEMPLATE-TYPE");
    CHECK(check({{"n", "{{ xcom.extract.rows }}"}, {"mode", "{{ ds }}"}}, schema).empty());
}

TEST_CASE("at load every undefined name is told, in all branches", "[model][template][load]") {
    struct Case {
        const char* text;
        const char* suggestion;
    };
    const auto bad = GENERATE(
        Case{"{{ dss }}", "did you mean \"ds\"?"},
        Case{"{{ params.tabels }}", "did you mean \"tables\"?"},
        Case{"{{ xcom.extrct.rows }}", "did you mean \"extract\"?"},
        Case{"{{ xcom.task }}", "did you mean xcom['group.task']?"},
        Case{"{% if params.n > 5 %}{{ dss }}{% endif %}", "did you mean \"ds\"?"},
        Case{"{{ 1 if params.n > 5 else dss }}", "did you mean \"ds\"?"},
        Case{"{{ true or dss }}", "did you mean \"ds\"?"},
        Case{"{{ ds | uper }}", "did you mean \"upper\"?"},
        Case{"{{ conn.shop.pasword }}", "did you mean \"password\"?"},
        Case{"{{ dag.dagid }}", "did you mean \"dag_id\"?"}
    );
    CAPTURE(bad.text);
    const auto problems = check({{"a", {bad.text}}});
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].pointer == "/with/a/0");
    CHECK(problems[0].suggestion == bad.suggestion);
    CHECK(check({{"a", "{{ x1 }} {{ x2 }}"}}).size() == 2);
    CHECK(
        check({{"a", "{{ prev_start_date_succes }}"}}).at(0).suggestion ==
        "did you mean \"prev_start_date_success\"?"
    );
}

TEST_CASE("at load what only the run knows is let through", "[model][template][load]") {
    const auto good = GENERATE(
        as<std::string>{},
        "{{ xcom.extract.rows > params.n }}",
        "{{ params.any.deep.thing + 1 }}",
        "{{ params.who.later }}",
        "{{ dag_run.conf.whatever | default('x') | upper }}",
        "{{ var.json.a.b[3] }}",
        "{% for x in xcom.extract %}{{ x.y }}{% endfor %}",
        "{{ 10 / (params.n - 3) }}",
        "{{ params.tables[7] }}",
        "{{ conn.shop.extra.x.y }}",
        "{{ ti.xcom_pull('group.task').a }}",
        "{{ macros.ds_add(ds, xcom.extract) }}"
    );
    CAPTURE(good);
    CHECK(check({{"a", good}}).empty());
}

TEST_CASE(
    "what templates read from outside is known before they are rendered", "[model][template]"
) {
    const auto reads = sluice::template_reads(
        {{"a", "{{ xcom.extract.rows }} {{ ti.xcom_pull(task_ids=['x', 'y']) }} {{ xcom['g.t'] }}"},
         {"b",
          {"{% if var.value.region %}{{ conn.shop.host }}{% endif %}",
           "{{ secret.salt }}{{ var.json.get('j') }}"}},
         {"c", "{{ not closed"}}
    );
    CHECK(reads.xcom_tasks == std::set<std::string>{"extract", "x", "y", "g.t"});
    CHECK(reads.variables == std::set<std::string>{"region", "j"});
    CHECK(reads.connections == std::set<std::string>{"shop"});
    CHECK(reads.secrets == std::set<std::string>{"salt"});
}
