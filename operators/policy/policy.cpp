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

constexpr NameTable<Method, 18> methods{
    {{Method::sha256, "sha256"},
     {Method::md5, "md5"},
     {Method::hmac, "hmac"},
     {Method::partial, "partial"},
     {Method::email, "email"},
     {Method::token, "token"},
     {Method::ff1, "ff1"},
     {Method::siv, "siv"},
     {Method::shift_date, "shift_date"},
     {Method::bucket, "bucket"},
     {Method::round, "round"},
     {Method::year, "year"},
     {Method::geo, "geo"},
     {Method::noise, "noise"},
     {Method::fake, "fake"},
     {Method::nullify, "nullify"},
     {Method::constant, "constant"},
     {Method::drop, "drop"}}
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
    problems.error(
        "E-MASK-METHOD",
        pointer,
        "there is no masking method \"" + text + "\"",
        did_you_mean(text, method_names())
    );
    return std::nullopt;
}

/// Methods that make nothing of a value without being told how.
bool needs_options(Method method) {
    switch (method) {
        case Method::constant:
        case Method::shift_date:
        case Method::bucket:
        case Method::noise:
        case Method::fake:
            return true;
        case Method::sha256:
        case Method::md5:
        case Method::hmac:
        case Method::partial:
        case Method::email:
        case Method::token:
        case Method::ff1:
        case Method::siv:
        case Method::round:
        case Method::year:
        case Method::geo:
        case Method::nullify:
        case Method::drop:
            return false;
    }
    unreachable();
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
        rule.outputs.push_back({column, *one});
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
        return std::ranges::any_of(outputs, [](const auto& one) { return one.rule.keyed(); });
    switch (method) {
        case Method::hmac:
        case Method::ff1:
            return raw_key.empty();
        case Method::email:
            return local == "hmac" || mail_domain == "hmac";
        case Method::token:
        case Method::siv:
        case Method::shift_date:
        case Method::noise:
        case Method::fake:
            return true;
        case Method::sha256:
        case Method::md5:
        case Method::partial:
        case Method::bucket:
        case Method::round:
        case Method::year:
        case Method::geo:
        case Method::nullify:
        case Method::constant:
        case Method::drop:
            return false;
    }
    unreachable();
}

bool Rule::uses(Method one) const {
    if (!outputs.empty())
        return std::ranges::any_of(outputs, [&](const auto& o) { return o.rule.uses(one); });
    return method == one;
}

std::vector<std::string> Rule::beside() const {
    std::vector<std::string> out = row;
    if (!subject.empty()) out.push_back(subject);
    return out;
}

std::vector<std::string> Policy::allowed(const std::string& tier) const {
    const auto found = allow.find(tier);
    return found == allow.end() ? std::vector<std::string>{} : found->second;
}

std::optional<Rule> read_rule(const json& value, const std::string& pointer, Problems& problems) {
    if (value.is_string()) {
        const auto method = method_of(value.get<std::string>(), pointer, problems);
        if (!method) return std::nullopt;
        if (needs_options(*method)) {
            const bool constant = *method == Method::constant;
            problems.error(
                "E-MASK-RULE",
                pointer,
                std::string(name(*method)) + (constant ? " needs a value" : " needs its options"),
                "{method: " + std::string(name(*method)) + ", ...}"
            );
            return std::nullopt;
        }
        Rule rule;
        rule.method = *method;
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
    policy.key_version = static_cast<int>(fields.integer("key_version", 1, 1'000'000).value_or(1));
    policy.rekey_from = static_cast<int>(fields.integer("rekey_from", 1, 1'000'000).value_or(0));
    policy.key_prefix = fields.boolean("key_prefix").value_or(false);
    if (policy.key_version > 1 && policy.rekey_from == 0)
        problems.error(
            "E-MASK-REKEY",
            "/key_version",
            "another key version changes every pseudonym: rekey_from says from which one",
            "add rekey_from: " + std::to_string(policy.key_version - 1) +
                ", and run the partitions again that were written with it"
        );
    if (policy.rekey_from >= policy.key_version && policy.rekey_from > 0)
        problems.error("E-MASK-REKEY", "/rekey_from", "rekey_from is older than key_version");
    policy.vault = fields.string("vault").value_or("vault");
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
    fields.any("$schema");
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
