// loader_fixture.hpp — DAG files in short for the tests of the loader.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "spec/loader.hpp"
#include "spec/test_catalogue.hpp"

namespace sluice::spec::fixture {

using Names = std::vector<std::string>;

inline const Catalogue& catalogue() {
    static const Catalogue made = spec::test_catalogue();
    return made;
}

inline std::optional<std::string> read_file(const std::string& path) {
    if (path == "policies/pii.yaml")
        return "key: master\nallow: {curated: [quasi]}\nclasses: {email: hmac, quasi: drop}\n";
    if (path == "policies/bad.yaml") return "key: master\nallow: {}\nclasses: {email: hmca}\n";
    if (path == "run.py") return "print(1)";
    if (path == "q.sql") return "select * from raw.orders";
    return std::nullopt;
}

inline Parsed<Dag> load(const std::string& text, const std::string& name = "x.json") {
    return spec::load(text, name, catalogue(), read_file);
}

/// A DAG with these top-level keys beside its id.
inline Parsed<Dag> dag_with(const std::string& keys) {
    return load(R"({"dag_id": "d", )" + keys + "}");
}
inline Parsed<Dag> tasks(const std::string& list) { return dag_with(R"("tasks": [)" + list + "]"); }

inline std::string task(const std::string& id, const std::string& more = {}) {
    return fmt::format(R"({{"task_id": "{}", "operator": "empty"{}}})", id, more);
}

inline Problem only(const Parsed<Dag>& parsed) {
    for (const auto& problem : parsed.problems) UNSCOPED_INFO(format(problem));
    REQUIRE_FALSE(parsed.value);
    REQUIRE(parsed.problems.size() == 1);
    return parsed.problems.front();
}

inline Dag good(const Parsed<Dag>& parsed) {
    for (const auto& problem : parsed.problems) UNSCOPED_INFO(format(problem));
    REQUIRE(parsed.value);
    return *parsed.value;
}

inline std::vector<std::string> ups(const Dag& dag, const std::string& id) {
    std::vector<std::string> out;
    for (const TaskNo up : dag.tasks.at(static_cast<std::size_t>(find_task(dag, id))).upstream)
        out.push_back(dag.tasks.at(static_cast<std::size_t>(up)).id);
    return out;
}

}  // namespace sluice::spec::fixture
