#include "executor/task_log.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "executor/test_orders.hpp"

using namespace sluice;
using namespace sluice::executor;
using task::Level;
using Json = nlohmann::json;

namespace {

std::string line_text(std::uint64_t number) { return "line " + std::to_string(number); }

void write_lines(TaskLog& log, std::uint64_t from, std::uint64_t to) {
    std::vector<std::string> lines;
    for (std::uint64_t i = from; i < to; ++i) {
        lines.push_back(line_text(i));
        if (lines.size() < 37) continue;
        log.append(Level::info, lines, "stdout");
        lines.clear();
    }
    log.append(Level::info, lines, "stdout");
}

}  // namespace

TEST_CASE("log paths are Airflow's, odd names are made safe, long ones cut", "[log]") {
    REQUIRE(
        log_path("logs", "d", "manual__2026-01-05T00:00:00+00:00", "g.t", -1, 2) ==
        "logs/dag_id=d/run_id=manual__2026-01-05T00:00:00+00:00/task_id=g.t/attempt=2.log"
    );
    REQUIRE(
        log_path("logs", "d", "a/../b%\n", "t", 3, 1) ==
        "logs/dag_id=d/run_id=a%2f..%2fb%25%0a/task_id=t/map_index=3/attempt=1.log"
    );
    const std::string path = log_path("logs", "d", std::string(250, 'x') + "1", "t", -1, 1);
    const std::string other = log_path("logs", "d", std::string(250, 'x') + "2", "t", -1, 1);
    REQUIRE(path != other);
    for (const auto& part : std::filesystem::path(path)) REQUIRE(part.string().size() <= 255);
    REQUIRE(
        std::filesystem::path(log_path("l", "d", std::string(130, '/'), "t", -1, 1))
            .begin()
            ->string() == "l"
    );
}

TEST_CASE("lines are JSON with time, level, event and source", "[log]") {
    const TestFolder folder;
    const Redactor redactor;
    TaskLog log(folder.path + "/a/b.log", redactor);
    REQUIRE_FALSE(std::filesystem::exists(log.path()));
    log.append(Level::warning, std::string("bad \xff utf-8 \0 \"quoted\"\n", 23), "stderr");
    std::ifstream file(log.path());
    std::string text;
    std::getline(file, text);
    const Json json = Json::parse(text);
    REQUIRE(json.at("level") == "warning");
    REQUIRE(json.at("source") == "stderr");
    REQUIRE_THAT(json.at("event").get<std::string>(), Catch::Contains("\"quoted\"\n"));
    REQUIRE(parse_time(json.at("timestamp").get<std::string>()).has_value());
}

TEST_CASE("any page of a long log is read by its line number", "[log]") {
    const TestFolder folder;
    const Redactor redactor;
    TaskLog log(folder.path + "/x.log", redactor);
    write_lines(log, 0, 5'000);
    REQUIRE(std::filesystem::file_size(log.path() + ".idx") == 8 * (4'999 / 256));
    const LogReader reader(log.path());
    REQUIRE(reader.count() == 5'000);
    for (const std::uint64_t first : {0U, 1U, 255U, 256U, 257U, 2560U, 4990U, 4999U}) {
        const LogPage page = reader.from_line(first, 7);
        CAPTURE(first);
        REQUIRE(page.lines.size() == std::min<std::uint64_t>(7, 5'000 - first));
        REQUIRE(page.lines.front().number == first);
        REQUIRE(page.lines.front().event == line_text(first));
        REQUIRE(page.next_line == first + page.lines.size());
        REQUIRE(page.at_end == (page.next_line == 5'000));
    }
    REQUIRE(reader.from_line(9'000, 5).lines.empty());
    REQUIRE(reader.from_line(9'000, 5).next_line == 5'000);
    const LogPage tail = reader.tail(3);
    REQUIRE(tail.lines.front().number == 4'997);
    REQUIRE(tail.next_line == 5'000);
}

TEST_CASE("a level filter keeps the line numbers, a tail looks back as far as it must", "[log]") {
    const TestFolder folder;
    const Redactor redactor;
    TaskLog log(folder.path + "/x.log", redactor);
    log.append(Level::error, "first");
    write_lines(log, 1, 1'000);
    log.append(Level::warning, "second");
    write_lines(log, 0, 1'000);
    const LogReader reader(log.path());
    const LogPage page = reader.from_line(0, 10, Level::warning);
    REQUIRE(page.lines.size() == 2);
    REQUIRE(page.lines[1].number == 1'000);
    REQUIRE(page.at_end);
    REQUIRE(reader.tail(5, Level::warning).lines.size() == 2);
    REQUIRE(reader.tail(1, Level::warning).lines.at(0).event == "second");
    REQUIRE(reader.tail(1, Level::error).lines.at(0).event == "first");
    REQUIRE(reader.tail(1, Level::error).next_line == 2'001);
}

TEST_CASE("a log is followed while it is written; half a line is not a line", "[log]") {
    const TestFolder folder;
    const Redactor redactor;
    const std::string path = folder.path + "/x.log";
    const LogReader reader(path);
    REQUIRE_FALSE(reader.exists());
    REQUIRE(reader.count() == 0);
    REQUIRE(reader.from_line(0, 10).at_end);
    TaskLog log(path, redactor);
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (std::uint64_t i = 0; i < 3'000; i += 10) write_lines(log, i, i + 10);
        done = true;
    });
    std::uint64_t line = 0;
    std::uint64_t offset = 0;
    for (;;) {
        const bool last = done;
        const LogPage page = reader.follow(line, offset, 100);
        for (const auto& one : page.lines) {
            REQUIRE(one.number == line);
            REQUIRE(one.event == line_text(line));
            ++line;
        }
        REQUIRE(page.next_line == line);
        offset = page.next_offset;
        if (last && page.lines.empty()) break;
    }
    writer.join();
    REQUIRE(line == 3'000);
    std::ofstream(path, std::ios::app) << R"({"timestamp":"2026)";
    REQUIRE(reader.count() == 3'000);
    REQUIRE(reader.follow(line, offset, 10).lines.empty());
}

TEST_CASE("the same attempt once more goes on behind what is there", "[log]") {
    const TestFolder folder;
    const Redactor redactor;
    const std::string path = folder.path + "/x.log";
    {
        TaskLog log(path, redactor);
        write_lines(log, 0, 300);
        log.close();
    }
    TaskLog log(path, redactor);
    write_lines(log, 300, 600);
    REQUIRE(log.lines() == 600);
    REQUIRE(LogReader(path).from_line(550, 1).lines.at(0).event == line_text(550));
}

TEST_CASE("a log that cannot be written harms nobody", "[log]") {
    const Redactor redactor;
    TaskLog log("/proc/no/such/folder/x.log", redactor);
    log.append(Level::info, "lost");
    REQUIRE(log.lines() == 0);
}

TEST_CASE("secrets are taken out in every form, longest first", "[log][secrets]") {
    Redactor redactor;
    redactor.add(Secret{"abc"});
    redactor.add(Secret{"abcdef"});
    redactor.add(Secret{"xy"});
    redactor.add(Secret{"-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\n-----END KEY-----"});
    REQUIRE(redactor.redact("abcdef abc ab xy") == "*** *** ab xy");
    REQUIRE(redactor.redact("key MIIEowIBAAKCAQEA!") == "key ***!");
    REQUIRE(redactor.redact("") == "");
}
