#include "operators/engine/spare.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "operators/engine/database.hpp"

using namespace sluice;
using namespace sluice::engine;

namespace {

struct Folder {
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "sluice-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

/// What a copy of this process, forked now, draws.
std::string drawn_by_a_copy() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::string drawn;
        {
            Database database{DatabaseOptions{}};
            drawn = database.text("select concat(gen_random_uuid(), random())");
        }
        [[maybe_unused]] const auto ignored = ::write(ends[1], drawn.data(), drawn.size());
        ::_exit(0);
    }
    ::close(ends[1]);
    std::array<char, 256> buffer{};
    const ssize_t count = ::read(ends[0], buffer.data(), buffer.size());
    ::close(ends[0]);
    ::waitpid(pid, nullptr, 0);
    return {buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
}

}  // namespace

TEST_CASE("an instance opened before has what its first database says", "[engine][spare]") {
    const Folder folder;
    DatabaseOptions options;
    options.memory_bytes = std::int64_t{128} << 20;
    options.threads = 2;
    options.temp_directory = folder.path + "/spill";
    options.temp_bytes = std::int64_t{512} << 20;
    options.timezone = "America/New_York";
    const auto facts = [](Database& database) {
        std::string out;
        for (const char* name :
             {"memory_limit",
              "threads",
              "temp_directory",
              "max_temp_directory_size",
              "timezone",
              "enable_progress_bar",
              "autoload_known_extensions",
              "preserve_insertion_order"})
            out += std::string(name) + "=" +
                   database.text(std::string("select current_setting('") + name + "')::varchar") +
                   "\n";
        return out;
    };
    Database anew(options);
    open_spare();
    Database spare(options);
    CHECK(facts(spare) == facts(anew));
    CHECK_THAT(facts(spare), Catch::Contains("128.0 MiB"));
    CHECK(spare.text("select sluice_row_hash('a')") == anew.text("select sluice_row_hash('a')"));
    // More than its memory: it spills where it was told to, and counts right.
    CHECK(
        spare.integer("select count(*) from (select range as i, repeat('x', 200) || range as t "
                      "from range(1000000) order by t)") == 1'000'000
    );
    CHECK(std::filesystem::exists(options.temp_directory));
    spare.execute("create table mine (i integer)");
    Database other(options);
    CHECK_THROWS(other.execute("select * from mine"));
}

TEST_CASE("copies of a process with a spare instance draw different numbers", "[engine][spare]") {
    open_spare();
    const std::string one = drawn_by_a_copy();
    const std::string two = drawn_by_a_copy();
    CHECK(one.size() > 36);
    CHECK(one != two);
    const Database taken{DatabaseOptions{}};
}
