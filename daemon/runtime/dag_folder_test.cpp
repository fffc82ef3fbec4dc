#include "runtime/dag_folder.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "store/memory_journal.hpp"

namespace sluice::runtime {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class NoExecutor final : public executor::Executor {
public:
    void expand(ExpandOrder, std::function<void(executor::ExpandAnswer)>) override {}
    void start(std::vector<AttemptOrder>) override {}
    void cancel(const CancelOrder&) override {}
    [[nodiscard]] std::vector<AttemptKey> alive() const override { return {}; }
    void acknowledge(const AttemptKey&) override {}
    void repost() override {}
    void stop() override {}
};

/// A file's text is its dag_id; "?" and what follows is what is wrong with it. "a >raw.x:int"
/// writes the data set raw.x with a column of that type, "b <raw.x" reads it.
Parsed<Dag> load(
    const std::string& text, const std::string& file, const spec::OtherDatasets& others
) {
    Parsed<Dag> parsed;
    if (text.starts_with('?')) {
        parsed.problems.push_back({.code = "E-TEST", .file = file, .message = text.substr(1)});
        return parsed;
    }
    Dag dag;
    std::istringstream words(text);
    words >> dag.dag_id;
    dag.hash = text;
    dag.fileloc = file;
    const auto wrong = [&](const char* code, const std::string& name) {
        parsed.problems.push_back({.code = code, .file = file, .message = name});
    };
    for (std::string word; words >> word;) {
        const auto colon = word.find(':');
        DatasetSpec dataset;
        dataset.name = word.substr(1, colon == std::string::npos ? colon : colon - 1);
        const DatasetSpec* other = others(dataset.name);
        if (word[0] == '<' && other == nullptr) wrong("E-DATASET-UNKNOWN", dataset.name);
        if (word[0] == '>' && other != nullptr) wrong("E-DATASET-WRITERS", dataset.name);
        if (word[0] == '<' && other != nullptr) dataset = *other;
        if (word[0] == '>') {
            dataset.declared = true;
            dataset.columns = {{.name = "c", .type = word.substr(colon + 1)}};
        }
        if (word[0] == '<' && other != nullptr) dag.hash += other->columns.at(0).type;
        dag.datasets.push_back(std::move(dataset));
    }
    if (parsed.problems.empty()) parsed.value = std::move(dag);
    return parsed;
}

DagPtr load_stored(const store::Journal::StoredVersion& stored) {
    const spec::OtherDatasets nothing = [](const std::string&) { return nullptr; };
    Dag dag = load(stored.hash, stored.fileloc, nothing).value.value_or(Dag{});
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
        : runtime(
              {.dag_removed = [this](const std::string& dag_id) { folder.read_again(dag_id); }},
              clock,
              journal,
              executor,
              load_stored
          ),
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

    /// The next change that is about the DAG.
    runtime::ChangePtr change_of(const std::string& dag_id) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (const auto change = feed->next(deadline))
            if (std::ranges::count((*change)->definitions, dag_id) +
                    std::ranges::count((*change)->dags_deleted, dag_id) >
                0)
                return *change;
        FAIL("no change of " + dag_id + " was told");
        return nullptr;
    }

    void remove(const std::string& dag_id) {
        core::DeleteDag event;
        event.dag_id = dag_id;
        REQUIRE_FALSE(runtime.call(std::move(event)).error);
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

TEST_CASE("a deleted DAG's file is read anew once the DAG is removed", "[runtime][folder]") {
    World world;
    world.write("d.json", "d");
    world.write("other.json", "other");
    std::optional<Daemon> daemon(std::in_place, world.root, world.journal);
    daemon->folder.start();
    CHECK(daemon->change_of("d")->definitions == std::vector<std::string>{"d"});
    const auto version = daemon->runtime.registry().find("d")->dag->version;
    daemon->remove("d");
    CHECK(daemon->change_of("d")->dags_deleted == std::vector<std::string>{"d"});
    CHECK_FALSE(daemon->runtime.registry().find("d"));
    CHECK(daemon->runtime.registry().find_version(version) == nullptr);

    // Until then a changed file is no DAG, for a daemon that comes back neither.
    world.write("d.json", "d >raw.x:int");
    if (GENERATE(false, true)) {
        daemon.reset();
        daemon.emplace(world.root, world.journal);
        daemon->folder.start();
    }
    daemon->folder.scan();
    CHECK_FALSE(daemon->runtime.registry().find("d"));
    CHECK(daemon->runtime.registry().import_errors().empty());
    const auto number = world.journal.deleted_dags().at("d");
    daemon->runtime.post(core::DagRemoved{{"d", number}});
    CHECK(daemon->change_of("d")->definitions == std::vector<std::string>{"d"});
    const auto listed = daemon->runtime.registry().find("d");
    REQUIRE(listed);
    CHECK(listed->dag->version_number == 1);
    CHECK(listed->dag->version != version);
    CHECK(listed->state.is_paused);
    CHECK(daemon->runtime.registry().find("other"));
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

TEST_CASE("data sets across DAGs: the order of files does not matter", "[runtime][folder]") {
    World world;
    // The readers come before what they read.
    world.write("a.json", "a <raw.b >raw.a:int");
    world.write("b.json", "b <raw.c >raw.b:int");
    world.write("c.json", "c >raw.c:int");
    Daemon daemon(world.root, world.journal);
    CHECK(daemon.folder.scan() == 3);
    CHECK(daemon.runtime.registry().import_errors().empty());
    const auto version = [&](const char* dag_id) {
        return daemon.runtime.registry().find(dag_id)->dag->hash;
    };
    const auto errors = [&] {
        std::vector<std::string> out;
        for (const auto& error : daemon.runtime.registry().import_errors())
            out.push_back(error.filename + ' ' + error.problems.at(0).code);
        return out;
    };

    SECTION("a writer that changes its schema makes new versions of its readers") {
        world.write("c.json", "c >raw.c:text");
        daemon.folder.scan();
        CHECK(version("b") == "b <raw.c >raw.b:inttext");
        CHECK(version("a") == "a <raw.b >raw.a:intint");
    }
    SECTION("a writer that goes leaves its readers with an error, until another one comes") {
        fs::remove(world.root / "c.json");
        daemon.folder.scan();
        CHECK(errors() == std::vector<std::string>{"b.json E-DATASET-UNKNOWN"});
        CHECK_FALSE(daemon.is_stale("b"));
        world.write("d.json", "d >raw.c:date");
        daemon.folder.scan();
        CHECK(errors().empty());
        CHECK(version("b") == "b <raw.c >raw.b:intdate");
    }
    SECTION("a second writer is refused, also after a restart and whatever its file's name") {
        world.write("aa.json", "aa >raw.c:int");
        daemon.folder.scan();
        CHECK(errors() == std::vector<std::string>{"aa.json E-DATASET-WRITERS"});
        daemon.folder.stop();
        daemon.runtime.stop();
        Daemon again(world.root, world.journal);
        again.folder.start();
        REQUIRE(again.runtime.registry().import_errors().size() == 1);
        CHECK(again.runtime.registry().import_errors()[0].filename == "aa.json");
        CHECK_FALSE(again.is_stale("c"));
        // The first writer leaves the name: the second one has it.
        world.write("c.json", "c");
        again.folder.scan();
        CHECK(again.runtime.registry().import_errors().empty());
        CHECK(again.runtime.registry().find("aa").has_value());
    }
}

}  // namespace sluice::runtime
