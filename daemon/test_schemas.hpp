// test_schemas.hpp — the throw-away schemas of `sluice dags test`. Each is held by an advisory lock
// of its owner's session, so that what a killed test left behind is known by its free lock, from
// any machine, and is dropped by the next test or daemon on that database.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "task/context.hpp"

struct pg_conn;

namespace sluice {

class TestSchemas {
public:
    /// "__test_PID" of this process: what a test schema's name ends with.
    static std::string suffix();

    TestSchemas() = default;
    /// Drops them.
    ~TestSchemas();
    TestSchemas(const TestSchemas&) = delete;
    TestSchemas& operator=(const TestSchemas&) = delete;

    /// Takes the test schema that stands for `schema`; drops what dead tests left there. Nothing
    /// happens if the place is no PostgreSQL or cannot be reached: its tasks will say so.
    void take(const task::Connection& place, const std::string& schema);

    /// Drops what dead tests left in the database; returns how many schemas that were.
    static int sweep(const std::string& url);

private:
    struct Close {
        void operator()(pg_conn* connection) const;
    };
    struct Place {
        std::unique_ptr<pg_conn, Close> connection;
        std::vector<std::string> schemas;
    };
    std::map<std::string, Place> places_;  // by conn_id
};

}  // namespace sluice
