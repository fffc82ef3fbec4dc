// transform_fixture.hpp — for tests: one transform over processed.x into processed.out.
#pragma once

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "operators/binding/lake_fixture.hpp"
#include "operators/transform/transform.hpp"

namespace sluice::transform_test {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;

inline const task::Operator& op() {
    static const task::Operator made = ops::transform_operator();
    return made;
}

/// Checks, runs, and answers the rows of processed.out.
struct Transform : binding::LakeFixture {
    Lines steps(const std::string& text, const std::string& query) {
        return run_params(
            {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", Json::parse(text)}}, query
        );
    }
    Lines run_params(const Json& params, const std::string& query) {
        const auto checked = check(op(), params);
        for (const Problem& problem : checked.problems) UNSCOPED_INFO(format(problem));
        REQUIRE(checked.problems.empty());
        const Outcome outcome = run(op(), params);
        UNSCOPED_INFO(outcome.message);
        REQUIRE(outcome.kind == OutcomeKind::success);
        return rows({"processed.out"}, query);
    }
    Problem problem(const std::string& text) {
        const auto checked = check(
            op(), {{"from", "processed.x"}, {"to", "processed.out"}, {"steps", Json::parse(text)}}
        );
        REQUIRE(checked.problems.size() == 1);
        return checked.problems.front();
    }
    void given(const std::string& columns, const std::string& query) {
        declare("processed.x", columns);
        put("processed.x", query);
    }
    std::string column(const std::string& name) {
        for (const ColumnSpec& one : dataset("processed.out").columns)
            if (one.name == name) return one.type + " @" + one.pii_class;
        return "none";
    }
};

}  // namespace sluice::transform_test
