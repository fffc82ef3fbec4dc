// table_fixture.hpp — for tests: a private PostgreSQL as the shop, and extracts from it into raw.x.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "operators/connect/postgres.hpp"
#include "operators/extract/extract.hpp"
#include "operators/lake/slice.hpp"
#include "store/cluster.hpp"
#include "task/fake_context.hpp"

namespace sluice::extract {

inline std::string temporary_folder(const std::string& name) {
    std::string pattern = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
    return mkdtemp(pattern.data());
}

class Shop {
public:
    Shop() : home_(temporary_folder("table")), cluster_(home_) {
        cluster_.start();
        shop.id = "shop";
        shop.type = "postgres";
        shop.schema = cluster_.url("shop");
        sql = std::make_unique<connect::Postgres>(shop, "test");
    }
    ~Shop() {
        sql.reset();
        cluster_.stop();
        std::filesystem::remove_all(home_);
    }

    Outcome run(const nlohmann::json& params, int day = 5) { return run(params, day, ledger); }
    Outcome run(const nlohmann::json& params, int day, task::FakeLedger& in) {
        task::FakeContext fake(in);
        prepare(fake, day);
        fake.job.checkpoint = checkpoint.dump();
        fake.job.info.attempt_id = std::to_string(++attempts_) + "-0-1";
        const Outcome outcome = fake.run(ops::extract_operator(), params);
        xcom = fake.xcom();
        checkpoint = fake.last_checkpoint();
        logs = fake.logs();
        return outcome;
    }
    std::string text(const std::string& query, int day = 5) {
        task::FakeContext fake(ledger);
        prepare(fake, day);
        const auto db = engine::open_database(fake.context());
        const auto source = lake::read(fake.context(), *db, lake::query_of("raw.x"));
        db->execute("create view x as select * from " + source.relation);
        return db->text(query);
    }

    [[nodiscard]] std::string url(const std::string& database) const {
        return cluster_.url(database);
    }

    [[nodiscard]] std::string lake() const { return home_ + "/lake"; }

    task::Connection shop;
    std::unique_ptr<connect::Postgres> sql;
    task::FakeLedger ledger;
    nlohmann::json xcom;
    nlohmann::json checkpoint;  // of the last attempt; the next one gets it
    std::vector<std::pair<task::Level, std::string>> logs;
    std::vector<std::string> key;  // of the data set
    std::string timezone{"UTC"};
    int threads{1};
    std::int64_t memory_bytes{std::int64_t{1} << 30};
    std::int64_t temp_bytes{0};

private:
    void prepare(task::FakeContext& fake, int day) {
        fake.folder("lake", home_ + "/lake");
        fake.connect(shop);
        const Instant start = parse_time("2026-01-01")->at + std::chrono::hours{24 * (day - 1)};
        fake.interval(start, start + std::chrono::hours{24});
        fake.job.info.timezone = timezone;
        fake.job.resources.threads = threads;
        fake.job.resources.memory_bytes = memory_bytes;
        fake.job.resources.temp_bytes = temp_bytes;
        DatasetSpec spec;
        spec.name = "raw.x";
        spec.key = key;
        fake.datasets({spec});
    }
    int attempts_{0};
    std::string home_;
    store::Cluster cluster_;
};

inline nlohmann::json from(nlohmann::json source) {
    source["conn_id"] = "shop";
    return {{"from", std::move(source)}, {"to", "raw.x"}};
}

}  // namespace sluice::extract
