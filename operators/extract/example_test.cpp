// The source of docs/add-a-source.md: what the page shows is what is compiled and run here.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/engine/chunk.hpp"
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

Stored write_countdown(
    task::TaskContext& context, engine::Database& database, const WriteRequest& request
) {
    Stored stored;
    stored.generation = request.claim(1);
    const auto board = request.to.at("board").get<std::string>();
    const std::string part = board + ".part";
    std::ofstream out(part, std::ios::trunc);
    database.stream(request.query, [&](const engine::Chunk& chunk) {
        for (std::size_t row = 0; row < chunk.rows(); ++row) {
            out << chunk.column(0).integer(row) << '\n';
        }
        stored.rows += static_cast<std::int64_t>(chunk.rows());
    });
    out.close();
    if (!out || context.cancelled()) {
        throw engine::Failure(ErrorClass::transient, "cannot write the board " + board);
    }
    std::filesystem::rename(part, board);  // the old one until now, the new one from now on
    return stored;
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
        .writes = {"board"},
        .modes = {"replace"},
        .write = write_countdown,
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

TEST_CASE("the source of docs/add-a-source.md writes", "[extract][example]") {
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    const auto board = std::filesystem::path(fake.context().scratch()) / "board";
    const auto database = engine::open_database(fake.context());
    WriteRequest request;
    request.to = {{"conn_id", "c"}, {"board", board.string()}};
    request.query = "select unnest([3, 2, 1])::bigint as n";
    request.claim = [](std::int64_t at_least) { return at_least; };
    CHECK(countdown_source().write(fake.context(), *database, request).rows == 3);
    std::ifstream in(board);
    CHECK(std::string(std::istreambuf_iterator<char>(in), {}) == "3\n2\n1\n");
    CHECK_FALSE(std::filesystem::exists(board.string() + ".part"));
}

TEST_CASE("who can be written to, and by what", "[extract]") {
    const auto refused = [](const std::string& type, const nlohmann::json& to, const char* mode) {
        try {
            (void)target_of({.id = "c", .type = type}, to, mode);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refused("mysql", {{"table", "t"}}, "merge").empty());
    CHECK(refused("s3", {{"path", "t.csv"}}, "").empty());
    CHECK(
        refused("mysql", {{"table", "t"}}, "scd2") ==
        "connection \"c\" is of type \"mysql\", which load writes by append, replace or merge, not "
        "by scd2"
    );
    CHECK(refused("fs", {{"table", "t"}}, "").find("written by path") != std::string::npos);
    CHECK(refused("http", {{"table", "t"}}, "").find("mysql, fs, s3 and aws") != std::string::npos);
    CHECK(refused("postgres", {{"table", "t"}}, "").find("schema.table") != std::string::npos);
}

TEST_CASE("every source has its own types of connections, and says what it reads", "[extract]") {
    // Two sources may read from one type by different keys: files and answers of an HTTP server.
    std::vector<std::pair<std::string, std::vector<std::string>>> read;
    for (const DataSource& source : sources()) {
        CHECK_FALSE(source.name.empty());
        CHECK_FALSE(source.reads.empty());
        CHECK(source.read);
        for (const std::string& type : source.conn_types) read.emplace_back(type, source.reads);
    }
    std::sort(read.begin(), read.end());
    CHECK(std::adjacent_find(read.begin(), read.end()) == read.end());
    task::Connection connection{.id = "c", .type = "kafka"};
    CHECK_THROWS_WITH(
        source_of(connection, {{"endpoint", "/x"}}),
        "connection \"c\" is of type \"kafka\", extract reads from postgres, mysql, fs, s3, aws, "
        "sftp, http, https"
    );
}

}  // namespace sluice::extract
