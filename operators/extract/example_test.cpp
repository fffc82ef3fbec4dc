// The source of docs/add-a-source.md: what the page shows is what is compiled and run here.
#include <algorithm>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"
#include "operators/extract/source.hpp"
#include "task/fake_context.hpp"
#include "tests/source_dir.hpp"

namespace sluice::extract {
namespace {

// [example]
Extracted read_countdown(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    const auto from = request.from.at("count").get<std::int64_t>();
    if (from < 0) {
        throw engine::Failure(
            ErrorClass::permanent,
            "connection \"" + request.from.at("conn_id").get<std::string>() +
                "\": nothing is counted down from " + std::to_string(from)
        );
    }
    database.execute("create table numbers (n bigint, _sluice_source varchar)");
    auto rows = database.append("numbers");
    for (std::int64_t n = from; n > 0 && !context.cancelled(); --n) {
        rows.integer(n);
        rows.text("countdown");
        rows.end_row();
    }
    rows.close();
    Extracted extracted;
    extracted.query = "select * from numbers";
    extracted.rows_in = from;
    return extracted;
}

DataSource countdown_source() {
    return {
        .name = "countdown",
        .conn_types = {"countdown"},
        .reads = {"count"},
        .keys = {},
        .has_rejects = false,
        .check = {},
        .read = read_countdown,
    };
}
// [/example]

std::string between(const std::string& file, const std::string& begin, const std::string& end) {
    std::ifstream in(std::string(sluice_source_dir) + "/" + file);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto from = text.find(begin) + begin.size();
    REQUIRE(text.find(begin) != std::string::npos);
    return text.substr(from, text.find(end, from) - from);
}

}  // namespace

TEST_CASE("the source of docs/add-a-source.md is what is compiled here", "[extract][example]") {
    CHECK(
        between("docs/add-a-source.md", "```cpp\n", "```\n") ==
        between("operators/extract/example_test.cpp", "// [example]\n", "// [/example]\n")
    );
}

TEST_CASE("the source of docs/add-a-source.md reads", "[extract][example]") {
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    const DataSource source = countdown_source();
    const auto database = engine::open_database(fake.context());
    Request request;
    request.from = {{"conn_id", "c"}, {"count", 3}};
    const Extracted extracted = source.read(fake.context(), *database, request);
    CHECK(database->text("select string_agg(n, ' ') from (" + extracted.query + ")") == "3 2 1");
    request.from["count"] = -1;
    CHECK_THROWS_AS(source.read(fake.context(), *database, request), engine::Failure);
}

TEST_CASE("every source has its own types of connections, and says what it reads", "[extract]") {
    std::vector<std::string> types;
    for (const DataSource& source : sources()) {
        CHECK_FALSE(source.name.empty());
        CHECK_FALSE(source.reads.empty());
        CHECK(source.read);
        types.insert(types.end(), source.conn_types.begin(), source.conn_types.end());
    }
    std::sort(types.begin(), types.end());
    CHECK(std::adjacent_find(types.begin(), types.end()) == types.end());
    task::Connection connection{.id = "c", .type = "kafka"};
    CHECK_THROWS_WITH(
        source_of(connection, {{"endpoint", "/x"}}),
        "connection \"c\" is of type \"kafka\", extract reads from postgres, mysql, fs, s3, aws, "
        "http, https"
    );
}

}  // namespace sluice::extract
