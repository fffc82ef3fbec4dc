// What is committed is right: the example DAGs load, every operator's schema is sound, and the
// generated files are those that this version generates.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "model/json_schema.hpp"
#include "operator_catalogue.hpp"
#include "spec/loader.hpp"
#include "tests/source_dir.hpp"

namespace {

namespace fs = std::filesystem;
using namespace sluice;

const fs::path source = sluice_source_dir;

std::optional<std::string> read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>(in), {}};
}

std::string text_of(const std::vector<Problem>& problems) {
    std::string out;
    for (const auto& problem : problems) out += format(problem) + '\n';
    return out;
}

Parsed<Dag> load(const fs::path& file) {
    return spec::load(
        read(file).value_or(""),
        file.filename().string(),
        operator_catalogue(),
        [&](const std::string& path) { return read(file.parent_path() / path); }
    );
}

/// A generated file is compared; SLUICE_UPDATE=1 writes it instead.
void require_current(const fs::path& file, const std::string& generated) {
    if (std::getenv("SLUICE_UPDATE") != nullptr) {
        fs::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << generated;
    }
    INFO(
        file.lexically_relative(source).string()
        << " is not what this version generates; write it anew with:\n"
           "  SLUICE_UPDATE=1 build/dev/tests/dag_files/sluice_dag_files_test '[generated]'"
    );
    const bool current = read(file) == generated;
    REQUIRE(current);
}

}  // namespace

TEST_CASE("every DAG file of the repository loads without a problem", "[dags]") {
    std::size_t files = 0;
    for (const auto* folder : {"dags", "bench/dags"}) {
        for (const auto& entry : fs::directory_iterator(source / folder)) {
            const auto ending = entry.path().extension();
            if (ending != ".json" && ending != ".yaml") continue;
            ++files;
            const auto parsed = load(entry.path());
            INFO(text_of(parsed.problems));
            CHECK(parsed.value);
            CHECK(parsed.problems.empty());
            if (!parsed.value) continue;
            CHECK(parsed.value->dag_id == entry.path().stem());
            // What is stored makes the same DAG again.
            const auto again = spec::load_stored(
                parsed.value->source,
                parsed.value->files,
                parsed.value->fileloc,
                operator_catalogue()
            );
            INFO(text_of(again.problems));
            REQUIRE(again.value);
            CHECK(again.value->hash == parsed.value->hash);
            for (std::size_t i = 0; i < parsed.value->tasks.size(); ++i)
                CHECK(again.value->tasks[i].upstream == parsed.value->tasks[i].upstream);
        }
    }
    CHECK(files >= 10);
}

TEST_CASE("every policy of the repository is right", "[dags]") {
    for (const auto& entry : fs::directory_iterator(source / "dags/policies")) {
        const auto problems =
            spec::check_policy(*read(entry.path()), entry.path().filename().string());
        INFO(text_of(problems));
        CHECK(problems.empty());
    }
}

TEST_CASE("every operator's schema is sound", "[operators]") {
    for (const auto& info : operator_catalogue().all()) {
        INFO(info.name);
        const auto document = read_json(info.schema, info.name, {1U << 20, 64});
        INFO(text_of(document.problems));
        REQUIRE(document.value != nullptr);
        const auto faults = schema_faults(*document.value);
        INFO((faults.empty() ? std::string{} : faults.front()));
        CHECK(faults.empty());
        CHECK_FALSE(info.summary.empty());
    }
}

TEST_CASE("the schemas for editors are up to date", "[generated]") {
    require_current(
        source / "dags/schemas/dag.schema.json", spec::dag_schema(operator_catalogue())
    );
    require_current(source / "dags/schemas/policy.schema.json", spec::policy_schema());
}

TEST_CASE("the reference pages are up to date", "[generated]") {
    require_current(source / "docs/dag-file.md", spec::dag_file_page());
    require_current(source / "docs/operators.md", spec::operators_page(operator_catalogue()));
}

TEST_CASE("the edges of the e-commerce pipeline are inferred", "[dags]") {
    const auto parsed = load(source / "dags/ecommerce_daily.json");
    INFO(text_of(parsed.problems));
    REQUIRE(parsed.value);
    const Dag& dag = *parsed.value;
    const auto runs_after = [&](const std::string& later, const std::string& earlier) {
        INFO(later << " after " << earlier);
        const TaskNo down = find_task(dag, later);
        const TaskNo up = find_task(dag, earlier);
        REQUIRE(down != no_task);
        REQUIRE(up != no_task);
        const auto& upstream = dag.tasks[static_cast<std::size_t>(down)].upstream;
        CHECK(std::find(upstream.begin(), upstream.end(), up) != upstream.end());
    };
    runs_after("validate.orders", "extract.orders");
    runs_after("validate.order_items", "validate.orders");
    runs_after("transform.sales", "transform.orders");
    runs_after("mask.sales", "transform.sales");
    runs_after("load.dim_product", "transform.products");
    runs_after("load.fact_sales", "load.dim_customer");
    runs_after("verify.fact_sales", "load.fact_sales");
    runs_after("publish.v_sales", "verify.fact_sales");
    runs_after("publish.mv_daily_sales", "publish.v_sales");
    runs_after("publish.report", "publish.mv_daily_sales");
}
