// extract_fixture.hpp — for tests: a home with a lake and a folder of source files, and an extract
// from one to the other.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "operators/extract/extract.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

namespace sluice::extract_test {

using Json = nlohmann::json;

struct Home {
    Home() {
        std::string pattern = (std::filesystem::temp_directory_path() / "extract-XXXXXX").string();
        path = mkdtemp(pattern.data());
        std::filesystem::create_directory(path + "/lake");
        std::filesystem::create_directory(path + "/in");
    }
    ~Home() { std::filesystem::remove_all(path); }
    void put(const std::string& name, const std::string& text) const {
        std::ofstream(path + "/in/" + name, std::ios::binary) << text;
    }
    void prepare(task::FakeContext& fake, const std::string& columns) const {
        fake.folder("lake", path + "/lake");
        fake.folder("landing", path + "/in");
        DatasetSpec spec;
        spec.name = "raw.x";
        const Json parsed = Json::parse(columns);
        for (const auto& [column, type] : parsed.items()) {
            ColumnSpec made;
            made.name = column;
            made.type = type.get<std::string>();
            spec.columns.push_back(made);
        }
        spec.declared = !spec.columns.empty();
        DatasetSpec rejects;
        rejects.name = "raw.x_rejects";
        fake.datasets({spec, rejects});
    }
    std::string path;
};

/// Runs an extract and answers a query over raw.x ("x") and its rejects ("r").
struct Extract {
    explicit Extract(const Home& the_home) : home(the_home) {}
    Outcome run(
        const Json& params, const std::string& columns = R"({"a":"bigint","b":"varchar"})"
    ) {
        task::FakeContext fake(ledger);
        home.prepare(fake, columns);
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        xcom = fake.xcom();
        return outcome;
    }
    std::string text(const std::string& sql) {
        task::FakeContext fake(ledger);
        home.prepare(fake, R"({"a":"bigint"})");
        const auto db = engine::open_database(fake.context());
        for (const auto& [view, dataset] :
             {std::pair{"x", "raw.x"}, std::pair{"r", "raw.x_rejects"}}) {
            const auto slices = fake.context().inputs({dataset, {}, {}});
            if (slices.empty()) continue;
            const auto source = lake::read(fake.context(), *db, lake::query_of(dataset));
            db->execute(
                std::string("create view ") + view + " as select * from " + source.relation
            );
        }
        return db->text(sql);
    }
    const Home& home;
    task::FakeLedger ledger;
    Json xcom;
};

inline Json from(const std::string& path) {
    return {{"from", {{"conn_id", "landing"}, {"path", path}}}, {"to", "raw.x"}};
}

}  // namespace sluice::extract_test
