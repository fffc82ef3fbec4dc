// json_schema_parts.hpp — the inside of the JSON Schema checker; for model/json_schema*.cpp only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/json_schema.hpp"

namespace sluice::schema {

using nlohmann::json;

/// A schema that says nothing.
inline const json nothing = json::object();

/// Work is bounded: schemas may be recursive, and each form of a oneOf is tried.
constexpr std::size_t steps_max = 4'000'000;
constexpr int hops_max = 32;

bool matches(const std::string& text, const std::string& pattern);
/// Follows `$ref`; `nothing` where it leads nowhere.
const json& target_of(const json& schema, const json& root);

/// Text with a template in it, or one `{{ }}` and nothing else.
enum class TemplateKind { none, inside, whole };
TemplateKind template_kind(const json& value);
/// The value as JSON, cut to what a message can hold.
std::string shown(const json& value);

using Found = std::vector<Problem>;
void problem(
    Found& out, std::string code, std::string at, std::string message, std::string hint = {}
);

/// False, with the problem told, if the value is not of the schema's type.
bool check_type(const json& value, const json& schema, const std::string& at, Found& out);
void check_enum(const json& value, const json& schema, const std::string& at, Found& out);
void check_string(const std::string& text, const json& schema, const std::string& at, Found& out);
void check_number(double number, const json& schema, const std::string& at, Found& out);
std::vector<std::string> types_of(const json& schema);
/// "a string", "a whole number", ...
std::string_view type_words(std::string_view type);

/// One value against one schema. `root` holds the definitions.
class Checker {
public:
    Checker(const json& root, Templates templates) : root_(root), templates_(templates) {}

    void check(const json& value, const json& written, const std::string& at, Found& out);
    [[nodiscard]] bool exhausted() const { return steps_ > steps_max; }
    /// The form that fits best; nullptr if the list is empty.
    const json* best_form(const json& value, const json& forms, const std::string& at);

private:
    void check_here(const json& value, const json& schema, const std::string& at, Found& out);
    void check_object(const json& value, const json& schema, const std::string& at, Found& out);
    void check_member(
        const std::string& key,
        const json& child,
        const json& schema,
        const std::string& at,
        Found& out
    );
    void check_array(const json& value, const json& schema, const std::string& at, Found& out);
    void check_forms(const json& value, const json& schema, const std::string& at, Found& out);
    void check_one_of(
        const json& value, const json& forms, const std::string& at, Found& out, bool exactly
    );

    const json& root_;
    Templates templates_;
    bool is_plain_{false};  // under x-template: none
    std::size_t steps_{0};
};

}  // namespace sluice::schema
