#include "runtime/dag_folder.hpp"

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "store/memory_journal.hpp"

namespace sluice::runtime {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class NoExecutor final : public executor::Executor {
public:
    void start(std::vector<AttemptOrder>) override {}
    void cancel(const CancelOrder&) override {}
    [[nodiscard]] std::vector<AttemptKey> alive() const override { return {}; }
    void acknowledge(const AttemptKey&) override {}
    void repost() override {}
    void stop() override {}
};

/// A file's text is its dag_id; "?" and what follows is what is wrong with it.
Parsed<Dag> load(const std::string& text, const std::string& file) {
    Parsed<Dag> parsed;
    if (text.starts_with('?')) {
        parsed.problems.push_back({.code = "E-TEST", .file = file, .message = text.substr(1)});
        return parsed;
    }
    Dag dag;
    dag.dag_id = text;
    dag.hash = text;
    dag.fileloc = file;
    parsed.value = std::move(dag);
    return parsed;
}

DagPtr load_stored(const store::Journal::StoredVersion& stored) {
    Dag dag;
    dag.dag_id = stored.dag_id;
    dag.hash = stored.hash;
    dag.fileloc = stored.fileloc;
    dag.version = stored.id;
    dag.version_number = stored.number;
    return std::make_shared<const Dag>(std::move(dag));
}

/// A daemon's runtime and folder; the journal outlives it.
struct Daemon {
    SystemClock clock;
    NoExecutor executor;
    Runtime runtime;
    std::shared_ptr<Feed::Subscription> feed;
    DagFolder folder;

    Daemon(const fs::path& root, store::MemoryJournal& journal, Duration stale_after = Duration{})
        : runtime({}, clock, journal, executor, load_stored),
          folder(root, load, runtime, stale_after) {
        runtime.start();
        feed = runtime.feed().subscribe();
    }
    ~Daemon() {
        folder.stop();
        runtime.stop();
    }

    /// DAGs of the next change that tells of import errors.
    std::vector<std::string> told() {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (const auto change = feed->next(deadline))
            if ((*change)->import_errors) return (*change)->definitions;
        FAIL("no change of import errors was told");
        return {};
    }

    bool is_stale(const std::string& dag_id) {
        runtime.query([](const core::Scheduler&) {});  // what was posted before is done
        runtime.query([](const core::Scheduler&) {});
        const auto listed = runtime.registry().find(dag_id);
        REQUIRE(listed.has_value());
        return listed->state.is_stale;
    }
};

struct World {
    World() {
        std::string pattern = (fs::temp_directory_path() / "sluice-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root = pattern;
    }
    ~World() { fs::remove_all(root); }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void write(const std::string& file, const std::string& text) const {
        std::ofstream(root / file) << text;
    }

    fs::path root;
    store::MemoryJournal journal;
};

}  // namespace

TEST_CASE("an import error that comes, changes or goes is told to the feed", "[runtime][folder]") {
    World world;
    world.write("a.json", "a");
    Daemon daemon(world.root, world.journal);
    daemon.folder.scan();
    const auto errors = [&] { return daemon.runtime.registry().import_errors(); };

    world.write("a.json", "?one");
    daemon.folder.scan();
    CHECK(daemon.told() == std::vector<std::string>{"a"});
    world.write("a.json", "?another");
    daemon.folder.scan();
    CHECK(daemon.told() == std::vector<std::string>{"a"});
    REQUIRE(errors().size() == 1);
    CHECK(errors()[0].problems[0].message == "another");
    world.write("a.json", "a");
    daemon.folder.scan();
    CHECK(daemon.told() == std::vector<std::string>{"a"});
    CHECK(errors().empty());

    world.write("b.json", "?never good");
    daemon.folder.scan();
    CHECK(daemon.told().empty());
    fs::remove(world.root / "b.json");
    daemon.folder.scan();
    CHECK(daemon.told().empty());
    CHECK(errors().empty());
}

TEST_CASE("a DAG file deleted while the daemon was down: its DAG is stale", "[runtime][folder]") {
    World world;
    for (const char* name : {"kept", "deleted", "broken"})
        world.write(std::string(name) + ".json", name);
    {
        Daemon daemon(world.root, world.journal);
        CHECK_FALSE(daemon.folder.last_look().has_value());
        daemon.folder.start();
        CHECK(daemon.folder.last_look().has_value());
        CHECK_FALSE(daemon.is_stale("deleted"));
    }
    fs::remove(world.root / "deleted.json");
    world.write("broken.json", "?broken");
    Daemon daemon(world.root, world.journal);
    daemon.folder.start();
    CHECK(daemon.is_stale("deleted"));
    CHECK_FALSE(daemon.is_stale("kept"));
    // The last good version stays until the file goes.
    CHECK_FALSE(daemon.is_stale("broken"));
    fs::remove(world.root / "broken.json");
    daemon.folder.scan();
    CHECK(daemon.is_stale("broken"));
}

TEST_CASE("a new owner whose folder lacks a DAG waits before it is stale", "[runtime][folder]") {
    World world;
    for (const char* name : {"kept", "late", "missing"})
        world.write(std::string(name) + ".json", name);
    {
        Daemon daemon(world.root, world.journal);
        daemon.folder.start();
    }
    fs::remove(world.root / "late.json");
    fs::remove(world.root / "missing.json");
    Daemon daemon(world.root, world.journal, 300ms);
    daemon.folder.start();
    CHECK_FALSE(daemon.is_stale("late"));
    CHECK_FALSE(daemon.is_stale("missing"));
    // A file that goes while it is watched is no such case.
    fs::remove(world.root / "kept.json");
    daemon.folder.scan();
    CHECK(daemon.is_stale("kept"));
    world.write("late.json", "late");
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!daemon.is_stale("missing")) REQUIRE(std::chrono::steady_clock::now() < deadline);
    CHECK_FALSE(daemon.is_stale("late"));
}

TEST_CASE("a DAG folder that is away for a moment makes no DAG stale", "[runtime][folder]") {
    World world;
    world.write("a.json", "a");
    Daemon daemon(world.root, world.journal);
    daemon.folder.scan();
    const auto before = daemon.folder.last_look();
    const fs::path away = world.root.string() + "-away";
    fs::rename(world.root, away);
    CHECK_THROWS_AS(daemon.folder.scan(), Error);
    CHECK(daemon.folder.last_look() == before);
    fs::rename(away, world.root);
    daemon.folder.scan();
    CHECK_FALSE(daemon.is_stale("a"));
}

}  // namespace sluice::runtime
