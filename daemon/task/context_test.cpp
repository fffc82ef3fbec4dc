#include "task/context.hpp"

#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "task/fake_context.hpp"
#include "task/job.hpp"

using namespace sluice;
using namespace sluice::task;
using Json = nlohmann::json;

namespace {

Job sample_job() {
    Job job;
    job.info.dag_id = "shop";
    job.info.task_id = "load.sales";
    job.info.run_id = "scheduled__2026-01-05";
    job.info.attempt_id = "7-3-1";
    job.info.data_interval = Interval{parse_time("2026-01-05")->at, parse_time("2026-01-06")->at};
    job.info.logical_date = job.info.data_interval->start;
    job.operator_name = "load";
    job.params = R"({"to":"sales.fact_sales"})";
    DatasetSpec dataset;
    dataset.name = "raw.orders";
    ColumnSpec column;
    column.name = "id";
    column.type = "bigint";
    column.not_null = true;
    column.origins = {"raw.orders.id"};
    dataset.columns = {column};
    dataset.key = {"id"};
    job.datasets = std::make_shared<const std::vector<DatasetSpec>>(1, dataset);
    job.files = std::make_shared<const std::map<std::string, std::string>>(
        std::map<std::string, std::string>{{"sql/a.sql", "select 1"}}
    );
    job.schemas["sales"] = {"warehouse", "sales_test_1"};
    Connection connection;
    connection.id = "warehouse";
    connection.type = "postgres";
    connection.password = Secret{"pw"};
    job.connections["warehouse"] = connection;
    job.secrets["mask_key"] = Secret{"k"};
    job.partitions["raw.orders"] = "dt=2026-01-05";
    job.checkpoint = R"({"page":4})";
    return job;
}

}  // namespace

TEST_CASE("a start frame carries the whole job there and back", "[task]") {
    const Json frame = to_json(sample_job());
    REQUIRE(to_json(job_of(frame)) == frame);
}

TEST_CASE("a context answers from its start frame", "[task]") {
    FakeLedger ledger;
    FakeContext fake(ledger);
    fake.job = sample_job();
    TaskContext& ctx = fake.context();
    REQUIRE(ctx.info().task_id == "load.sales");
    REQUIRE(ctx.dataset("raw.orders").columns.at(0).type == "bigint");
    REQUIRE(ctx.file("sql/a.sql") == "select 1");
    REQUIRE(ctx.schema_connection("sales") == "warehouse");
    REQUIRE(ctx.physical_schema("sales") == "sales_test_1");
    REQUIRE(ctx.connection("warehouse").password.reveal() == "pw");
    REQUIRE(ctx.secret("mask_key").reveal() == "k");
    REQUIRE(ctx.partition("raw.orders") == "dt=2026-01-05");
    REQUIRE(ctx.previous_checkpoint().at("page") == 4);
    REQUIRE_THROWS_AS(ctx.file("sql/b.sql"), Error);
    REQUIRE_THROWS_AS(ctx.dataset("raw.nothing"), Error);
    REQUIRE_THROWS_AS(ctx.connection("nowhere"), Error);
}

TEST_CASE("a cancel calls back once, and at once when it came before", "[task]") {
    FakeLedger ledger;
    FakeContext fake(ledger);
    int calls = 0;
    fake.context().on_cancel([&] { ++calls; });
    REQUIRE_FALSE(fake.context().cancelled());
    fake.context().cancel();
    fake.context().cancel();
    REQUIRE(fake.context().cancelled());
    fake.context().on_cancel([&] { calls += 10; });
    REQUIRE(calls == 11);
}

TEST_CASE("the scratch folder is there when asked for and gone with the context", "[task]") {
    FakeLedger ledger;
    std::string folder;
    {
        FakeContext fake(ledger);
        folder = fake.context().scratch();
        REQUIRE(std::filesystem::is_directory(folder));
    }
    REQUIRE_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("what one fake task wrote another reads, newest generation only", "[task]") {
    FakeLedger ledger;
    Operator writer;
    writer.run = [](TaskContext& ctx, const Json&) {
        const std::string partition = ctx.partition("raw.x");
        const OutputClaim claim = ctx.claim_output("raw.x", partition, "");
        OutputCommit output;
        output.dataset = "raw.x";
        output.partition = partition;
        output.generation = claim.generation;
        output.files = Json::array({{{"path", claim.folder + "/part-0.parquet"}}}).dump();
        output.rows = claim.generation * 10;
        ctx.commit_output(output);
        ctx.xcom("return_value", {{"rows_out", output.rows}});
        return success();
    };
    for (int i = 1; i <= 2; ++i) {
        FakeContext fake(ledger);
        REQUIRE(fake.run(writer, Json::object()).kind == OutcomeKind::success);
        REQUIRE(fake.xcom().at("rows_out") == i * 10);
    }
    FakeContext reader(ledger);
    const auto slices = reader.context().inputs({"raw.x", InputQuery::Partitions::interval, {}});
    REQUIRE(slices.size() == 1);
    REQUIRE(slices[0].generation == 2);
    REQUIRE(slices[0].files.at(0) == "raw/x/dt=2026-01-05/g=000002-1-0-1/part-0.parquet");
    reader.job.info.data_interval.reset();
}
