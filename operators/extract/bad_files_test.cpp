// What is wrong with files, each with its class and a message that names connection, file and row.
#include <csignal>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "operators/connect/file_place.hpp"
#include "operators/extract/extract_fixture.hpp"
#include "operators/extract/json_document.hpp"

using namespace sluice;
using namespace sluice::extract_test;
using Catch::Contains;

namespace {

/// The outcome must be a failure that names connection and file.
void check_failure(const Outcome& outcome, ErrorClass error_class, const std::string& says) {
    CAPTURE(outcome.message);
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.error_class == error_class);
    CHECK_THAT(outcome.message, Contains("\"landing\"") && Contains("x.") && Contains(says));
}

std::string utf16(const std::string& text, bool marked) {
    std::string wide = marked ? "\xFF\xFE" : "";
    for (const char c : text) (wide += c) += '\0';
    return wide;
}

std::string columns(int count, const std::string& before, const std::string& behind) {
    std::string text;
    for (int i = 0; i < count; ++i)
        text += (i > 0 ? "," : "") + before + std::to_string(i) + behind;
    return text;
}

}  // namespace

TEST_CASE("bad input, CSV: bytes that are no text", "[extract][csv][bad]") {
    const Home home;
    Extract extract(home);
    Json params = from("x.csv");
    params["max_rejects"] = 1;
    SECTION("a zero byte, not UTF-8: one line each") {
        home.put("x.csv", std::string("a,b\n1,x\0y\n2,ok\n", 15));
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.text("select line_no || reason from r") == "2a zero byte");
        home.put("x.csv", "a,b\n1,\xE4\n2,\xE4\n3,ok\n");
        check_failure(
            extract.run(params), ErrorClass::data_quality, "x.csv:2: not UTF-8; x.csv:3: not UTF-8"
        );
    }
    SECTION("a header that is no text names no columns, whatever max_rejects is") {
        home.put("x.csv", "a,\xE4\n1,x\n2,y\n");
        check_failure(
            extract.run(params, "{}"),
            ErrorClass::data_quality,
            "the header, line 1, cannot be read: not UTF-8"
        );
    }
    SECTION("UTF-16") {
        home.put("x.csv", utf16("a,b\n1,x\n", true));
        check_failure(extract.run(params), ErrorClass::data_quality, "UTF-16");
        home.put("x.csv", utf16("a,b\n1,x\n", false));
        check_failure(extract.run(params), ErrorClass::data_quality, "UTF-16");
    }
    SECTION("lines that end in CR") {
        home.put("x.csv", "a,b\r1,x\r2,y\r");
        check_failure(extract.run(params), ErrorClass::data_quality, "CR alone");
    }
    SECTION("nothing") {
        home.put("x.csv", "");
        check_failure(extract.run(params), ErrorClass::schema, "is empty");
    }
}

TEST_CASE("bad input, files: names of columns", "[extract][bad]") {
    const Home home;
    Extract extract(home);
    const auto named = [&] {
        return extract.text(
            "select string_agg(column_name, '|') from (describe x) where column_name not like "
            "'$_sluice%' escape '$'"
        );
    };
    SECTION("twice, or but for case") {
        home.put("x.csv", "id,ID,id,\n1,2,3,4\n");
        REQUIRE(extract.run(from("x.csv"), "{}").message.empty());
        CHECK(named() == "id|ID_2|id_3|column_4");
        CHECK(extract.text("select id || ID_2 || id_3 || column_4 from x") == "1234");
        home.put("x.jsonl", R"({"id": 1, "ID": 2})");
        REQUIRE(extract.run(from("x.jsonl"), "{}").message.empty());
        CHECK(extract.text("select id || ID_2 from x") == "12");
    }
    SECTION("quotes, line breaks, SQL, HTML, paths of JSON") {
        home.put(
            "x.csv", "\"a\"\"b\nc; drop table x; --\",'$1<script>,{{ ds }}\n'; --,\"<b>\",x\n"
        );
        REQUIRE(extract.run(from("x.csv"), "{}").message.empty());
        CHECK(named() == "a\"b\nc; drop table x; --|'$1<script>|{{ ds }}");
        CHECK(extract.text("select concat_ws('|', columns(c -> c not like '\\_%')) from x") != "");
        home.put("x.jsonl", R"({"*": 1, "$": 2, "a.b": 3, "a\"b\nc\\": 4})");
        CHECK(extract.run(from("x.jsonl"), "{}").message == "");
        CHECK(extract.text(R"(select "*" || "$" || "a.b" from x)") == "123");
        Json params = from("x.jsonl");
        params["from"]["nested"] = "flatten";
        check_failure(extract.run(params, "{}"), ErrorClass::data_quality, "wildcards");
    }
    SECTION("a zero byte, nothing") {
        home.put("x.jsonl", R"({"a\u0000b": 1})");
        check_failure(extract.run(from("x.jsonl"), "{}"), ErrorClass::schema, "zero byte");
        home.put("x.jsonl", R"({"": 1})");
        check_failure(extract.run(from("x.jsonl"), "{}"), ErrorClass::schema, "is empty");
    }
    SECTION("Sluice's own") {
        home.put("x.csv", "a,b,_sluice_source,_sluice_run_id\n1,x,y,z\n");
        check_failure(extract.run(from("x.csv")), ErrorClass::schema, "\"_sluice_run_id\"");
        Json params = from("x.csv");
        params["on_schema_change"] = "ignore";
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.text("select _sluice_source from x") == "x.csv");
    }
    SECTION("thousands") {
        const std::string row = columns(5000, "", "");
        home.put("x.csv", columns(5000, "c", "") + "\n" + row + "\n");
        REQUIRE(extract.run(from("x.csv"), "{}").message.empty());
        CHECK(extract.text("select c0 || c4999 from x") == "04999");
        home.put("x.csv", columns(5001, "c", "") + "\n");
        check_failure(extract.run(from("x.csv"), "{}"), ErrorClass::data_quality, "5,000 columns");
        home.put("x.jsonl", "{" + columns(5001, "\"", "\":1") + "}");
        check_failure(
            extract.run(from("x.jsonl"), "{}"), ErrorClass::data_quality, "5,000 different keys"
        );
    }
}

TEST_CASE("bad input, JSON lines", "[extract][json][bad]") {
    const Home home;
    Extract extract(home);
    Json params = from("x.jsonl");
    params["max_rejects"] = 2;
    SECTION("invalid in line 100,000") {
        std::string text;
        for (int i = 1; i < 100'000; ++i) text += "{\"a\":" + std::to_string(i) + ",\"b\":\"\"}\n";
        home.put("x.jsonl", text + "{\"a\":1,\n{\"a\":1,\"b\":\"\"}\n");
        check_failure(
            extract.run(from("x.jsonl")), ErrorClass::data_quality, "x.jsonl:100000: not valid JSON"
        );
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.xcom["rows_out"] == 100'000);
    }
    SECTION("a line that is too long, one that is not UTF-8, zero bytes") {
        const std::string longest(extract::json_record_bytes + 1000, 'x');
        home.put(
            "x.jsonl",
            "{\"a\":1,\"b\":\"" + longest + "\"}\n{\"a\":2,\"b\":\"\xE4\"}\n" +
                "{\"a\":3,\"b\":\"ok\"}\n"
        );
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.text("select a || b from x") == "3ok");
        CHECK(
            extract.text("select string_agg(line_no || ' ' || reason || ' ' || length(line), '; ' "
                         "order by line_no) from r") == "1 longer than 16 MiB 65536; 2 not UTF-8 32"
        );
        home.put("x.jsonl", std::string("{\"a\":1,\"b\":\"x\0y\"}\n", 18));
        check_failure(
            extract.run(from("x.jsonl")), ErrorClass::data_quality, "x.jsonl:1: not valid JSON"
        );
    }
    SECTION("numbers of any size keep their digits") {
        home.put("x.jsonl", "{\"a\":123456789012345678901234567890,\"b\":1e999}\n");
        REQUIRE(extract.run(from("x.jsonl")).message.empty());
        CHECK(
            extract.text("select a || ' ' || b from x") == "123456789012345678901234567890 1e999"
        );
    }
    SECTION("UTF-16") {
        home.put("x.jsonl", utf16("{\"a\":1}\n", true));
        check_failure(extract.run(params), ErrorClass::data_quality, "UTF-16");
    }
    SECTION("nothing is no rows") {
        home.put("x.jsonl", "\n");
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.xcom["rows_out"] == 0);
        CHECK(extract.text("select count(b) from x") == "0");
    }
}

TEST_CASE("bad input, JSON documents", "[extract][json][bad]") {
    const Home home;
    Extract extract(home);
    Json params = from("x.json");
    params["max_rejects"] = 5;
    const auto fails = [&](const std::string& text, const std::string& says) {
        home.put("x.json", text);
        check_failure(extract.run(params), ErrorClass::data_quality, says);
    };
    const std::string record = R"({"a":1,"b":"x"})";
    SECTION("no whole document") {
        fails("", "is empty");
        fails("[" + record + ",", "byte 18, after 1 whole records: it is cut off");
        fails("[" + record + record + "]", "not valid JSON at byte 17, after 1 whole records");
        fails(record + "\n" + record, "are these JSON lines?");
        fails("[{\"a\":\"\xE4\"}]", "is not UTF-8 at byte 9");
        fails(utf16("[]", true), "UTF-16");
        fails(std::string(20'000, '['), "cut off");
    }
    SECTION("nothing at the path") {
        params["from"]["records"] = "$.data[*]";
        fails("{\"error\":1}", "has nothing at the path");
        fails("{\"data\":null}", "has no array at the path");
        home.put("x.json", "{\"data\":[]}");
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.xcom["rows_out"] == 0);
    }
    SECTION("records that are no objects") {
        home.put("x.json", "[" + record + ",1,\"x\",null,[1],{\"a\":2.50,\"b\":\"y\"}]");
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.text("select string_agg(a || b, ' ' order by b) from x") == "1x 2.5y");
        CHECK(
            extract.text("select string_agg(line_no || line, ' ' order by line_no) from r") ==
            "21 3\"x\" 4null 5[1]"
        );
    }
    SECTION("paths") {
        params["from"]["records"] = "$.pages[1].items[*]";
        home.put(
            "x.json",
            R"({"items":[1],"pages":[{"items":[{"a":0}]},{"n":[[{}]],"items":[)" + record + "]}]}"
        );
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.text("select a || b from x") == "1x");
        params["from"]["records"] = "$.pages[*].items[*]";  // the engine's
        home.put(
            "x.json", R"({"pages":[{"items":[)" + record + R"(]},{"items":[)" + record + "]}]}"
        );
        REQUIRE(extract.run(params).message.empty());
        CHECK(extract.xcom["rows_out"] == 2);
    }
}

TEST_CASE("a JSON document of any size is read record by record", "[extract][json][bad]") {
    // 64 MiB that never exist at once: a record is as much as is ever held.
    const std::string record = "{\"a\":\"" + std::string(1000, 'x') + "\"}";
    std::int64_t left = 64 << 10;
    std::string ready = "[" + record;
    const extract::JsonInput input{"big.json", [&](char* buffer, std::size_t size) {
                                       while (ready.size() < size && left > 0)
                                           ready += --left > 0 ? "," + record : "]";
                                       const std::size_t got = ready.copy(buffer, size);
                                       ready.erase(0, got);
                                       return got;
                                   }};
    std::int64_t records = 0;
    extract::read_json_document(input, {}, [&](std::string_view text) {
        ++records;
        if (text != record) FAIL("record " << records << " is another");
    });
    CHECK(records == 64 << 10);
}

TEST_CASE("bad input, Parquet", "[extract][parquet][bad]") {
    const Home home;
    Extract extract(home);
    {
        engine::Database db{engine::DatabaseOptions{}};
        db.execute(
            "copy (select range as a, md5(range::varchar) as b from range(20000)) to '" +
            home.path + "/in/whole.parquet' (format parquet)"
        );
    }
    std::string bytes;
    {
        std::ifstream in(home.path + "/in/whole.parquet", std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    const auto fails = [&](const std::string& text, const std::string& says) {
        home.put("x.parquet", text);
        check_failure(extract.run(from("x.parquet")), ErrorClass::data_quality, says);
    };
    fails("", "too small to be a Parquet file");
    fails("a,b\n1,x\n1,x\n1,x\n", "No magic bytes");
    fails(bytes.substr(0, bytes.size() - 100), "No magic bytes");
    std::string damaged = bytes;
    for (std::size_t i = 50'000; i < 80'000; ++i) damaged[i] = static_cast<char>(i * 7);
    fails(damaged, "x.parquet");
    damaged = bytes;
    for (std::size_t i = bytes.size() - 200; i < bytes.size() - 8; ++i) damaged[i] = '\x7F';
    fails(damaged, "x.parquet");
    CHECK(extract.ledger.live("raw.x").empty());
}

TEST_CASE("bad input, files: what is no file", "[extract][bad]") {
    const Home home;
    Extract extract(home);
    const std::string in = home.path + "/in/";
    SECTION("in its place") {
        std::filesystem::create_directory(in + "x.csv");
        check_failure(extract.run(from("x.csv")), ErrorClass::permanent, "is a folder");
        std::filesystem::remove(in + "x.csv");
        REQUIRE(mkfifo((in + "x.csv").c_str(), 0600) == 0);
        check_failure(extract.run(from("x.csv")), ErrorClass::permanent, "is a named pipe");
        std::filesystem::remove(in + "x.csv");
        std::filesystem::create_symlink("x.csv", in + "x.csv");
        check_failure(extract.run(from("x.csv")), ErrorClass::permanent, "link that leads nowhere");
        check_failure(extract.run(from("x.*")), ErrorClass::transient, "is missing");
    }
    SECTION("links in circles") {
        std::filesystem::create_directories(in + "one/two");
        std::filesystem::create_directory(in + "other");
        home.put("one/two/x.csv", "a,b\n1,x\n");
        std::filesystem::create_symlink("..", in + "one/two/up");
        std::filesystem::create_symlink("../..", in + "one/two/top");
        std::filesystem::create_symlink("../one", in + "other/one");
        REQUIRE(extract.run(from("one/**/x.csv")).message.empty());
        CHECK(extract.xcom["files"] == 1);
        REQUIRE(extract.run(from("other/**/x.csv")).message.empty());
        CHECK(extract.xcom["files"] == 1);
    }
    SECTION("links to elsewhere") {
        std::ofstream(home.path + "/secret") << "a,b\n1,secret\n";
        std::filesystem::create_symlink("../secret", in + "x.csv");
        check_failure(extract.run(from("x.csv")), ErrorClass::permanent, "out of the connection's");
        task::FakeContext fake(extract.ledger);
        home.prepare(fake, R"({"a":"bigint","b":"varchar"})");
        task::Connection landing;
        landing.id = "landing";
        landing.type = "fs";
        landing.extra = Json{{"path", home.path + "/in"}, {"links", "anywhere"}}.dump();
        fake.connect(landing);
        CHECK(fake.run(ops::extract_operator(), from("x.csv")).message.empty());
    }
    SECTION("of two formats") {
        home.put("x.csv", "a,b\n1,x\n");
        home.put("x.jsonl", "{\"a\":1,\"b\":\"x\"}\n");
        check_failure(
            extract.run(from("x.*")), ErrorClass::permanent, "x.csv is csv and x.jsonl is jsonl"
        );
    }
}

TEST_CASE("a file that changes while it is read is seen", "[extract][bad]") {
    const Home home;
    home.put("x.csv", "a,b\n1,x\n");
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    home.prepare(fake, "{}");
    connect::FilePlace place(fake.context(), fake.context().connection("landing"));
    const auto found = place.find("x.csv");
    REQUIRE(found.size() == 1);
    CHECK_FALSE(place.has_changed(found[0]));
    SECTION("grown") { home.put("x.csv", "a,b\n1,x\n2,y\n"); }
    SECTION("gone") { std::filesystem::remove(home.path + "/in/x.csv"); }
    SECTION("written again") {
        const auto path = home.path + "/in/x.csv";
        std::filesystem::last_write_time(
            path, std::filesystem::last_write_time(path) + std::chrono::milliseconds{1}
        );
    }
    CHECK(place.has_changed(found[0]));
}

TEST_CASE("a disk that takes no more bytes: nothing is published", "[extract][bad]") {
    const Home home;
    Extract extract(home);
    std::string text = "a,b\n";
    std::uint64_t random = 1;
    for (int i = 0; i < 5000; ++i) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        text += std::to_string(random) + "," + std::to_string(random * 3) + "\n";
    }
    home.put("x.csv", text);
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    rlimit small = before;
    small.rlim_cur = 40'000;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Outcome outcome = extract.run(from("x.csv"));
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, handler);
    CAPTURE(outcome.message);
    CHECK(outcome.error_class == ErrorClass::resource);
    CHECK_THAT(outcome.message, Contains("raw.x: ") && Contains("File too large"));
    CHECK(extract.ledger.live("raw.x").empty());
    CHECK(std::filesystem::is_empty(home.path + "/lake/raw/x/dt=2026-01-05"));
    REQUIRE(extract.run(from("x.csv")).message.empty());
    CHECK(extract.text("select count(*) from x") == "5000");
}
