#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "model/template_parts.hpp"

namespace sluice::tmpl {
namespace {

constexpr std::size_t steps_max = 200'000;

bool is_literal_text(const Expr& expr) {
    return expr.kind == ExprKind::literal && expr.value.as<std::string>() != nullptr;
}

/// What is read from outside is known before rendering, so its name must be written out.
void require_literal(const Expr& expr, std::string_view what) {
    if (is_literal_text(expr)) return;
    if (expr.kind == ExprKind::list) {
        for (const auto& part : expr.parts) require_literal(*part, what);
        return;
    }
    fault(fmt::format("the name after {} must be written out, in quotes", what));
}

/// At load: the keys of these objects are all known, `params.x` and `dag.x` must be among them.
void require_known(
    const std::string& root, const Value& value, const std::string& key, const Value& found
) {
    if (root != "params" && root != "dag" && root != "task" && root != "dag_run" && root != "map")
        return;
    if (found.as<Undefined>() == nullptr) return;
    std::vector<std::string> known;
    for (const auto& [name, child] : *value.map()) known.push_back(name);
    fault(fmt::format("{} has no \"{}\"", root, key), did_you_mean(key, known));
}

bool test(const std::string& what, const Value& value) {
    if (what == "defined") return value.as<Undefined>() == nullptr;
    if (what == "undefined") return value.as<Undefined>() != nullptr;
    if (what == "none") return value.as<std::nullptr_t>() != nullptr;
    if (what == "string") return value.as<std::string>() != nullptr;
    if (what == "number")
        return value.as<std::int64_t>() != nullptr || value.as<double>() != nullptr;
    if (what == "mapping") return value.map() != nullptr;
    if (what == "sequence") return value.list() != nullptr;
    const auto* flag = value.as<bool>();
    return flag != nullptr && *flag == (what == "true");
}

bool contains(const Value& where, const Value& what) {
    if (const auto* list = where.list()) {
        for (const auto& each : *list)
            if (equal(each, what)) return true;
        return false;
    }
    const auto* key = what.as<std::string>();
    if (const auto* map = where.map()) return key != nullptr && map->contains(*key);
    if (const auto* held = where.as<std::string>(); held != nullptr && key != nullptr)
        return held->find(*key) != std::string::npos;
    fault(fmt::format("{} cannot be in {}", kind(what), kind(where)));
}

bool is_true(const Value& value) { return value.any() || truthy(value); }

}  // namespace

void Evaluator::step() {
    if (++steps_ > steps_max) value_fault("the template does too much work");
}

Value Evaluator::evaluate(const Expr& expr) {
    step();
    switch (expr.kind) {
        case ExprKind::literal:
            return expr.value;
        case ExprKind::name:
            for (auto local = locals_.rbegin(); local != locals_.rend(); ++local)
                if (local->first == expr.text) return local->second;
            return names_.root(expr.text);
        case ExprKind::attribute: {
            const Value value = evaluate(*expr.parts[0]);
            Value found = attribute(value, expr.text);
            if (names_.sampling() && expr.parts[0]->kind == ExprKind::name)
                require_known(expr.parts[0]->text, value, expr.text, found);
            return found;
        }
        case ExprKind::index: {
            const Value value = evaluate(*expr.parts[0]);
            if (const auto* space = value.as<Space>()) require_literal(*expr.parts[1], space->path);
            return index(value, evaluate(*expr.parts[1]));
        }
        case ExprKind::call:
        case ExprKind::filter:
            return call(expr);
        case ExprKind::unary: {
            Value value = evaluate(*expr.parts[0]);
            if (value.any()) return value;
            if (expr.text == "not") return Value{!truthy(value)};
            if (value.as<Duration>() != nullptr)
                return arithmetic("*", value, Value{std::int64_t{expr.text == "-" ? -1 : 1}});
            return arithmetic(expr.text, Value{std::int64_t{0}}, value);
        }
        case ExprKind::binary:
            return binary(expr);
        case ExprKind::choose:
            return choose(expr);
        case ExprKind::test: {
            const Value value = evaluate(*expr.parts[0]);
            return value.any() ? value : Value{test(expr.text, value)};
        }
        case ExprKind::list: {
            List list;
            for (const auto& part : expr.parts) list.push_back(evaluate(*part));
            return of_list(std::move(list));
        }
        case ExprKind::dict: {
            Map map;
            for (std::size_t i = 0; i + 1 < expr.parts.size(); i += 2)
                map[to_text(evaluate(*expr.parts[i]))] = evaluate(*expr.parts[i + 1]);
            return of_map(std::move(map));
        }
    }
    return {};
}

Value Evaluator::both(const Expr& expr) {
    const Value left = evaluate(*expr.parts[0]);
    if (names_.sampling()) {
        // Both sides count at load, so that a wrong name on the second is found.
        (void)evaluate(*expr.parts[1]);
        return Value{Any{}};
    }
    const bool decided = truthy(left) == (expr.text == "or");
    return decided ? left : evaluate(*expr.parts[1]);
}

Value Evaluator::binary(const Expr& expr) {
    const auto& op = expr.text;
    if (op == "and" || op == "or") return both(expr);
    const Value left = evaluate(*expr.parts[0]);
    const Value right = evaluate(*expr.parts[1]);
    for (const Value* side : {&left, &right}) {
        if (const auto* undefined = side->as<Undefined>())
            value_fault(fmt::format("{} is not defined", undefined->what));
        if (side->as<SecretName>() != nullptr && op != "~")
            fault("nothing can be done with a secret but passing it on");
    }
    if (left.any() || right.any()) return Value{Any{}};
    if (op == "==") return Value{equal(left, right)};
    if (op == "!=") return Value{!equal(left, right)};
    if (op == "<") return Value{less(left, right)};
    if (op == ">") return Value{less(right, left)};
    if (op == "<=") return Value{!less(right, left)};
    if (op == ">=") return Value{!less(left, right)};
    if (op == "in") return Value{contains(right, left)};
    if (op == "not in") return Value{!contains(right, left)};
    Value out = arithmetic(op, left, right);
    constexpr std::size_t text_max = 1U << 20;
    if (const auto* held = out.as<std::string>(); held != nullptr && held->size() > text_max)
        value_fault("the text is larger than 1 MiB");
    return out;
}

Value Evaluator::choose(const Expr& expr) {
    const Value condition = evaluate(*expr.parts[1]);
    if (!names_.sampling()) return evaluate(*expr.parts[truthy(condition) ? 0 : 2]);
    Value first = evaluate(*expr.parts[0]);
    const Value second = evaluate(*expr.parts[2]);
    return first.is.index() == second.is.index() ? first : Value{Any{}};
}

Value Evaluator::attribute(const Value& value, const std::string& key) {
    if (const auto* space = value.as<Space>()) return names_.member(*space, key);
    if (names_.sampling()) {
        // A key that the default of a param lacks may be in the run's conf: only `params.x` itself
        // must be known.
        if (value.as<Undefined>() != nullptr) return Value{Any{}};
    }
    return member_of(value, key);
}

Value Evaluator::index(const Value& value, const Value& key) {
    if (value.any() || key.any()) return Value{Any{}};
    if (const auto* name = key.as<std::string>()) return attribute(value, *name);
    const auto* at = key.as<std::int64_t>();
    const auto* list = value.list();
    if (at == nullptr || list == nullptr)
        fault(fmt::format("{} has no item {}", kind(value), to_text(key)));
    const auto size = static_cast<std::int64_t>(list->size());
    const auto place = *at < 0 ? *at + size : *at;
    if (place >= 0 && place < size) return (*list)[static_cast<std::size_t>(place)];
    return Value{Undefined{fmt::format("item {} of a list of {}", *at, size)}};
}

Value Evaluator::call(const Expr& expr) {
    const Value head = evaluate(*expr.parts[0]);
    const auto* callable = head.as<Callable>();
    const bool is_filter = expr.kind == ExprKind::filter;
    if (!is_filter && callable == nullptr) {
        if (head.any()) fault("what is not known before the run cannot be called");
        fault(fmt::format("{} cannot be called", kind(head)));
    }
    Arguments arguments;
    bool any = false;
    for (std::size_t i = 1; i < expr.parts.size(); ++i) {
        arguments.values.push_back(evaluate(*expr.parts[i]));
        any = any || arguments.values.back().any();
    }
    for (const auto& [key, part] : expr.named) {
        arguments.named[key] = evaluate(*part);
        any = any || arguments.named[key].any();
    }
    if (is_filter) {
        const bool sampled = names_.sampling() && (any || head.as<Undefined>() != nullptr);
        return apply_filter(expr.text, sampled ? Value{Any{}} : head, arguments);
    }
    if (callable->name == "xcom_pull" || callable->name.starts_with("var.")) {
        if (expr.parts.size() > 1) require_literal(*expr.parts[1], callable->name);
        for (const auto& [key, part] : expr.named)
            if (key == "task_ids") require_literal(*part, callable->name);
    }
    if (callable->name.starts_with("var.")) {
        const Value* key = arguments.find(0, "key");
        if (key == nullptr) fault("get needs a name");
        const Value* other = arguments.find(1, "default_var");
        const Space space{callable->name.substr(0, callable->name.size() - 4)};
        Value found = names_.member(space, to_text(*key));
        return found.as<Undefined>() != nullptr && other != nullptr ? *other : found;
    }
    if (any) return Value{Any{}};
    return call_function(*callable, arguments, names_);
}

template <class Work>
void Evaluator::guarded(const Work& work) {
    if (!names_.sampling()) return work();
    try {
        work();
    } catch (const TemplateFault& found) {
        // With other values it may be right: only the real ones count.
        if (found.kind == FaultKind::template_) faults.push_back(found);
    }
}

void Evaluator::render(const Nodes& nodes, Sink& sink) {
    for (const auto& node : nodes) render_node(node, sink);
}

void Evaluator::render_node(const Node& node, Sink& sink) {
    step();
    switch (node.kind) {
        case NodeKind::text:
            guarded([&] { sink.text(node.text); });
            return;
        case NodeKind::output:
            guarded([&] { sink.value(evaluate(*node.expr)); });
            return;
        case NodeKind::branch:
            for (const auto& [condition, body] : node.arms) {
                bool taken = condition == nullptr;
                guarded([&] { taken = taken || is_true(evaluate(*condition)); });
                if (names_.sampling()) {
                    render(body, sink);
                } else if (taken) {
                    return render(body, sink);
                }
            }
            return;
        case NodeKind::loop: {
            const std::size_t before = locals_.size();
            guarded([&] { render_loop(node, sink); });
            locals_.erase(locals_.begin() + static_cast<std::ptrdiff_t>(before), locals_.end());
        }
            return;
    }
}

void Evaluator::render_loop(const Node& node, Sink& sink) {
    const Value over = evaluate(*node.expr);
    std::vector<std::string> variables;
    for (std::size_t from = 0; from <= node.text.size();) {
        const auto comma = std::min(node.text.find(',', from), node.text.size());
        variables.push_back(node.text.substr(from, comma - from));
        from = comma + 1;
    }
    List items;
    if (const auto* list = over.list()) {
        items = *list;
    } else if (const auto* map = over.map()) {
        for (const auto& [key, value] : *map) items.push_back(text(key));
    } else if (!over.any()) {
        if (over.as<Undefined>() != nullptr) value_fault("what {% for %} goes over is not defined");
        fault(fmt::format("{{% for %}} goes over a list, not over {}", kind(over)));
    }
    if (names_.sampling() && items.size() != 1)
        items.assign(1, items.empty() ? Value{Any{}} : items.front());
    for (const auto& item : items) {
        const std::size_t before = locals_.size();
        if (variables.size() == 1) {
            locals_.emplace_back(variables.front(), item);
        } else {
            const auto* parts = item.list();
            if (!item.any() && (parts == nullptr || parts->size() != variables.size()))
                fault(fmt::format("an item of {{% for %}} does not have {} parts", variables.size())
                );
            for (std::size_t i = 0; i < variables.size(); ++i)
                locals_.emplace_back(variables[i], parts == nullptr ? item : (*parts)[i]);
        }
        render(node.body, sink);
        locals_.erase(locals_.begin() + static_cast<std::ptrdiff_t>(before), locals_.end());
    }
}

}  // namespace sluice::tmpl
