#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "model/template_parts.hpp"

namespace sluice::tmpl {

using nlohmann::json;

namespace {

template <class... Parts>
struct Overload : Parts... {
    using Parts::operator()...;
};
template <class... Parts>
Overload(Parts...) -> Overload<Parts...>;

}  // namespace

Value text(std::string value) { return Value{std::move(value)}; }
Value of_list(List list) { return Value{std::make_shared<const List>(std::move(list))}; }
Value of_map(Map map) { return Value{std::make_shared<const Map>(std::move(map))}; }

Value of_json(const json& value) {
    switch (value.type()) {
        case json::value_t::null:
        case json::value_t::binary:
        case json::value_t::discarded:
            return Value{};
        case json::value_t::boolean:
            return Value{value.get<bool>()};
        case json::value_t::number_integer:
        case json::value_t::number_unsigned:
            return Value{value.get<std::int64_t>()};
        case json::value_t::number_float:
            return Value{value.get<double>()};
        case json::value_t::string:
            return text(value.get<std::string>());
        case json::value_t::array: {
            List list;
            for (const auto& child : value) list.push_back(of_json(child));
            return of_list(std::move(list));
        }
        case json::value_t::object: {
            Map map;
            for (const auto& [key, child] : value.items()) map.emplace(key, of_json(child));
            return of_map(std::move(map));
        }
    }
    return Value{};
}

json to_json(const Value& value) {
    return std::visit(
        Overload{
            [](std::nullptr_t) -> json { return nullptr; },
            [](bool is) -> json { return is; },
            [](std::int64_t number) -> json { return number; },
            [](double number) -> json { return number; },
            [](const std::string& held) -> json { return held; },
            [](const DateTime& time) -> json { return iso(time); },
            [](const Duration& duration) -> json { return format_duration(duration); },
            [](const std::shared_ptr<const List>& list) -> json {
                json out = json::array();
                for (const auto& child : *list) out.push_back(to_json(child));
                return out;
            },
            [](const std::shared_ptr<const Map>& map) -> json {
                json out = json::object();
                for (const auto& [key, child] : *map) out[key] = to_json(child);
                return out;
            },
            [](const Any&) -> json { return nullptr; },
            [](const Undefined& undefined) -> json {
                value_fault(fmt::format("{} is not defined", undefined.what));
            },
            [](const SecretName& secret) -> json { return secret_placeholder(secret.name); },
            [](const Identifier& identifier) -> json { return identifier.text; },
            [](const Space& space) -> json {
                fault(fmt::format("{} is not a value: name what is in it", space.path));
            },
            [](const Callable& callable) -> json {
                fault(fmt::format("{} is a function: call it", callable.name));
            },
        },
        value.is
    );
}

std::string to_text(const Value& value) {
    if (const auto* held = value.as<std::string>()) return *held;
    const json out = to_json(value);
    return out.is_string() ? out.get<std::string>() : canonical_json(out);
}

bool truthy(const Value& value) {
    if (const auto* flag = value.as<bool>()) return *flag;
    if (const auto* number = value.as<std::int64_t>()) return *number != 0;
    if (const auto* number = value.as<double>()) return *number != 0;
    if (const auto* held = value.as<std::string>()) return !held->empty();
    if (const auto* list = value.list()) return !list->empty();
    if (const auto* map = value.map()) return !map->empty();
    if (const auto* undefined = value.as<Undefined>())
        value_fault(fmt::format("{} is not defined", undefined->what));
    return value.as<std::nullptr_t>() == nullptr;
}

std::string kind(const Value& value) {
    return std::visit(
        Overload{
            [](std::nullptr_t) { return "null"; },
            [](bool) { return "true or false"; },
            [](std::int64_t) { return "a whole number"; },
            [](double) { return "a number"; },
            [](const std::string&) { return "text"; },
            [](const DateTime&) { return "a time"; },
            [](const Duration&) { return "a duration"; },
            [](const std::shared_ptr<const List>&) { return "a list"; },
            [](const std::shared_ptr<const Map>&) { return "an object"; },
            [](const Any&) { return "a value"; },
            [](const Undefined&) { return "undefined"; },
            [](const SecretName&) { return "a secret"; },
            [](const Identifier&) { return "an identifier"; },
            [](const Space&) { return "a group of names"; },
            [](const Callable&) { return "a function"; },
        },
        value.is
    );
}

namespace {

std::optional<double> number_of(const Value& value) {
    if (const auto* number = value.as<std::int64_t>()) return static_cast<double>(*number);
    if (const auto* number = value.as<double>()) return *number;
    return std::nullopt;
}

Value whole_arithmetic(const std::string& op, std::int64_t a, std::int64_t b) {
    std::int64_t out{};
    bool overflow = false;
    if (op == "+") overflow = __builtin_add_overflow(a, b, &out);
    if (op == "-") overflow = __builtin_sub_overflow(a, b, &out);
    if (op == "*") overflow = __builtin_mul_overflow(a, b, &out);
    if (op == "/" || op == "//" || op == "%") {
        if (b == 0) value_fault("division by zero");
        if (op == "/") return Value{static_cast<double>(a) / static_cast<double>(b)};
        if (b == -1) {  // INT64_MIN / -1 does not fit
            if (op == "%") return Value{std::int64_t{0}};
            overflow = __builtin_sub_overflow(std::int64_t{0}, a, &out);
        } else {
            // As in Python: the quotient is rounded down, the rest has the sign of the divisor.
            const std::int64_t rest = a % b;
            const bool down = rest != 0 && (rest < 0) != (b < 0);
            out = op == "//" ? a / b - (down ? 1 : 0) : rest + (down ? b : 0);
        }
    }
    if (overflow) value_fault("the number is too large");
    return Value{out};
}

Value time_arithmetic(const std::string& op, const Value& left, const Value& right) {
    const auto* at = left.as<DateTime>();
    const auto* other = right.as<DateTime>();
    const auto* step = right.as<Duration>();
    std::int64_t out{};
    bool overflow = false;
    if (at != nullptr && other != nullptr && op == "-") {
        overflow = __builtin_sub_overflow(to_micros(at->at), to_micros(other->at), &out);
        if (!overflow) return Value{Duration{out}};
    } else if (at != nullptr && step != nullptr && (op == "+" || op == "-")) {
        overflow = op == "+" ? __builtin_add_overflow(to_micros(at->at), step->count(), &out)
                             : __builtin_sub_overflow(to_micros(at->at), step->count(), &out);
        // Years 1 to 9999, as dates in files and databases have them.
        constexpr std::int64_t least = -62135596800000000;
        constexpr std::int64_t most = 253402300799999999;
        if (!overflow && out >= least && out <= most)
            return Value{DateTime{from_micros(out), at->zone}};
        overflow = true;
    } else if (const auto* first = left.as<Duration>(); first != nullptr && step != nullptr) {
        if (op == "+") overflow = __builtin_add_overflow(first->count(), step->count(), &out);
        if (op == "-") overflow = __builtin_sub_overflow(first->count(), step->count(), &out);
        if ((op == "+" || op == "-") && !overflow) return Value{Duration{out}};
        if (op == "/" && step->count() != 0)
            return Value{static_cast<double>(first->count()) / static_cast<double>(step->count())};
    } else if (const auto* factor = right.as<std::int64_t>();
               first != nullptr && factor != nullptr && op == "*") {
        overflow = __builtin_mul_overflow(first->count(), *factor, &out);
        if (!overflow) return Value{Duration{out}};
    }
    if (overflow) value_fault("the time is out of range");
    fault(fmt::format("{} {} {} has no meaning", kind(left), op, kind(right)));
}

}  // namespace

Value arithmetic(const std::string& op, const Value& left, const Value& right) {
    if (op == "~") return text(to_text(left) + to_text(right));
    const auto* a = left.as<std::int64_t>();
    const auto* b = right.as<std::int64_t>();
    if (a != nullptr && b != nullptr) return whole_arithmetic(op, *a, *b);
    const auto x = number_of(left);
    const auto y = number_of(right);
    if (x && y) {
        double out{};
        if (op == "+") out = *x + *y;
        if (op == "-") out = *x - *y;
        if (op == "*") out = *x * *y;
        if (op == "/" || op == "//" || op == "%") {
            if (*y == 0) value_fault("division by zero");
            out = *x / *y;
            if (op != "/") out = std::floor(out);
            if (op == "%") out = *x - out * *y;
        }
        if (!std::isfinite(out)) value_fault("the number is too large");
        return Value{out};
    }
    if (op == "+" && left.as<std::string>() != nullptr && right.as<std::string>() != nullptr)
        return text(*left.as<std::string>() + *right.as<std::string>());
    if (op == "+" && left.list() != nullptr && right.list() != nullptr) {
        List out = *left.list();
        out.insert(out.end(), right.list()->begin(), right.list()->end());
        return of_list(std::move(out));
    }
    return time_arithmetic(op, left, right);
}

bool equal(const Value& left, const Value& right) {
    const auto x = number_of(left);
    const auto y = number_of(right);
    if (x && y) {
        const auto* a = left.as<std::int64_t>();
        const auto* b = right.as<std::int64_t>();
        return a != nullptr && b != nullptr ? *a == *b : *x == *y;
    }
    const auto* a = left.as<DateTime>();
    const auto* b = right.as<DateTime>();
    if (a != nullptr && b != nullptr) return a->at == b->at;
    if (left.as<SecretName>() != nullptr || right.as<SecretName>() != nullptr)
        fault("a secret cannot be compared");
    return left.is.index() == right.is.index() && to_json(left) == to_json(right);
}

bool less(const Value& left, const Value& right) {
    const auto x = number_of(left);
    const auto y = number_of(right);
    if (x && y) {
        const auto* a = left.as<std::int64_t>();
        const auto* b = right.as<std::int64_t>();
        return a != nullptr && b != nullptr ? *a < *b : *x < *y;
    }
    if (const auto *a = left.as<std::string>(), *b = right.as<std::string>();
        a != nullptr && b != nullptr)
        return *a < *b;
    if (const auto *a = left.as<DateTime>(), *b = right.as<DateTime>();
        a != nullptr && b != nullptr)
        return a->at < b->at;
    if (const auto *a = left.as<Duration>(), *b = right.as<Duration>();
        a != nullptr && b != nullptr)
        return *a < *b;
    fault(fmt::format("{} and {} cannot be compared", kind(left), kind(right)));
}

}  // namespace sluice::tmpl
