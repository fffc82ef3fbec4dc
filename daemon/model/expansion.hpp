// expansion.hpp — the forms of `expand` (docs/design/dag-language.md 3): how many instances they
// make, and of what each is made.
//   {name: part, ...}              cross product, the last name (by its letters) turning fastest
//   {"zip": {name: part, ...}}     side by side, to the end of the shortest; with "fill": value to
//                                  the end of the longest
//   [object, ...] or a template    one instance for each object
// A part is a list, a template that gives one, or {"range": n | [from, to] | [from, to, step]}.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace sluice {

/// Instances of one mapping in a run; more is an error.
inline constexpr std::int64_t map_length = 10'000'000;

/// What is wrong with an `expand` as written, where (a pointer into it), and its names.
struct ExpandCheck {
    struct Fault {
        std::string pointer;
        std::string message;
    };
    std::vector<Fault> faults;
    std::vector<std::string> names;  // that `map` has; empty = known at run time only
    bool literal{false};             // no template in it: the length is known
};
ExpandCheck check_expand(const nlohmann::json& written);

/// One list of an expansion: items that are kept, or numbers that are computed.
struct ExpandList {
    std::string name;  // "" = the objects of a list
    std::int64_t length{};
    bool numbers{false};
    std::int64_t from{};
    std::int64_t step{1};
};

/// How many instances, made of which items; `lists` and their items lie elsewhere.
struct ExpandShape {
    enum class Kind { product, zip, objects } kind{Kind::product};
    std::vector<ExpandList> lists;
    bool filled{false};
    std::string fill;  // JSON
    std::int32_t length{};

    [[nodiscard]] std::string text() const;
    static ExpandShape read(const std::string& text);
};

struct Expansion {
    ExpandShape shape;
    std::vector<nlohmann::json> items;  // a list for each that is not of numbers, else null
};

/// `rendered` has no templates any more. Throws Error(invalid) that says what does not fit.
Expansion expand(const nlohmann::json& rendered);

/// The value of `map` for an instance; `item` gives the element of a list.
nlohmann::json map_value(
    const ExpandShape& shape,
    std::int32_t index,
    const std::function<nlohmann::json(std::size_t list, std::int64_t at)>& item
);

}  // namespace sluice
