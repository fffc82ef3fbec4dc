#include "model/expansion.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace sluice {
namespace {

using nlohmann::json;

/// Every instance's `map`, as JSON text.
std::string all(const std::string& text) {
    const Expansion made = expand(json::parse(text));
    // What is kept and read again says the same.
    const auto shape = ExpandShape::read(made.shape.text());
    json out = json::array();
    for (std::int32_t i = 0; i < shape.length; ++i)
        out.push_back(map_value(shape, i, [&](std::size_t list, std::int64_t at) {
            return made.items[list].at(static_cast<std::size_t>(at));
        }));
    return out.dump();
}

TEST_CASE("the forms of expand", "[model][expand]") {
    CHECK(
        all(R"({"a": [1, 2], "b": ["x", "y"]})") ==
        R"([{"a":1,"b":"x"},{"a":1,"b":"y"},{"a":2,"b":"x"},{"a":2,"b":"y"}])"
    );
    CHECK(all(R"([{"a": 1}, {"a": 2, "b": 3}])") == R"([{"a":1},{"a":2,"b":3}])");
    CHECK(
        all(R"({"zip": {"a": [1, 2, 3], "b": ["x", "y"]}})") ==
        R"([{"a":1,"b":"x"},{"a":2,"b":"y"}])"
    );
    CHECK(
        all(R"({"zip": {"a": [1, 2], "b": ["x"]}, "fill": null})") ==
        R"([{"a":1,"b":"x"},{"a":2,"b":null}])"
    );
    CHECK(all(R"({"i": {"range": 3}})") == R"([{"i":0},{"i":1},{"i":2}])");
    CHECK(all(R"({"i": {"range": [5, 0, -2]}})") == R"([{"i":5},{"i":3},{"i":1}])");
    CHECK(all(R"({"i": {"range": [2, 2]}})") == "[]");
    CHECK(all(R"({"a": [], "b": [1]})") == "[]");
    CHECK(expand(json::parse(R"({"i": {"range": 1000000}})")).shape.length == 1'000'000);
}

TEST_CASE("what cannot be expanded says so", "[model][expand]") {
    CHECK_THROWS_AS(expand(json("text")), Error);
    CHECK_THROWS_AS(expand(json::parse("[1]")), Error);
    CHECK_THROWS_AS(expand(json::parse(R"({"a": 5})")), Error);
    CHECK_THROWS_AS(
        expand(json::parse(R"({"a": {"range": 100000}, "b": {"range": 100000}})")), Error
    );
    const auto faults = [](const std::string& text) {
        return check_expand(json::parse(text)).faults.size();
    };
    CHECK(faults(R"({"a": [1]})") == 0);
    CHECK(faults(R"({"a": "{{ xcom.t }}"})") == 0);
    CHECK(faults(R"({"a": "text"})") == 1);
    CHECK(faults(R"({"a": []})") == 1);
    CHECK(faults(R"({"a b": [1]})") == 1);
    CHECK(faults(R"([1, {"a": 1}])") == 1);
    CHECK(faults(R"({"zip": {"a": [1]}, "b": [2]})") == 1);
    CHECK(check_expand(json::parse(R"({"a": "{{ xcom.t }}"})")).literal == false);
    CHECK(check_expand(json::parse(R"([{"a": 1}, {"b": 1}])")).names.size() == 2);
}

}  // namespace
}  // namespace sluice
