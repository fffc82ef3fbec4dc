#include "model/template.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "model/json_schema.hpp"
#include "model/template_parts.hpp"
#include "model/template_sql.hpp"

namespace sluice {

using nlohmann::json;
using tmpl::Evaluator;
using tmpl::FaultKind;
using tmpl::Names;
using tmpl::TemplateFault;
using tmpl::Value;

namespace {

/// Begins a placeholder; a control character that no other text may have.
constexpr std::string_view mark = "\x1asecret:";
constexpr char mark_end = '\x1a';
constexpr std::size_t output_max = 4U << 20;

void refuse_mark(std::string_view text) {
    if (text.find(mark) != std::string_view::npos)
        throw TemplateFault{.message = "the text holds a control character (U+001A)"};
}

void refuse_marks(const json& value) {
    if (value.is_string()) refuse_mark(value.get_ref<const std::string&>());
    if (value.is_structured())
        for (const auto& child : value) refuse_marks(child);
}

/// Text as it is; secrets become placeholders.
class TextSink final : public tmpl::Sink {
public:
    void text(std::string_view piece) override { put(piece); }
    void value(const Value& value) override {
        const std::string piece = tmpl::to_text(value);
        if (value.as<tmpl::SecretName>() == nullptr) refuse_mark(piece);
        put(piece);
    }
    std::string out;

private:
    void put(std::string_view piece) {
        if (out.size() + piece.size() > output_max)
            throw TemplateFault{
                .message = "the text is larger than 4 MiB", .kind = FaultKind::value
            };
        out += piece;
    }
};

/// SQL: values become $n, identifiers stand as they are.
class SqlSink final : public tmpl::Sink {
public:
    void text(std::string_view piece) override {
        follower_.feed(piece);
        out += piece;
    }
    void value(const Value& value) override {
        if (const auto* identifier = value.as<tmpl::Identifier>()) {
            follower_.feed(identifier->text);
            out += identifier->text;
            return;
        }
        switch (follower_.place()) {
            case tmpl::SqlPlace::code:
                break;
            case tmpl::SqlPlace::string:
            case tmpl::SqlPlace::quoted_name:
                throw TemplateFault{
                    .message = "a template in SQL is a bound parameter and cannot stand in quotes",
                    .suggestion = "take the quotes away, or use | identifier for a name"
                };
            case tmpl::SqlPlace::comment:
                throw TemplateFault{.message = "a template cannot stand in an SQL comment"};
        }
        if (value.as<tmpl::SecretName>() != nullptr)
            throw TemplateFault{.message = "a secret cannot stand in SQL"};
        values.push_back(sql_value(value));
        out += fmt::format("${}", values.size());
        follower_.feed(" ");
    }
    void finish() const {
        if (!values.empty() && follower_.has_dollar_number())
            throw TemplateFault{
                .message = "SQL with templates cannot have parameters such as $1 of its own"
            };
    }
    std::string out;
    json values = json::array();

private:
    static json sql_value(const Value& value) {
        if (const auto* time = value.as<tmpl::DateTime>())
            return {{"timestamptz", tmpl::iso({time->at, ""})}};
        json out = tmpl::to_json(value);
        if (out.is_object())
            throw TemplateFault{
                .message = "an object cannot be a value in SQL", .suggestion = "| tojson"
            };
        return out;
    }
    tmpl::SqlFollower follower_;
};

enum class Mode { none, text, sql };

/// One pass over `with`, at load (problems are collected) or before a run (the first is thrown).
class Pass {
public:
    Pass(const Names& names, const json& root) : names_(names), root_(root) {}

    json value(
        const json& value, const json& schema, Mode around, bool secret, const std::string& at
    ) {
        json storage;
        const json& here = effective_schema(value, schema, root_, storage);
        const auto annotation = here.value("x-template", std::string{});
        const Mode mode = annotation == "none"   ? Mode::none
                          : annotation == "sql"  ? Mode::sql
                          : annotation == "text" ? Mode::text
                                                 : around;
        secret = secret || here.value("x-secret", false);
        if (value.is_string()) {
            const auto& text = value.get_ref<const std::string&>();
            return guarded(at, [&] { return string(text, schema, mode, secret, at); });
        }
        if (value.is_array()) {
            if (annotation == "sql" && is_lines(value))
                return guarded(at, [&] { return string(joined(value), schema, mode, secret, at); });
            json out = json::array();
            for (std::size_t i = 0; i < value.size(); ++i)
                out.push_back(
                    this->value(value[i], item_schema(here), mode, secret, child_pointer(at, i))
                );
            return out;
        }
        if (!value.is_object()) return value;
        json out = json::object();
        for (const auto& [key, child] : value.items())
            out[key] =
                this->value(child, member_schema(here, key), mode, secret, child_pointer(at, key));
        return out;
    }

    std::vector<Problem> problems;

private:
    static bool is_lines(const json& value) {
        return !value.empty() &&
               std::ranges::all_of(value, [](const json& line) { return line.is_string(); });
    }
    static std::string joined(const json& lines) {
        std::string out;
        for (const auto& line : lines) {
            if (!out.empty()) out += '\n';
            out += line.get_ref<const std::string&>();
        }
        return out;
    }

    void problem(const std::string& at, const TemplateFault& fault) {
        problems.push_back(
            {.code = fault.code,
             .severity = Severity::error,
             .file = {},
             .pointer = at,
             .message = fault.message,
             .suggestion = fault.suggestion}
        );
    }

    template <class Work>
    json guarded(const std::string& at, const Work& work) {
        try {
            return work();
        } catch (const TemplateFault& fault) {
            if (!names_.sampling()) {
                throw Error(
                    ErrorCode::invalid,
                    fmt::format("with{}: {}", at, fault.message) +
                        (fault.suggestion.empty() ? "" : " (" + fault.suggestion + ")")
                );
            }
            if (fault.kind == FaultKind::template_) problem(at, fault);
            return nullptr;
        }
    }

    json string(
        const std::string& text, const json& schema, Mode mode, bool secret, const std::string& at
    ) {
        refuse_mark(text);
        if (mode == Mode::sql) return sql(text, at);
        if (mode == Mode::none || !has_template(text)) return text;
        const auto nodes = tmpl::parse(text);
        Evaluator evaluator(names_);
        json out;
        if (nodes.size() == 1 && nodes.front().kind == tmpl::NodeKind::output) {
            const Value value = evaluator.evaluate(*nodes.front().expr);
            if (names_.sampling() && (value.any() || value.as<tmpl::Undefined>() != nullptr))
                return nullptr;
            out = tmpl::to_json(value);
            if (value.as<tmpl::SecretName>() == nullptr) refuse_marks(out);
        } else {
            TextSink sink;
            evaluator.render(nodes, sink);
            for (const auto& fault : evaluator.faults) problem(at, fault);
            out = std::move(sink.out);
        }
        check_result(out, schema, secret, at);
        return out;
    }

    void check_result(const json& out, const json& schema, bool secret, const std::string& at) {
        if (out.is_string() && out.get_ref<const std::string&>().find(mark) != std::string::npos) {
            if (secret) return;
            throw TemplateFault{
                .message = "a secret cannot stand in this parameter", .code = "E-TEMPLATE-SECRET"
            };
        }
        for (const auto& found : check_part(out, schema, root_, at, Templates::refuse)) {
            // At load only the type is known, not the value.
            if (names_.sampling() && (found.code != "E-TYPE" || found.pointer != at)) continue;
            throw TemplateFault{
                .message = names_.sampling() ? "the template gives the wrong type: " + found.message
                                             : found.message,
                .suggestion = found.suggestion,
                .code = "E-TEMPLATE-TYPE"
            };
        }
    }

    json sql(const std::string& text, const std::string& at) {
        SqlSink sink;
        if (has_template(text)) {
            Evaluator evaluator(names_);
            evaluator.render(tmpl::parse(text), sink);
            for (const auto& fault : evaluator.faults) problem(at, fault);
            sink.finish();
        } else {
            sink.out = text;
        }
        return {{"text", std::move(sink.out)}, {"values", std::move(sink.values)}};
    }

    const Names& names_;
    const json& root_;
};

// ---- what templates read ----------------------------------------------------------------------

/// xcom['a.b'].c -> {"xcom", "a.b", "c"}; empty if it does not begin with a name.
std::vector<std::string> path_of(const tmpl::Expr& expr) {
    using tmpl::ExprKind;
    if (expr.kind == ExprKind::name) return {expr.text};
    if (expr.kind != ExprKind::attribute && expr.kind != ExprKind::index) return {};
    auto path = path_of(*expr.parts[0]);
    if (path.empty()) return {};
    if (expr.kind == ExprKind::attribute) {
        path.push_back(expr.text);
    } else {
        const auto* key = expr.parts[1]->value.as<std::string>();
        if (expr.parts[1]->kind != ExprKind::literal || key == nullptr) return {};
        path.push_back(*key);
    }
    return path;
}

void literals_of(const tmpl::Expr& expr, std::set<std::string>& out) {
    if (const auto* held = expr.value.as<std::string>();
        expr.kind == tmpl::ExprKind::literal && held != nullptr)
        out.insert(*held);
    if (expr.kind == tmpl::ExprKind::list)
        for (const auto& part : expr.parts) literals_of(*part, out);
}

void collect(const tmpl::Expr& expr, TemplateReads& out) {
    const auto path = path_of(expr);
    if (!path.empty() && path[0] == "triggering_asset_events") out.asset_events = true;
    if (!path.empty() && tmpl::is_rare_name(path[0])) out.rare.insert(path[0]);
    if (path.size() >= 2) {
        if (path[0] == "xcom") out.xcom_tasks.insert(path[1]);
        if (path[0] == "conn") out.connections.insert(path[1]);
        if (path[0] == "secret") out.secrets.insert(path[1]);
        if (path[0] == "var" && path.size() >= 3 && path[2] != "get") out.variables.insert(path[2]);
    }
    if (expr.kind == tmpl::ExprKind::call) {
        const auto called = path_of(*expr.parts[0]);
        const bool pull = called.size() == 2 && called[1] == "xcom_pull";
        const bool get = called.size() == 3 && called[0] == "var" && called[2] == "get";
        if (expr.parts.size() > 1 && pull) literals_of(*expr.parts[1], out.xcom_tasks);
        if (expr.parts.size() > 1 && get) literals_of(*expr.parts[1], out.variables);
        for (const auto& [key, part] : expr.named) {
            if (pull && key == "task_ids") literals_of(*part, out.xcom_tasks);
            if (get && key == "key") literals_of(*part, out.variables);
        }
    }
    for (const auto& part : expr.parts) collect(*part, out);
    for (const auto& [key, part] : expr.named) collect(*part, out);
}

void collect(const tmpl::Nodes& nodes, TemplateReads& out) {
    for (const auto& node : nodes) {
        if (node.expr) collect(*node.expr, out);
        for (const auto& [condition, body] : node.arms) {
            if (condition) collect(*condition, out);
            collect(body, out);
        }
        collect(node.body, out);
    }
}

void collect(const json& value, TemplateReads& out) {
    if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (!has_template(text)) return;
        try {
            collect(tmpl::parse(text), out);
        } catch (const TemplateFault&) {
            // Not a template in a parameter that renders none, or a problem that the check tells.
            return;
        }
    }
    if (value.is_structured())
        for (const auto& child : value) collect(child, out);
}

template <class Change>
void change_placeholders(json& value, const Change& change) {
    if (value.is_structured()) {
        for (auto& child : value) change_placeholders(child, change);
        return;
    }
    if (!value.is_string()) return;
    std::string text = value.get<std::string>();
    bool changed = false;
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
        const auto end = text.find(mark_end, at + mark.size());
        if (end == std::string::npos) break;
        const std::string fresh = change(text.substr(at + mark.size(), end - at - mark.size()));
        text.replace(at, end + 1 - at, fresh);
        at += fresh.size();
        changed = true;
    }
    if (changed) value = std::move(text);
}

RenderContext sample_context() {
    const Instant day = parse_time("2026-01-05T00:00:00Z")->at;
    RenderContext out;
    out.dag_id = "dag";
    out.run_id = "scheduled__2026-01-05T00:00:00+00:00";
    out.task_id = "task";
    out.run_type = "scheduled";
    out.owner = "owner";
    out.operator_name = "operator";
    out.logical_date = day;
    out.data_interval = Interval{day, day + std::chrono::hours(24)};
    out.run_after = day + std::chrono::hours(24);
    out.start_date = out.run_after;
    out.partition_key = "2026-01-05";
    out.previous = {Interval{day - std::chrono::hours(24), day}, day, day};
    out.inlets = out.outlets = {"raw.asset"};
    return out;
}

}  // namespace

bool has_template(std::string_view text) {
    return text.find("{{") != std::string_view::npos || text.find("{%") != std::string_view::npos ||
           text.find("{#") != std::string_view::npos;
}

TemplateReads template_reads(const json& with) {
    TemplateReads out;
    collect(with, out);
    return out;
}

json render_params(const json& with, const json& schema, const RenderContext& context) {
    json filled = with;
    fill_defaults(filled, schema);
    const Names names(context);
    Pass pass(names, schema);
    return pass.value(filled, schema, Mode::text, false, "");
}

json render_text(std::string_view text, const RenderContext& context) {
    const Names names(context);
    const json schema = json::object();
    Pass pass(names, schema);
    return pass.value(std::string(text), schema, Mode::text, false, "");
}

std::string secret_placeholder(std::string_view name) {
    return fmt::format("{}{}{}", mark, name, mark_end);
}

void reveal_secrets(
    json& value, const std::function<std::string(const std::string& name)>& reveal
) {
    change_placeholders(value, reveal);
}

void mask_secrets(json& value) {
    change_placeholders(value, [](const std::string&) { return std::string("***"); });
}

std::vector<Problem> check_templates(
    const json& with, const json& schema, const TemplateScope& scope, const std::string& pointer
) {
    const RenderContext sample = sample_context();
    json filled = with;
    fill_defaults(filled, schema);
    const Names names(sample, scope);
    Pass pass(names, schema);
    (void)pass.value(filled, schema, Mode::text, false, "");
    for (auto& problem : pass.problems) problem.pointer = pointer + problem.pointer;
    return std::move(pass.problems);
}

}  // namespace sluice
