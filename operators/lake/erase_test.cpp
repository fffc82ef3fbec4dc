#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/engine/database.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/lake.hpp"
#include "task/fake_context.hpp"

using namespace sluice;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct Folder {
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "erase-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string path;
};

/// A replaced generation of raw.people with one row of ana.
json replaced(const std::string& folder) {
    return {
        {"dataset", "raw.people"},
        {"partition", "dt=2026-01-05"},
        {"slice", ""},
        {"generation", 1},
        {"state", "superseded"},
        {"rows", 1},
        {"bytes", 1},
        {"content_hash", ""},
        {"writer", "d.t"},
        {"files", {folder + "/part-0.parquet"}},
        {"folder", folder},
        {"interval_end", nullptr},
        {"committed_at", nullptr},
        {"superseded_at", nullptr},
        {"over", false}
    };
}

}  // namespace

TEST_CASE("a generation that is live again since it was looked at keeps its files", "[lake]") {
    const Folder home;
    const std::string folder = "raw/people/dt=2026-01-05/g=000001-1-0-1";
    fs::create_directories(fs::path(home.path) / folder);
    const fs::path file = fs::path(home.path) / folder / "part-0.parquet";
    task::FakeLedger ledger;
    task::FakeContext fake(ledger);
    fake.folder("lake", home.path);
    engine::open_database(fake.context())
        ->execute("copy (select 'ana' as who) to " + engine::literal(file.string()));
    std::vector<std::string> said_removed;
    fake.answers = [&](const json& request) -> json {
        const json& question = request.at("question");
        const std::string what = question.at("what");
        if (what == "datasets")
            return {
                {"datasets", {"raw.people"}}, {"holds", json::array()}, {"as_of", 0}, {"now", 0}
            };
        if (what == "generations") return {{"generations", {replaced(folder)}}};
        if (what == "remove") return {{"deleted", {false}}};  // somebody rolled back to it
        for (const json& one : question.at("generations")) said_removed.push_back(one.dump());
        return json::object();
    };
    const Outcome outcome =
        fake.run(ops::lake_operator(), {{"action", "erase"}, {"subject", {{"who", "ana"}}}});
    CHECK(fs::exists(file));
    CHECK(said_removed.empty());
    CHECK(outcome.kind == OutcomeKind::failed);
    CHECK(outcome.error_class == ErrorClass::transient);
}
