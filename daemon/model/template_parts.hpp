// template_parts.hpp — the inside of the template engine; for model/template*.cpp only.
// Text -> nodes (parse) -> values (Evaluator). A fault anywhere is a TemplateFault.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "model/template.hpp"

namespace sluice::tmpl {

// ---- values -----------------------------------------------------------------------------------

struct Value;
using List = std::vector<Value>;
using Map = std::map<std::string, Value>;

/// Looked up in an object and not there; becomes an error when it is used, but not by `default`.
struct Undefined {
    std::string what;
};
/// At load: a value whose type is known at run time only.
struct Any {};
struct DateTime {
    Instant at;
    std::string zone;  // "" = UTC; decides what fields and texts show
};
struct SecretName {
    std::string name;
};
/// Made by the filter `identifier`: may stand in SQL as it is.
struct Identifier {
    std::string text;
};
/// A name that leads on: `xcom`, `var.value`, `conn.shop`, `macros.json`, ...
struct Space {
    std::string path;
};
/// A function: of a space (`macros.ds_add`) or a method of a value.
struct Callable {
    std::string name;
    std::shared_ptr<const Value> self;  // nullptr = a function of a space
};

struct Value {
    std::variant<
        std::nullptr_t,
        bool,
        std::int64_t,
        double,
        std::string,
        DateTime,
        Duration,
        std::shared_ptr<const List>,
        std::shared_ptr<const Map>,
        Any,
        Undefined,
        SecretName,
        Identifier,
        Space,
        Callable>
        is{nullptr};

    template <class T>
    [[nodiscard]] const T* as() const {
        return std::get_if<T>(&is);
    }
    [[nodiscard]] const List* list() const {
        const auto* held = as<std::shared_ptr<const List>>();
        return held == nullptr ? nullptr : held->get();
    }
    [[nodiscard]] const Map* map() const {
        const auto* held = as<std::shared_ptr<const Map>>();
        return held == nullptr ? nullptr : held->get();
    }
    [[nodiscard]] bool any() const { return as<Any>() != nullptr; }
};

Value of_json(const nlohmann::json& value);
Value of_list(List list);
Value of_map(Map map);
Value text(std::string value);
/// Times as ISO 8601 text, secrets as placeholders; throws TemplateFault for what is no value.
nlohmann::json to_json(const Value& value);
/// As it stands in the middle of a text: strings bare, everything else as JSON.
std::string to_text(const Value& value);
bool truthy(const Value& value);
/// "text", "a number", "a time", ... for messages.
std::string kind(const Value& value);

// ---- faults -----------------------------------------------------------------------------------

/// Wrong in the template itself (a name, a type, the syntax) or only with these values.
enum class FaultKind { template_, value };

struct TemplateFault {
    std::string message;
    std::string suggestion{};
    FaultKind kind{FaultKind::template_};
    std::string code{"E-TEMPLATE"};
};
[[noreturn]] inline void fault(std::string message, std::string suggestion = {}) {
    throw TemplateFault{.message = std::move(message), .suggestion = std::move(suggestion)};
}
[[noreturn]] inline void value_fault(std::string message) {
    throw TemplateFault{.message = std::move(message), .kind = FaultKind::value};
}

// ---- syntax -----------------------------------------------------------------------------------

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind {
    literal,    // value
    name,       // text
    attribute,  // parts[0].text
    index,      // parts[0][parts[1]]
    call,       // parts[0](parts[1..], named)
    filter,     // parts[0] | text(parts[1..], named)
    unary,      // text: - + not
    binary,     // text: + - * / // % ~ == != < <= > >= in, not in, and, or
    choose,     // parts[0] if parts[1] else parts[2]
    test,       // parts[0] is [not] text
    list,       // parts
    dict,       // parts: key, value, key, value
};

struct Expr {
    ExprKind kind{ExprKind::literal};
    std::string text{};
    Value value{};
    std::vector<ExprPtr> parts{};
    std::vector<std::pair<std::string, ExprPtr>> named{};
};

struct Node;
using Nodes = std::vector<Node>;

enum class NodeKind { text, output, branch, loop };

struct Node {
    NodeKind kind{NodeKind::text};
    std::string text{};                             // text; loop: the variables, by commas
    ExprPtr expr{};                                 // output, loop
    std::vector<std::pair<ExprPtr, Nodes>> arms{};  // branch; a null condition is the else
    Nodes body{};                                   // loop
};

/// Throws TemplateFault.
Nodes parse(std::string_view text);

// ---- evaluation -------------------------------------------------------------------------------

/// Where the names of a template lead: real values, or at load samples.
/// A name whose content is fetched only when a template has it.
bool is_rare_name(std::string_view name);

class Names {
public:
    explicit Names(const RenderContext& context);
    /// Samples: what is known at run time only is Any.
    Names(const RenderContext& sample, const TemplateScope& scope);

    [[nodiscard]] bool sampling() const { return scope_ != nullptr; }
    Value root(const std::string& name) const;
    /// A member of a space.
    Value member(const Space& space, const std::string& key) const;
    Value xcom(const std::string& task_id, const std::string& key) const;
    /// A stable id for `macros.uuid.uuid4()`.
    std::string next_uuid() const;

private:
    Value time_text(const std::string& name) const;
    Value connection(const std::string& id, const std::string& key) const;
    [[nodiscard]] std::vector<std::string> root_names() const;
    Value map() const;
    Value previous(const std::string& name) const;
    Value rare(const std::string& name) const;
    Value dag_run() const;
    Value known_task(const std::string& task_id) const;

    const RenderContext& context_;
    const TemplateScope* scope_{nullptr};
    Value params_;
    Value conf_;
    mutable int uuids_{0};
};

/// Where rendered pieces go.
class Sink {
public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;
    virtual void text(std::string_view piece) = 0;
    virtual void value(const Value& value) = 0;
};

class Evaluator {
public:
    explicit Evaluator(const Names& names) : names_(names) {}

    Value evaluate(const Expr& expr);
    /// At load every branch is taken, and the faults are collected instead of thrown.
    void render(const Nodes& nodes, Sink& sink);
    std::vector<TemplateFault> faults;

private:
    Value binary(const Expr& expr);
    Value both(const Expr& expr);
    Value choose(const Expr& expr);
    Value attribute(const Value& value, const std::string& key);
    Value index(const Value& value, const Value& key);
    Value call(const Expr& expr);
    void render_node(const Node& node, Sink& sink);
    void render_loop(const Node& node, Sink& sink);
    template <class Work>
    void guarded(const Work& work);
    void step();

    const Names& names_;
    std::vector<std::pair<std::string, Value>> locals_;
    std::size_t steps_{0};
};

struct Arguments {
    std::vector<Value> values;
    std::map<std::string, Value> named;

    [[nodiscard]] const Value* find(std::size_t at, const std::string& name) const;
};

Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
Value call_function(const Callable& callable, const Arguments& arguments, const Names& names);
/// The member of a value that is no space; Undefined if an object has no such key.
Value member_of(const Value& value, const std::string& key);
Value arithmetic(const std::string& op, const Value& left, const Value& right);
bool equal(const Value& left, const Value& right);
bool less(const Value& left, const Value& right);

/// strftime and the usual texts, in the value's zone.
std::string format_time(const DateTime& time, const std::string& pattern);
std::string iso(const DateTime& time);
DateTime in_zone(const DateTime& time, const std::string& zone);
std::int64_t time_field(const DateTime& time, const std::string& field);  // -1 = no such field
Instant time_argument(const Value& value, std::string_view who);

}  // namespace sluice::tmpl
