// Data sets through commands: what they find in the context file, what becomes of $SLUICE_OUT.
#include "operators/command/handover.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/command/operators.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
using Json = nlohmann::json;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

ColumnSpec column(const std::string& name, const std::string& type, const std::string& pii = "") {
    ColumnSpec made;
    made.name = name;
    made.type = type;
    made.pii_class = pii;
    return made;
}

DatasetSpec dataset(const std::string& name, std::vector<ColumnSpec> columns = {}) {
    DatasetSpec made;
    made.name = name;
    made.declared = !columns.empty();
    made.columns = std::move(columns);
    return made;
}

struct HandoverWorld {
    HandoverWorld() {
        std::string pattern = (fs::temp_directory_path() / "handover-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~HandoverWorld() { fs::remove_all(path); }
    HandoverWorld(const HandoverWorld&) = delete;
    HandoverWorld& operator=(const HandoverWorld&) = delete;

    void prepare(task::FakeContext& fake) {
        fake.folder("lake", path);
        fake.datasets(
            {dataset("raw.in"),
             dataset("raw.out"),
             dataset(
                 "processed.out",
                 {column("id", "bigint"), column("at", "date"), column("price", "decimal(10,2)")}
             )}
        );
        fake.job.inlets = inlets;
        fake.job.outlets = outlets;
        fake.job.info.attempt_id = "1-" + std::to_string(++attempts);
    }
    /// "" or the class and what went wrong.
    std::string bash(const std::string& script) {
        task::FakeContext fake(ledger);
        prepare(fake);
        const Outcome outcome = fake.run(ops::shell_operator(), {{"bash_command", script}});
        xcom = fake.xcom();
        log.clear();
        for (const auto& [level, line] : fake.logs()) log += line + '\n';
        if (outcome.kind == OutcomeKind::success) return "";
        return std::string(name(outcome.error_class)) + ": " + outcome.message;
    }
    std::string query(const std::string& what, const std::string& of) {
        task::FakeContext fake(ledger);
        prepare(fake);
        const auto db = engine::open_database(fake.context());
        const auto source = lake::read(fake.context(), *db, lake::query_of(of));
        return db->text("select " + what + " from " + source.relation);
    }
    /// Files of the lake, live or not.
    std::size_t files() const {
        std::size_t count = 0;
        for (const auto& entry : fs::recursive_directory_iterator(path))
            if (entry.path().extension() == ".parquet") ++count;
        return count;
    }

    std::string path;
    std::vector<std::string> inlets;
    std::vector<std::string> outlets{"raw.out"};
    Json xcom;
    std::string log;
    task::FakeLedger ledger;
    int attempts{0};
};

const std::string csv = "printf 'id,v\\n1,a\\n2,b\\n' > $SLUICE_OUT/raw.out/x.csv";
const std::string rows = "string_agg(id || v, ' ' order by id)";

}  // namespace

TEST_CASE("handover: what a command writes is its slice, which a re-run replaces", "[handover]") {
    HandoverWorld world;
    CHECK(world.bash(csv + "; echo 7") == "");
    CHECK(world.xcom == 7);
    CHECK_THAT(world.log, Contains("raw.out: 2 rows of 1 files"));
    CHECK(world.query(rows, "raw.out") == "1a 2b");
    CHECK(world.query("any_value(_sluice_source)", "raw.out") == "x.csv");
    SECTION("all files of any format, packed and in folders") {
        CHECK(
            world.bash(
                "mkdir $SLUICE_OUT/raw.out/sub; printf '{\"id\": 3, \"v\": \"c\"}\\n' | gzip > "
                "$SLUICE_OUT/raw.out/sub/y.jsonl.gz; printf '{\"id\": 4, \"v\": \"d\"}\\n' > "
                "$SLUICE_OUT/raw.out/z.jsonl"
            ) == ""
        );
        CHECK(world.query(rows, "raw.out") == "3c 4d");
        CHECK(world.bash("printf 'id\\tv\\n5\\te\\n' > $SLUICE_OUT/raw.out/a.tsv") == "");
        CHECK(world.query(rows, "raw.out") == "5e");
    }
    SECTION("nothing at all leaves it as it was, no rows empty it") {
        CHECK(world.bash("true") == "");
        CHECK_THAT(world.log, Contains("raw.out: nothing was written to it, it stays as it was"));
        CHECK(world.query("count(*)", "raw.out") == "2");
        CHECK(world.bash("echo id,v > $SLUICE_OUT/raw.out/x.csv") == "");
        CHECK(world.query("count(*)", "raw.out") == "0");
    }
    SECTION("a command that fails or is wrong changes nothing and leaves nothing") {
        const std::size_t before = world.files();
        for (const std::string& script : std::vector<std::string>{
                 csv + "; echo 3,c >> $SLUICE_OUT/raw.out/x.csv; exit 1",
                 "echo x > $SLUICE_OUT/x.csv",
                 "mkdir $SLUICE_OUT/raw.other; cp /dev/null $SLUICE_OUT/raw.other/x.csv",
                 "echo x > $SLUICE_OUT/raw.out/x.dat",
                 csv + "; echo 3 >> $SLUICE_OUT/raw.out/x.csv",
                 csv + "; echo '{}' > $SLUICE_OUT/raw.out/y.json",
                 "ln -s /etc/passwd $SLUICE_OUT/raw.out/x.csv",
                 "echo id,_sluice_run_id > $SLUICE_OUT/raw.out/x.csv"
             })
            CHECK(world.bash(script) != "");
        CHECK(world.query(rows, "raw.out") == "1a 2b");
        CHECK(world.files() == before);
    }
}

TEST_CASE("handover: what is wrong has a class and names the file", "[handover][bad]") {
    HandoverWorld world;
    CHECK_THAT(
        world.bash("echo x > $SLUICE_OUT/x.csv"),
        Contains("permanent: the command wrote $SLUICE_OUT/x.csv, which is no data set of its "
                 "outlets: files go under $SLUICE_OUT/raw.out/")
    );
    CHECK_THAT(
        world.bash("echo x > $SLUICE_OUT/raw.out/x.dat"),
        Contains("permanent: $SLUICE_OUT/raw.out/x.dat: what is taken ends in .csv")
    );
    CHECK_THAT(
        world.bash(csv + "; echo 3 >> $SLUICE_OUT/raw.out/x.csv"),
        Contains("data_quality: $SLUICE_OUT/raw.out: 1 records cannot be read, the first is x.csv:4"
        )
    );
    CHECK_THAT(
        world.bash(csv + "; echo '{}' > $SLUICE_OUT/raw.out/y.json"),
        Contains("permanent: ") && Contains("x.csv is csv and y.json is json")
    );
}

TEST_CASE("handover: outside of raw, columns are as they are declared", "[handover]") {
    HandoverWorld world;
    world.outlets = {"processed.out"};
    const auto write = [&](const std::string& text) {
        return world.bash("printf '" + text + "' > $SLUICE_OUT/processed.out/x.csv");
    };
    CHECK(write("price,id,at\\n1.50,1,2026-01-05\\n,2,\\n") == "");
    CHECK(
        world.query(
            "string_agg(id + 1 || ' ' || year(\"at\") || ' ' || price * 2, '')", "processed.out"
        ) == "2 2026 3.00"
    );
    CHECK_THAT(
        write("price,id,at\\n1.50,one,2026-01-05\\n2,2,2026-02-30\\n"),
        Contains("data_quality: $SLUICE_OUT/processed.out: column id: 1 values are no bigint")
    );
    CHECK_THAT(write("id,at\\n1,2026-01-05\\n"), Contains("schema: ") && Contains("are missing"));
    CHECK_THAT(
        write("price,id,at,more\\n1,1,2026-01-05,x\\n"),
        Contains("schema: ") && Contains("are not declared: \"more\"")
    );
    CHECK(world.query("count(*)", "processed.out") == "2");
}

TEST_CASE("handover: a command finds the files of its inlets", "[handover]") {
    HandoverWorld world;
    world.outlets = {"raw.in"};
    REQUIRE(
        world.bash("printf 'id,v\\n1,a\\n2,b\\n' > $SLUICE_OUT/raw.in/x.csv; echo $SLUICE_OUT") ==
        ""
    );
    CHECK(!fs::exists(world.xcom.get<std::string>()));
    world.inlets = {"raw.in"};
    world.outlets = {"raw.out", "sales.table"};
    REQUIRE(
        world.bash(
            "file=$(python3 -c 'import json, os; print(json.load(open(os.environ[\"SLUICE_CONTEXT"
            "\"]))[\"inlets\"][\"raw.in\"][\"files\"][0])'); cp $file $SLUICE_OUT/raw.out/; "
            "tr -d '\\n' < $SLUICE_CONTEXT"
        ) ==
        "schema: $SLUICE_OUT/raw.out: it has names that are Sluice's own, leave them out: "
        "\"_sluice_run_id\", \"_sluice_task\", \"_sluice_interval\", \"_sluice_source\", "
        "\"_sluice_row_hash\", \"_sluice_loaded_at\""
    );
    REQUIRE(world.bash(csv + "; tr -d '\\n' < $SLUICE_CONTEXT") == "");
    CHECK(world.xcom["inlets"]["raw.in"]["rows"] == 2);
    CHECK(fs::exists(world.xcom["inlets"]["raw.in"]["files"].at(0).get<std::string>()));
    CHECK(world.xcom["outlets"]["raw.out"]["folder"].get<std::string>().ends_with("/raw.out"));
    CHECK(!world.xcom["outlets"].contains("sales.table"));
    // The ledger and the rows know what they were made of.
    CHECK(world.query("any_value(_sluice_source)", "raw.out") == "raw.in");
}

TEST_CASE("handover: personal data does not go through a command unseen", "[handover][pii]") {
    std::map<std::string, DatasetSpec> known{
        {"raw.people",
         dataset("raw.people", {column("id", "bigint"), column("mail", "varchar", "email")})},
        {"raw.plain", dataset("raw.plain", {column("id", "bigint")})},
        {"curated.open", dataset("curated.open")},
        {"curated.typed", dataset("curated.typed", {column("id", "bigint")})},
        {"curated.shown", dataset("curated.shown", {column("m", "varchar", "email")})},
        {"processed.typed", dataset("processed.typed", {column("m", "varchar", "email")})}
    };
    const auto codes = [&](const std::string& from, const std::string& to, const std::string& why) {
        Dag dag;
        Task task;
        task.id = "t";
        task.operator_name = "shell";
        task.inlets = {from};
        task.outlets = {to};
        task.attest = why;
        dag.tasks.push_back(task);
        const Json params = Json::object();
        const auto result =
            ops::check_handover({dag, dag.tasks[0], params, [&](const std::string& n) {
                                     const auto found = known.find(n);
                                     return found == known.end() ? nullptr : &found->second;
                                 }});
        CHECK(result.writes.size() == 1);
        std::string out;
        for (const Problem& problem : result.problems) out += problem.code + ' ';
        return out;
    };
    CHECK(codes("raw.plain", "curated.open", "") == "");
    CHECK(codes("raw.people", "curated.open", "") == "E-ATTEST ");
    CHECK(codes("raw.people", "processed.typed", "") == "E-ATTEST ");
    CHECK(codes("raw.people", "curated.typed", "") == "E-ATTEST ");
    CHECK(codes("raw.people", "curated.open", "it counts") == "E-ATTEST ");
    CHECK(codes("raw.people", "curated.typed", "it counts") == "");
    CHECK(codes("raw.people", "processed.typed", "it counts") == "");
    CHECK(codes("raw.people", "curated.shown", "it counts") == "E-PII ");
    CHECK(codes("raw.plain", "curated.shown", "") == "E-PII ");
}
