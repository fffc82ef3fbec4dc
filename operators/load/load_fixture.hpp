// load_fixture.hpp — for tests: one private PostgreSQL for the program, a lake and a warehouse
// schema for each test, and loads of rows written as SQL.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/connect/postgres.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/slice.hpp"
#include "operators/load/load.hpp"
#include "store/cluster.hpp"
#include "task/fake_context.hpp"

/// What a load answers is success; if not, its message is shown.
#define REQUIRE_OK(expression)                          \
    do {                                                \
        const Outcome outcome_ = (expression);          \
        INFO(outcome_.message);                         \
        REQUIRE(outcome_.kind == OutcomeKind::success); \
    } while (false)

namespace sluice::load {

inline std::string temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "load-XXXXXX").string();
    return mkdtemp(pattern.data());
}

/// Started at first use, stopped when the program ends.
inline store::Cluster& cluster() {
    struct Running {
        Running() : home(temporary_folder()), server(std::make_unique<store::Cluster>(home)) {
            server->start();
        }
        ~Running() {
            server->stop();
            std::filesystem::remove_all(home);
        }
        std::string home;
        std::unique_ptr<store::Cluster> server;
    };
    static Running running;
    return *running.server;
}

/// The warehouse of this program's cluster, or the one that a parent test names.
inline std::string warehouse_url() {
    if (const char* given = std::getenv("SLUICE_TEST_WAREHOUSE")) return given;
    return cluster().url("warehouse");
}

inline task::Connection warehouse_connection() {
    task::Connection connection;
    connection.id = "warehouse";
    connection.type = "postgres";
    connection.schema = warehouse_url();
    return connection;
}

class LoadFixture {
public:
    enum class Start { empty, as_is };
    explicit LoadFixture(Start start = Start::empty)
        : lake_(temporary_folder()), postgres_(warehouse_connection(), "test") {
        if (start == Start::as_is) return;
        postgres_.execute("drop schema if exists sales cascade");
        postgres_.execute("drop schema if exists _sluice cascade");
    }
    ~LoadFixture() { std::filesystem::remove_all(lake_); }

    /// The interval of day n (0 = 2026-01-01).
    static Interval day(int n) {
        const Instant start = parse_time("2026-01-01")->at + std::chrono::hours{24 * n};
        return {start, start + std::chrono::hours{24}};
    }

    void prepare(task::FakeContext& fake, int day_number) {
        fake.folder("lake", lake_);
        fake.connect(warehouse_connection());
        fake.interval(day(day_number).start, day(day_number).end);
        fake.job.info.run_id = "day" + std::to_string(day_number);
        fake.job.info.timezone = timezone;
        fake.job.schemas["sales"] = {"warehouse", schema};
        DatasetSpec rows;
        rows.name = "curated.rows";
        rows.columns = columns;
        fake.datasets({rows, target});
    }

    /// Writes the rows of a query as the day's slice of curated.rows.
    void put(int day_number, const std::string& query) {
        task::FakeContext fake(ledger);
        prepare(fake, day_number);
        task::Operator op;
        op.run = [&](task::TaskContext& context, const nlohmann::json&) {
            const auto database = engine::open_database(context);
            lake::WriteRequest request;
            request.dataset = "curated.rows";
            request.query = query;
            lake::write(context, *database, request);
            return task::success();
        };
        const Outcome outcome = fake.run(op, {});
        if (outcome.kind != OutcomeKind::success) throw std::runtime_error(outcome.message);
    }

    /// `item` of `items`: as an instance of a mapped task.
    Outcome load(
        int day_number,
        nlohmann::json params,
        const std::string& rows = "",
        const std::string& item = "",
        const std::vector<std::string>& items = {}
    ) {
        if (!rows.empty()) put(day_number, rows);
        if (!params.contains("from")) params["from"] = "curated.rows";
        task::FakeContext fake(ledger);
        prepare(fake, day_number);
        if (!item.empty()) instance(fake, item, items);
        fake.job.reuse = reuse;
        const Outcome outcome = fake.run(ops::load_operator(), params);
        xcom = fake.xcom();
        return outcome;
    }

    /// The daemon's answers about the items of a mapping.
    static void instance(
        task::FakeContext& fake, const std::string& item, const std::vector<std::string>& items
    ) {
        const auto own = std::find(items.begin(), items.end(), item);
        fake.job.info.map_index = static_cast<int>(own - items.begin());
        fake.answers = [item, items](const nlohmann::json& question) {
            if (question.at("what") == "own")
                return nlohmann::json{{"key", item}, {"items", items.size()}};
            nlohmann::json gone = nlohmann::json::array();
            for (const auto& key : question.at("keys"))
                if (std::find(items.begin(), items.end(), key.get<std::string>()) == items.end())
                    gone.push_back(key);
            return nlohmann::json{{"gone", gone}};
        };
    }

    /// All cells of a query, columns joined by ',', rows by ' '.
    std::string text(const std::string& sql) {
        std::string out;
        for (const auto& row : postgres_.query(sql).rows) {
            std::string cells;
            for (const auto& cell : row) {
                cells += (cells.empty() ? "" : ",") + cell.value_or("-");
            }
            out += (out.empty() ? "" : " ") + cells;
        }
        return out;
    }

    connect::Postgres& sql() { return postgres_; }

    task::FakeLedger ledger;
    nlohmann::json xcom;
    std::string timezone{"UTC"};
    std::string schema{"sales"};  // the schema behind "sales"
    DatasetSpec target;           // what the DAG says of the table
    bool reuse{false};
    std::vector<ColumnSpec> columns;  // declared of curated.rows

private:
    std::string lake_;
    connect::Postgres postgres_;
};

}  // namespace sluice::load
