// The private PostgreSQL in every kind of home, and after every kind of death.
#include "store/cluster.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.hpp"
#include "store/pq.hpp"
#include "tests/store/world.hpp"

namespace sluice::store::test {
namespace fs = std::filesystem;
namespace {

constexpr Query count_sql{"t1", "select count(*) from kept"};
constexpr Query setting_sql{"t2", "select setting from pg_settings where name = $1"};

std::string setting(Connection& connection, const std::string& name) {
    Params params;
    params.add(name);
    return connection.run(setting_sql, params).text(0, 0);
}

void keep_a_row(const Cluster& cluster) {
    Connection{cluster.url("warehouse"), "test"}.script(
        "create table if not exists kept (id int); insert into kept values (1)"
    );
}

std::int64_t rows_kept(const Cluster& cluster) {
    return Connection{cluster.url("warehouse"), "test"}.run(count_sql).int8(0, 0);
}

// What a daemon does that dies: its server lives on.
void start_and_die(const fs::path& home) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            Cluster cluster{home};
            cluster.start();
            keep_a_row(cluster);
            ::kill(::getpid(), SIGKILL);
        } catch (const std::exception&) {
            ::_exit(1);
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGKILL);
}

pid_t pid_in_file(const fs::path& home) {
    std::ifstream in{home / "pg" / "postmaster.pid"};
    pid_t pid = 0;
    in >> pid;
    return pid;
}

void check_home(const fs::path& home) {
    Cluster cluster{home};
    cluster.start();
    CHECK(cluster.pid() > 0);
    for (const char* database : {"sluice", "shop", "warehouse"}) {
        Connection connection{cluster.url(database), "test"};
        CHECK(setting(connection, "fsync") == "on");
        CHECK(setting(connection, "synchronous_commit") == "on");
        CHECK(setting(connection, "listen_addresses").empty());
        CHECK(setting(connection, "data_checksums") == "on");
        CHECK(setting(connection, "wal_segment_size") == "4194304");
        CHECK(setting(connection, "server_encoding") == "UTF8");
    }
    CHECK(Cluster::url_of(home, "shop") == cluster.url("shop"));
    keep_a_row(cluster);
    cluster.stop();
    CHECK(cluster.pid() == 0);
    cluster.stop();
    cluster.start();
    CHECK(rows_kept(cluster) == 1);
}

TEST_CASE("a home from mktemp -d", "[cluster]") {
    TemporaryFolder folder;
    check_home(folder.path());
    if (::geteuid() == 0) {
        struct stat info{};
        REQUIRE(::stat(folder.path().c_str(), &info) == 0);
        CHECK((info.st_mode & 0777) == 0711);
        REQUIRE(::stat((folder.path() / "pg").c_str(), &info) == 0);
        CHECK((info.st_mode & 0777) == 0700);
        CHECK(info.st_uid != 0);
    }
}

TEST_CASE("a home with spaces, quotes and commas in its name", "[cluster]") {
    TemporaryFolder folder;
    ::chmod(folder.path().c_str(), 0755);
    check_home(folder.path() / "my home, 'quoted' \"twice\" 100% é");
}

TEST_CASE("a home with a name of 200 characters", "[cluster]") {
    TemporaryFolder folder;
    ::chmod(folder.path().c_str(), 0755);
    const fs::path home = folder.path() / std::string(200, 'h');
    check_home(home);
    CHECK(Cluster::url_of(home, "shop").size() < 120);
}

TEST_CASE("a home under /root, where user postgres cannot go", "[cluster]") {
    if (::geteuid() != 0) return;
    const fs::path home = "/root/.sluice-test-" + std::to_string(::getpid());
    check_home(home);
    CHECK(fs::is_symlink(home / "pg"));
    remove_home(home);
}

TEST_CASE("the server of a killed daemon is taken over with its data", "[cluster]") {
    TemporaryFolder folder;
    start_and_die(folder.path());
    const pid_t left = pid_in_file(folder.path());
    REQUIRE(left > 0);
    Cluster cluster{folder.path()};
    cluster.start();
    CHECK(cluster.pid() == left);
    CHECK(rows_kept(cluster) == 1);
    cluster.stop();
    CHECK(cluster.pid() == 0);
    CHECK_THROWS_AS(Connection(cluster.url("sluice"), "test"), ConnectionLost);
}

TEST_CASE("PostgreSQL killed: the watch starts it again with its data", "[cluster]") {
    TemporaryFolder folder;
    Cluster cluster{folder.path()};
    cluster.start();
    keep_a_row(cluster);
    cluster.keep_alive();
    const pid_t killed = cluster.pid();
    REQUIRE(::kill(killed, SIGKILL) == 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (cluster.pid() == 0 || cluster.pid() == killed) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        ::usleep(10'000);
    }
    CHECK(rows_kept(cluster) == 1);
    cluster.stop();
    CHECK(cluster.pid() == 0);
    CHECK(pid_in_file(folder.path()) == 0);
}

TEST_CASE("PostgreSQL stopped and started by hand is taken over, however early", "[cluster]") {
    TemporaryFolder folder;
    Cluster cluster{folder.path()};
    cluster.start();
    keep_a_row(cluster);
    cluster.keep_alive();
    const fs::path data = folder.path() / "pg";
    struct stat owner{};
    REQUIRE(::stat(data.c_str(), &owner) == 0);
    const fs::path program = fs::read_symlink("/proc/" + std::to_string(cluster.pid()) + "/exe");
    const std::string control =
        (::geteuid() == 0 ? "setpriv --reuid=" + std::to_string(owner.st_uid) + " --clear-groups "
                          : std::string{}) +
        (program.parent_path() / "pg_ctl").string() + " -s -D " + data.string();
    for (int round = 0; round < 4; ++round) {
        REQUIRE(std::system((control + " -m immediate stop").c_str()) == 0);
        // The watch looks every 200 ms: each round meets another moment of the start.
        ::usleep(static_cast<useconds_t>(round * 45'000));
        REQUIRE(std::system((control + " -l /dev/null start").c_str()) == 0);
        const pid_t by_hand = pid_in_file(folder.path());
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
        while (cluster.pid() != by_hand) {
            REQUIRE(pid_in_file(folder.path()) == by_hand);
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            ::usleep(5'000);
        }
        CHECK(rows_kept(cluster) == 1);
    }
    cluster.stop();
    CHECK(pid_in_file(folder.path()) == 0);
}

TEST_CASE("stale lock files and sockets never block a start", "[cluster]") {
    TemporaryFolder folder;
    start_and_die(folder.path());
    const pid_t left = pid_in_file(folder.path());
    REQUIRE(left > 1);
    REQUIRE(::kill(left, SIGKILL) == 0);
    const auto rewrite_pid = [&](pid_t pid) {
        const fs::path path = folder.path() / "pg" / "postmaster.pid";
        std::ifstream in{path};
        std::string line;
        std::getline(in, line);
        const std::string rest{std::istreambuf_iterator<char>{in}, {}};
        std::ofstream{path} << pid << "\n" << rest;
    };
    SECTION("the machine was switched off: lock file and socket are there, the process is not") {}
    SECTION("its number is another process's now") { rewrite_pid(::getppid()); }
    SECTION("its number is that of process 1") { rewrite_pid(1); }
    Cluster cluster{folder.path()};
    cluster.start();
    CHECK(rows_kept(cluster) == 1);
}

TEST_CASE("a server that is about to end does not stop the start of the next", "[cluster]") {
    TemporaryFolder folder;
    const fs::path data = folder.path() / "pg";
    {
        Cluster before{folder.path()};
        before.start();
        keep_a_row(before);
        before.stop();
    }
    struct stat owner{};
    REQUIRE(::stat(data.c_str(), &owner) == 0);
    // Looks like a server on our data; what it left names it.
    const pid_t ending = ::fork();
    if (ending == 0) {
        const bool ready =
            (::geteuid() != 0 || ::setuid(owner.st_uid) == 0) && ::chdir(data.c_str()) == 0;
        if (ready) ::execl("/bin/sleep", "postgres", "60", nullptr);
        ::_exit(1);
    }
    const auto content = [](const fs::path& path) {
        std::ifstream in{path};
        return std::string{std::istreambuf_iterator<char>{in}, {}};
    };
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    const auto wait_for = [&](const fs::path& path, std::string_view text) {
        while (content(path).find(text) == std::string::npos &&
               std::chrono::steady_clock::now() < deadline)
            ::usleep(2'000);
    };
    wait_for("/proc/" + std::to_string(ending) + "/cmdline", "postgres");
    std::ofstream{folder.path() / "pg.socket" / ".s.PGSQL.5432.lock"} << ending << "\n";
    std::thread end([&] {
        wait_for(folder.path() / "pg.log", ".s.PGSQL.5432.lock\" already exists");
        ::kill(ending, SIGKILL);
        ::waitpid(ending, nullptr, 0);
    });
    Cluster next{folder.path()};
    CHECK_NOTHROW(next.start());
    end.join();
    CHECK(content(folder.path() / "pg.log").find("already exists") != std::string::npos);
    CHECK(rows_kept(next) == 1);
}

TEST_CASE("a start that was killed during initdb is begun again", "[cluster]") {
    TemporaryFolder folder;
    fs::create_directories(folder.path() / "pg.new" / "base");
    std::ofstream{folder.path() / "pg.new" / "PG_VERSION"} << "1";
    Cluster cluster{folder.path()};
    CHECK_NOTHROW(cluster.start());
}

TEST_CASE("two daemons on one home: the second one is refused", "[cluster]") {
    TemporaryFolder folder;
    Cluster first{folder.path()};
    first.start();
    Cluster second{folder.path()};
    try {
        second.start();
        FAIL("two on one home");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::conflict);
        CHECK_THAT(error.what(), Catch::Contains(folder.path().string()));
    }
    CHECK(first.pid() > 0);
    CHECK_NOTHROW(Connection{first.url("sluice"), "test"});
}

TEST_CASE("data of a newer PostgreSQL is refused with what to install", "[cluster]") {
    TemporaryFolder folder;
    fs::create_directories(folder.path() / "pg");
    std::ofstream{folder.path() / "pg" / "PG_VERSION"} << "99\n";
    Cluster cluster{folder.path()};
    try {
        cluster.start();
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::invalid);
        CHECK_THAT(error.what(), Catch::Contains("postgresql-99"));
    }
}

TEST_CASE("a home without cluster has no URL", "[cluster]") {
    TemporaryFolder folder;
    CHECK_THROWS_AS(Cluster::url_of(folder.path(), "sluice"), Error);
}

}  // namespace
}  // namespace sluice::store::test
