#include "operators/policy/policy.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "model/names.hpp"
#include "model/pii_classes.hpp"

namespace sluice::policy {

namespace {

using nlohmann::json;

constexpr NameTable<Method, 10> methods{
    {{Method::sha256, "sha256"},
     {Method::md5, "md5"},
     {Method::hmac, "hmac"},
     {Method::partial, "partial"},
     {Method::email, "email"},
     {Method::year, "year"},
     {Method::geo, "geo"},
     {Method::nullify, "nullify"},
     {Method::constant, "constant"},
     {Method::drop, "drop"}}
};

const std::vector<std::string> later{
    "token", "ff1", "siv", "shift_date", "bucket", "round", "noise", "fake"
};

std::vector<std::string> method_names() {
    std::vector<std::string> out;
    for (const auto& row : methods) out.emplace_back(row.second);
    return out;
}

std::optional<Method> method_of(
    const std::string& text, const std::string& pointer, Problems& problems
) {
    if (const auto method = value_in(methods, text)) return method;
    if (std::ranges::find(later, text) != later.end())
        problems.error(
            "E-NOT-YET", pointer, "the masking method \"" + text + "\" is not there yet"
        );
    else
        problems.error(
            "E-MASK-METHOD",
            pointer,
            "there is no masking method \"" + text + "\"",
            did_you_mean(text, method_names())
        );
    return std::nullopt;
}

void read_options(Fields& fields, Rule& rule, const std::string& pointer, Problems& problems) {
    switch (rule.method) {
        case Method::sha256:
        case Method::md5:
            rule.salt = fields.string("salt").value_or("");
            if (rule.method == Method::md5) rule.legacy = fields.boolean("legacy").value_or(false);
            break;
        case Method::hmac: {
            rule.encoding = fields.choice("encoding", {"hex", "b64url", "b32"}).value_or("hex");
            rule.length = static_cast<int>(fields.integer("length", 1, 64).value_or(0));
            // Fewer than 64 bits would let two values share a pseudonym: by chance at a million.
            const int bits = rule.encoding == "hex" ? 4 : rule.encoding == "b64url" ? 6 : 5;
            if (rule.length != 0 && rule.length * bits < 64)
                problems.error(
                    "E-MASK-LENGTH",
                    pointer + "/length",
                    "a pseudonym shorter than 64 bits is not safe from collisions",
                    "16 characters of hex are the least"
                );
            break;
        }
        case Method::partial:
            rule.keep_last = static_cast<int>(fields.integer("keep_last", 0, 64).value_or(4));
            rule.keep_first = static_cast<int>(fields.integer("keep_first", 0, 64).value_or(0));
            rule.min_masked = static_cast<int>(fields.integer("min_masked", 0, 64).value_or(4));
            rule.fill = fields.string("char").value_or("*");
            rule.keep_format = fields.choice("format", {"keep", "flat"}).value_or("keep") == "keep";
            if (rule.fill.empty()) problems.error("E-MASK-CHAR", pointer, "char must not be empty");
            break;
        case Method::email:
            rule.local = fields.choice("local", {"first", "none", "hmac"}).value_or("first");
            rule.mail_domain = fields.choice("domain", {"keep", "hmac", "tld"}).value_or("keep");
            rule.stars = static_cast<int>(fields.integer("stars", 1, 20).value_or(3));
            break;
        case Method::geo:
            rule.digits = static_cast<int>(fields.integer("digits", 0, 6).value_or(1));
            break;
        case Method::constant: {
            const json* value = fields.required("value");
            if (value != nullptr) rule.value = text_of(*value);
            break;
        }
        case Method::year:
        case Method::nullify:
        case Method::drop:
            break;
    }
    // `domain` of the method email is the mail's; the others' is that of keys.
    if (rule.method != Method::email) rule.domain = fields.string("domain").value_or("");
}

std::optional<Rule> read_outputs(
    const json& outputs, const std::string& pointer, Problems& problems
) {
    Rule rule;
    for (const auto& [column, value] : outputs.items()) {
        const auto one = read_rule(value, child_pointer(pointer, column), problems);
        if (!one) continue;
        if (!one->outputs.empty()) {
            problems.error(
                "E-MASK-RULE", child_pointer(pointer, column), "outputs cannot have outputs"
            );
            continue;
        }
        rule.outputs.emplace_back(column, *one);
    }
    if (rule.outputs.empty()) {
        problems.error("E-MASK-RULE", pointer, "outputs must name at least one column");
        return std::nullopt;
    }
    return rule;
}

void read_rules(
    Fields& fields, const char* key, std::map<std::string, Rule>& out, Problems& problems
) {
    const json* rules = fields.object(key);
    if (rules == nullptr) return;
    for (const auto& [name, value] : rules->items())
        if (auto rule = read_rule(value, child_pointer(fields.pointer(key), name), problems))
            out.emplace(name, std::move(*rule));
}

}  // namespace

std::string_view name(Method method) { return name_in(methods, method); }

bool Rule::keyed() const {
    if (!outputs.empty())
        return std::ranges::any_of(outputs, [](const auto& one) { return one.second.keyed(); });
    return method == Method::hmac ||
           (method == Method::email && (local == "hmac" || mail_domain == "hmac"));
}

std::vector<std::string> Policy::allowed(const std::string& tier) const {
    const auto found = allow.find(tier);
    return found == allow.end() ? std::vector<std::string>{} : found->second;
}

std::optional<Rule> read_rule(const json& value, const std::string& pointer, Problems& problems) {
    if (value.is_string()) {
        const auto method = method_of(value.get<std::string>(), pointer, problems);
        if (!method) return std::nullopt;
        if (*method == Method::constant) {
            problems.error(
                "E-MASK-RULE", pointer, "constant needs a value", "{method: constant, value: x}"
            );
            return std::nullopt;
        }
        Rule rule;
        rule.method = *method;
        if (*method == Method::md5) rule.legacy = false;
        return rule;
    }
    if (!value.is_object()) {
        problems.error("E-MASK-RULE", pointer, "a rule is a method's name or an object");
        return std::nullopt;
    }
    const std::size_t before = problems.errors();
    Fields fields(value, pointer, problems);
    if (const json* outputs = fields.object("outputs")) {
        fields.done();
        auto rule = read_outputs(*outputs, child_pointer(pointer, "outputs"), problems);
        return problems.errors() == before ? rule : std::nullopt;
    }
    Rule rule;
    const auto method =
        method_of(fields.required_string("method"), child_pointer(pointer, "method"), problems);
    if (!method) return std::nullopt;
    rule.method = *method;
    read_options(fields, rule, pointer, problems);
    rule.normalize = fields.names("normalize").value_or(std::vector<std::string>{});
    for (const std::string& how : rule.normalize)
        if (how != "trim" && how != "lower" && how != "nfc")
            problems.error(
                "E-MASK-RULE",
                child_pointer(pointer, "normalize"),
                "normalize knows trim, lower and nfc"
            );
    rule.mask_nulls = fields.choice("nulls", {"keep", "mask"}).value_or("keep") == "mask";
    fields.done();
    if (problems.errors() != before) return std::nullopt;
    return rule;
}

Parsed<Policy> read(std::string_view text, const std::string& file) {
    Parsed<Policy> out;
    TextDocument document = read_text(text, file, {limits::dag_file_bytes, limits::dag_file_depth});
    if (!document.value) {
        out.problems = std::move(document.problems);
        return out;
    }
    Problems problems(file, document.map);
    Policy policy;
    Fields fields(*document.value, "", problems);
    policy.key = fields.required_string("key");
    if (const json* allow = fields.object("allow")) {
        Fields tiers(*allow, "/allow", problems);
        for (const char* tier : {"curated", "warehouse", "stream", "report"})
            if (auto names = tiers.names(tier)) policy.allow.emplace(tier, std::move(*names));
        tiers.done();
    } else if (!fields.has("allow")) {
        problems.error(
            "E-REQUIRED", "", "allow is missing: it says what may stay readable, by tier"
        );
    }
    policy.indirect = fields.choice("indirect", {"report", "deny", "allow"}).value_or("report");
    if (fields.required("classes") != nullptr)
        read_rules(fields, "classes", policy.classes, problems);
    read_rules(fields, "columns", policy.columns, problems);
    fields.done();
    const auto check_class = [&](const std::string& name, const std::string& pointer) {
        if (std::ranges::find(pii_classes(), name) == pii_classes().end())
            problems.error(
                "E-CLASS",
                pointer,
                "there is no class \"" + name + "\"",
                did_you_mean(name, pii_classes())
            );
    };
    for (const auto& [name, rule] : policy.classes)
        check_class(name, child_pointer("/classes", name));
    for (const auto& [tier, names] : policy.allow)
        for (const std::string& name : names) check_class(name, child_pointer("/allow", tier));
    if (!problems.has_errors()) out.value = std::move(policy);
    out.problems = problems.take();
    return out;
}

}  // namespace sluice::policy
