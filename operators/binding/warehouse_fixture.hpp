// warehouse_fixture.hpp — for tests: a private PostgreSQL of the program, as the warehouse behind
// the schema `sales` of a LakeFixture. Not for product code.
#pragma once

#include <memory>
#include <string>

#include "operators/binding/lake_fixture.hpp"
#include "operators/connect/postgres.hpp"
#include "store/cluster.hpp"

namespace sluice::binding {

/// Started at first use, stopped when the program ends.
inline store::Cluster& warehouse_cluster() {
    struct Running {
        Running() {
            std::string pattern =
                (std::filesystem::temp_directory_path() / "sluice-pg-XXXXXX").string();
            home = mkdtemp(pattern.data());
            server = std::make_unique<store::Cluster>(home);
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

inline task::Connection warehouse_connection() {
    task::Connection connection;
    connection.id = "warehouse";
    connection.type = "postgres";
    connection.schema = warehouse_cluster().url("warehouse");
    return connection;
}

class WarehouseFixture : public LakeFixture {
public:
    WarehouseFixture() : sql(warehouse_connection(), "test") {
        sql.execute("drop schema if exists sales cascade; create schema sales");
        schemas = {{"sales", "warehouse"}};
        warehouse = warehouse_connection();
    }
    /// All cells of a query, columns joined by '|', rows by a blank.
    std::string text(const std::string& query) {
        std::string out;
        for (const auto& row : sql.query(query).rows) {
            std::string cells;
            for (const auto& cell : row)
                cells += (cells.empty() ? "" : "|") + cell.value_or("null");
            out += (out.empty() ? "" : " ") + cells;
        }
        return out;
    }
    connect::Postgres sql;
};

}  // namespace sluice::binding
