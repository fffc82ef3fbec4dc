#include "operators/sensor/sensor.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "operators/sensor/look.hpp"
#include "task/fake_context.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

struct Folder {
    Folder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "sluice-sensor-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path + "/" + name) << text;
    }
    std::string path;
};

Outcome sense(task::FakeContext& context, const Json& params) {
    return context.run(sensor_operator(), params);
}

Instant now() { return SystemClock().now(); }

Instant at(const char* text) { return parse_time(text)->at; }

TEST_CASE("a sensor waits for a file of some size", "[sensor]") {
    const Folder folder;
    task::FakeLedger ledger;
    const auto look = [&](const Json& file) {
        task::FakeContext context(ledger);
        context.folder("files", folder.path);
        auto outcome = sense(context, {{"file", file}, {"poke_interval", "30s"}});
        return std::pair{outcome, context.xcom()};
    };
    Json file{{"conn_id", "files"}, {"path", "day-*.csv"}};
    const auto [none, nothing] = look(file);
    REQUIRE(none.kind == OutcomeKind::waiting);
    CHECK(none.wait->kind == WaitKind::reschedule);
    CHECK(*none.wait->until > now() + 25s);
    CHECK(*none.wait->until < now() + 35s);
    folder.write("day-1.csv", "");
    CHECK(look(file).first.kind == OutcomeKind::waiting);
    folder.write("day-1.csv", "a");
    const auto [found, names] = look(file);
    CHECK(found.kind == OutcomeKind::success);
    CHECK(names == Json::array({"day-1.csv"}));
    file["stable_for"] = "1h";
    const auto [fresh, ignored] = look(file);
    REQUIRE(fresh.kind == OutcomeKind::waiting);
    CHECK(*fresh.wait->until > now() + 50min);
}

TEST_CASE("the timeout runs from the first look of all, and soft_fail skips", "[sensor]") {
    const Folder folder;
    task::FakeLedger ledger;
    Json params{{"file", {{"conn_id", "files"}, {"path", "x"}}}, {"timeout", "1h"}};
    const auto look = [&](Duration ago) {
        task::FakeContext context(ledger);
        context.folder("files", folder.path);
        context.job.poke = PokeInfo{now() - ago, 3, "null"};
        return sense(context, params);
    };
    const auto last = look(59min + 50s);
    REQUIRE(last.kind == OutcomeKind::waiting);
    CHECK(*last.wait->until < now() + 11s);
    const auto over = look(61min);
    CHECK(over.kind == OutcomeKind::failed);
    CHECK(over.error_class == ErrorClass::permanent);
    CHECK(over.message == "timeout of 1h: there is no file \"x\"");
    params["soft_fail"] = true;
    CHECK(look(61min).kind == OutcomeKind::skipped);
    CHECK(look(1min).skip_on_timeout);
}

TEST_CASE("what a failed look means is what the task says", "[sensor]") {
    task::FakeLedger ledger;
    Json params{{"file", {{"conn_id", "nowhere"}, {"path", "x"}}}};
    const auto look = [&] {
        task::FakeContext context(ledger);
        context.answers = [](const Json&) -> Json {
            throw Error(ErrorCode::not_found, "no connection");
        };
        return sense(context, params);
    };
    CHECK(look().kind == OutcomeKind::failed);
    params["silent_fail"] = true;
    CHECK(look().kind == OutcomeKind::waiting);
    params.erase("silent_fail");
    params["never_fail"] = true;
    CHECK(look().kind == OutcomeKind::skipped);
}

TEST_CASE("the interval doubles with a jitter that is the same every time", "[sensor]") {
    const Folder folder;
    task::FakeLedger ledger;
    const auto pause = [&](int pokes, const char* most) {
        task::FakeContext context(ledger);
        context.folder("files", folder.path);
        context.job.poke = PokeInfo{at("2999-01-01T00:00:00Z"), pokes, "null"};
        Json params{
            {"file", {{"conn_id", "files"}, {"path", "x"}}},
            {"poke_interval", "10s"},
            {"exponential_backoff", true},
            {"max_wait", most}
        };
        const Instant before = now();
        return *sense(context, params).wait->until - before;
    };
    // The n-th look: b = 10 s * 2^(n-2), and up to b more.
    for (int pokes = 1; pokes <= 5; ++pokes) {
        const auto base = 10s * (1 << (pokes - 1));
        CHECK(pause(pokes, "7d") >= base);
        CHECK(pause(pokes, "7d") < 2 * base + 1s);
    }
    CHECK(pause(9, "90s") < 91s);
}

TEST_CASE("a time is a time of day, an instant, or so long after the interval", "[sensor]") {
    task::TaskInfo info;
    info.timezone = "Europe/Amsterdam";
    info.data_interval = Interval{at("2026-07-01T22:00:00Z"), at("2026-07-02T22:00:00Z")};
    const Instant any = at("2026-01-01T00:00:00Z");
    CHECK(target_of("07:30", info, any) == at("2026-07-03T05:30:00Z"));
    CHECK(target_of("00:00", info, any) == at("2026-07-02T22:00:00Z"));
    CHECK(target_of("90m", info, any) == at("2026-07-02T23:30:00Z"));
    CHECK(target_of("2026-08-01T12:00:00", info, any) == at("2026-08-01T10:00:00Z"));
    CHECK_FALSE(target_of("25:00", info, any));
    CHECK_FALSE(target_of("soon", info, any));

    task::FakeLedger ledger;
    task::FakeContext context(ledger);
    context.interval(at("2020-01-01T00:00:00Z"), at("2020-01-02T00:00:00Z"));
    CHECK(sense(context, {{"time", "1h"}}).kind == OutcomeKind::success);
    const auto later = sense(context, {{"time", "2999-01-01T00:00:00Z"}, {"mode", "deferrable"}});
    REQUIRE(later.kind == OutcomeKind::waiting);
    CHECK(later.wait->kind == WaitKind::deferred);
}

TEST_CASE("a run of another DAG: so, not yet, never", "[sensor]") {
    task::FakeLedger ledger;
    Json run;
    const auto look = [&](Json dag) {
        task::FakeContext context(ledger);
        context.answers = [&](const Json& request) {
            CHECK(request.at("dag_id") == "other");
            CHECK(request.at("logical_date_us") == to_micros(at("2026-01-04T00:00:00Z")));
            Json facts{{"seen", 7}, {"dag_known", true}};
            if (!run.is_null()) facts["run"] = run;
            return facts;
        };
        dag["external_dag_id"] = "other";
        dag["execution_delta"] = "1d";
        return sense(context, {{"dag", std::move(dag)}});
    };
    const auto absent = look({});
    REQUIRE(absent.kind == OutcomeKind::waiting);
    CHECK(absent.wait->event == date_event("other", at("2026-01-04T00:00:00Z")));
    CHECK(absent.wait->seen == Seq{7});
    CHECK(*absent.wait->until > now() + 24h * 6);  // no look by the clock

    const auto with = [&](const char* state, const char* a, const char* b) {
        run = {{"run_id", "r"}, {"state", state}, {"tasks", {{"a", {a}}, {"b", {b, a}}}}};
    };
    with("running", "success", "running");
    CHECK(look({}).kind == OutcomeKind::waiting);
    CHECK(look({{"external_task_ids", "a"}}).kind == OutcomeKind::success);
    CHECK(look({{"external_task_ids", {"a", "b"}}}).kind == OutcomeKind::waiting);
    CHECK(look({{"external_task_ids", "c"}}).kind == OutcomeKind::failed);
    with("failed", "skipped", "failed");
    CHECK(look({}).message == "the run of other for 2026-01-04T00:00:00Z is failed");
    CHECK(look({{"allowed_states", "failed"}}).kind == OutcomeKind::success);
    CHECK(look({{"failed_states", "removed"}}).kind == OutcomeKind::waiting);
    CHECK(look({{"external_task_ids", "a"}}).kind == OutcomeKind::failed);
    CHECK(
        look({{"external_task_ids", "a"}, {"allowed_states", {"success", "skipped"}}}).kind ==
        OutcomeKind::success
    );
    with("success", "success", "success");
    CHECK(look({}).kind == OutcomeKind::success);
}

}  // namespace
}  // namespace sluice::ops
