// http_fixture.hpp — for tests: a lake, and a connection to an HTTP server of the test.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "operators/connect/loopback.hpp"
#include "operators/extract/extract.hpp"
#include "operators/lake/slice.hpp"
#include "task/fake_context.hpp"

namespace sluice::extract_test {

using Json = nlohmann::json;

struct HttpHome {
    explicit HttpHome(std::string connection_id) : conn_id(std::move(connection_id)) {
        std::string pattern = (std::filesystem::temp_directory_path() / "http-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }
    ~HttpHome() { std::filesystem::remove_all(path); }
    HttpHome(const HttpHome&) = delete;
    HttpHome& operator=(const HttpHome&) = delete;

    /// raw.x with these columns (none: undeclared), and its rejects.
    void prepare(task::FakeContext& fake, const std::vector<ColumnSpec>& columns = {}) const {
        fake.folder("lake", path);
        DatasetSpec spec;
        spec.name = "raw.x";
        spec.columns = columns;
        spec.declared = !columns.empty();
        DatasetSpec rejects;
        rejects.name = "raw.x_rejects";
        fake.datasets({spec, rejects});
        fake.connect(
            {.id = conn_id,
             .type = "http",
             .host = "127.0.0.1",
             .port = port,
             .login = "ada",
             .password = Secret("pw secret"),
             .schema = schema,
             .extra = extra.dump()}
        );
    }

    std::string conn_id;
    std::string path;
    int port{0};
    std::string schema{"http"};
    Json extra{{"retries", 1}};
    task::FakeLedger ledger;
};

}  // namespace sluice::extract_test
