#include "operators/extract/csv.hpp"

#include <algorithm>
#include <cstring>

#include <catch2/catch.hpp>

using namespace sluice::extract;

namespace {

struct Outcome {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> rejects;  // "line: reason: text"
};

/// Reads the text in pieces of `step` bytes, so that every cut is tried.
Outcome parse(const std::string& text, std::size_t step = 1 << 20, CsvOptions options = {}) {
    Outcome outcome;
    std::size_t at = 0;
    const auto read = [&](char* buffer, std::size_t size) {
        const std::size_t take = std::min({size, step, text.size() - at});
        std::memcpy(buffer, text.data() + at, take);
        at += take;
        return take;
    };
    CsvHandler handler;
    handler.header = [&](const std::vector<CsvField>& fields) {
        for (const CsvField& field : fields) outcome.header.emplace_back(field.text);
        return fields.size();
    };
    handler.row = [&](const std::vector<CsvField>& fields) {
        auto& row = outcome.rows.emplace_back();
        for (const CsvField& field : fields) row.emplace_back(field.text);
    };
    handler.reject = [&](const CsvReject& reject) {
        outcome.rejects.push_back(
            std::to_string(reject.line) + ": " + reject.reason + ": " + std::string(reject.text)
        );
    };
    read_csv(options, 0, read, handler);
    return outcome;
}

}  // namespace

TEST_CASE("a CSV with a BOM has the right first column", "[csv]") {
    const Outcome outcome = parse(
        "\xEF\xBB\xBF"
        "a,b\n1,2\n"
    );
    CHECK(outcome.header == std::vector<std::string>{"a", "b"});
    CHECK(outcome.rows.size() == 1);
}

TEST_CASE("a CSV with CRLF keeps no carriage returns", "[csv]") {
    const Outcome outcome = parse("a,b\r\n1,\"x\r\ny\"\r\n3,4");
    CHECK(outcome.header == std::vector<std::string>{"a", "b"});
    CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"1", "x\r\ny"}, {"3", "4"}});
    CHECK(outcome.rejects.empty());
}

TEST_CASE("a CSV line with the wrong column count is set aside alone", "[csv]") {
    const Outcome outcome = parse("a,b\n1,2\n3\n4,5,6\n7,8\n");
    CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"1", "2"}, {"7", "8"}});
    CHECK(
        outcome.rejects ==
        std::vector<std::string>{
            "3: expected 2 fields, found 1: 3", "4: expected 2 fields, found 3: 4,5,6"
        }
    );
}

TEST_CASE("broken quotes in a CSV cost one line each", "[csv]") {
    SECTION("never closed") {
        const Outcome outcome = parse("a,b\n1,\"open\n3,4\n5,6\n");
        CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"3", "4"}, {"5", "6"}});
        CHECK(outcome.rejects == std::vector<std::string>{"2: a quote is not closed: 1,\"open"});
    }
    SECTION("closed by a later line's quote") {
        const Outcome outcome = parse("a,b\n1,\"open\n3,\"four\"\n5,6\n");
        CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"3", "four"}, {"5", "6"}});
        CHECK(outcome.rejects.size() == 1);
    }
    SECTION("text after the closing quote") {
        const Outcome outcome = parse("a,b\n1,\"x\"y\n3,4\n");
        CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"3", "4"}});
        CHECK(
            outcome.rejects == std::vector<std::string>{"2: text after a closing quote: 1,\"x\"y"}
        );
    }
}

TEST_CASE("quotes inside quotes, empty fields and a missing last newline", "[csv]") {
    const Outcome outcome = parse("a,b\n\"say \"\"hi\"\"\",\n,\"\"");
    CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"say \"hi\"", ""}, {"", ""}});
}

TEST_CASE("bytes that are not UTF-8 are set aside", "[csv]") {
    const Outcome outcome = parse("a,b\n1,\xFF\n2,\xC3\xA9\n3,\xED\xA0\x80\n");
    CHECK(outcome.rows == std::vector<std::vector<std::string>>{{"2", "\xC3\xA9"}});
    CHECK(outcome.rejects.size() == 2);
}

TEST_CASE("where the input is cut into pieces changes nothing", "[csv]") {
    const std::string text =
        "\xEF\xBB\xBFid,name,note\r\n1,\"a \"\"b\"\"\",x\r\n2,\"line\r\nbreak\",\"\"\r\n\r\n"
        "3,bad\r\n4,\"open,y\r\n5,\"ok\",z\r\n6,\xC3\xA9t\xC3\xA9,\"q\"z\r\n7,,\r\n";
    const Outcome whole = parse(text);
    CHECK(whole.rows.size() == 4);
    CHECK(whole.rejects.size() == 3);
    for (std::size_t step = 1; step < 40; ++step) {
        const Outcome cut = parse(text, step);
        CHECK(cut.rows == whole.rows);
        CHECK(cut.rejects == whole.rejects);
        CHECK(cut.header == whole.header);
    }
}

TEST_CASE("an unclosed quote in a long file does not read it all", "[csv]") {
    std::string text = "a,b\n1,\"open\n";
    for (int i = 0; i < 300'000; ++i) text += std::to_string(i) + ",x\n";
    const Outcome outcome = parse(text);
    CHECK(outcome.rows.size() == 300'000);
    CHECK(outcome.rejects.size() == 1);
}

TEST_CASE("lines before the header are skipped, another delimiter is taken", "[csv]") {
    CsvOptions options;
    options.skip = 2;
    options.delimiter = ';';
    const Outcome outcome = parse("# made by x\n# on y\na;b\n1;2\n", 1 << 20, options);
    CHECK(outcome.header == std::vector<std::string>{"a", "b"});
    CHECK(outcome.rows.size() == 1);
}

TEST_CASE("a line of 100 MB costs that line, and little memory", "[csv][bad]") {
    const std::string begin = "a,b\n1,x\n2,";
    const std::string end = ",3\n4,z\n";  // as a line of its own the rest would fit the header
    const std::size_t size = std::size_t{100} << 20;
    std::size_t at = 0;
    std::size_t most = 0;
    const auto read = [&](char* buffer, std::size_t want) {
        most = std::max(most, want);
        std::size_t got = 0;
        for (; got < want && at < begin.size() + size + end.size(); ++at) {
            const bool before = at < begin.size();
            const bool inside = at < begin.size() + size;
            buffer[got++] = before ? begin[at] : inside ? 'y' : end[at - begin.size() - size];
        }
        return got;
    };
    std::vector<std::string> rows;
    std::vector<CsvReject> rejects;
    std::size_t kept = 0;
    CsvHandler handler;
    handler.header = [](const std::vector<CsvField>& fields) { return fields.size(); };
    handler.row = [&](const std::vector<CsvField>& fields) { rows.emplace_back(fields[0].text); };
    handler.reject = [&](const CsvReject& reject) {
        kept = reject.text.size();
        rejects.push_back({reject.line, {}, reject.reason});
    };
    read_csv({}, 0, read, handler);
    CHECK(rows == std::vector<std::string>{"1", "4"});
    REQUIRE(rejects.size() == 1);
    CHECK(rejects[0].line == 3);
    CHECK(rejects[0].reason == "the line is too long");
    CHECK(kept == std::size_t{64} << 10);
    CHECK(most <= std::size_t{1} << 20);
}
