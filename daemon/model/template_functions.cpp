// The methods of values and the macros of templates.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "model/template_calls.hpp"

namespace sluice::tmpl {

const Value* Arguments::find(std::size_t at, const std::string& name) const {
    if (at < values.size()) return &values[at];
    const auto found = named.find(name);
    return found == named.end() ? nullptr : &found->second;
}

const std::string& text_of(const Value& value, std::string_view who) {
    if (const auto* held = value.as<std::string>()) return *held;
    fault(fmt::format("{} needs text, {} is none", who, kind(value)));
}

std::int64_t whole_of(const Value& value, std::string_view who) {
    if (const auto* number = value.as<std::int64_t>()) return *number;
    fault(fmt::format("{} needs a whole number, {} is none", who, kind(value)));
}

const Value& argument(
    const Arguments& arguments, std::size_t at, const std::string& name, std::string_view who
) {
    const Value* found = arguments.find(at, name);
    if (found == nullptr) fault(fmt::format("{} needs the argument {}", who, name));
    return *found;
}

namespace {

// ---- methods ----------------------------------------------------------------------------------

std::optional<Value> text_method(
    const std::string& name, const Value& self, const Arguments& arguments
) {
    if (name == "upper") return upper_of(self, arguments);
    if (name == "lower") return lower_of(self, arguments);
    if (name == "strip") return trim_of(self, arguments);
    if (name == "replace") return replace(self, arguments);
    if (name == "split") return split(self, arguments);
    const auto& held = *self.as<std::string>();
    if (name == "startswith" || name == "endswith") {
        const auto& part = text_of(argument(arguments, 0, "prefix", name), name);
        return Value{name == "startswith" ? held.starts_with(part) : held.ends_with(part)};
    }
    if (name == "join") {
        return join(argument(arguments, 0, "list", name), {{self}, {}});
    }
    return std::nullopt;
}

Duration step_of(const Arguments& arguments, std::string_view who) {
    constexpr std::pair<const char*, std::int64_t> units[] = {
        {"weeks", 604'800'000'000},
        {"days", 86'400'000'000},
        {"hours", 3'600'000'000},
        {"minutes", 60'000'000},
        {"seconds", 1'000'000},
        {"milliseconds", 1'000},
        {"microseconds", 1},
    };
    std::int64_t sum = 0;
    std::map<std::string, Value> given = arguments.named;
    if (!arguments.values.empty()) given.emplace("days", arguments.values.front());
    for (const auto& [key, value] : given) {
        const auto unit =
            std::ranges::find(units, key, [](const auto& each) { return std::string(each.first); });
        if (unit == std::end(units))
            fault(
                fmt::format("{} does not know {}", who, key), "days, hours, minutes, seconds, weeks"
            );
        std::int64_t part{};
        if (__builtin_mul_overflow(whole_of(value, who), unit->second, &part) ||
            __builtin_add_overflow(sum, part, &sum))
            value_fault("the duration is too long");
    }
    return Duration{sum};
}

std::optional<Value> time_method(
    const std::string& name, const Value& self, const Arguments& arguments
) {
    const auto& time = *self.as<DateTime>();
    if (name == "strftime" || name == "format")
        return text(format_time(time, text_of(argument(arguments, 0, "format", name), name)));
    if (name == "isoformat") return text(iso(time));
    if (name == "date") return text(format_time(time, "%Y-%m-%d"));
    if (name == "timestamp") return Value{static_cast<double>(to_micros(time.at)) / 1e6};
    if (name == "int_timestamp") return Value{to_micros(time.at) / 1'000'000};
    if (name == "in_timezone" || name == "in_tz")
        return Value{in_zone(time, text_of(argument(arguments, 0, "zone", name), name))};
    if (name == "add") return arithmetic("+", self, Value{step_of(arguments, name)});
    if (name == "subtract") return arithmetic("-", self, Value{step_of(arguments, name)});
    return std::nullopt;
}

std::optional<Value> map_method(
    const std::string& name, const Value& self, const Arguments& arguments
) {
    const Map& map = *self.map();
    if (name == "get") {
        const auto found = map.find(text_of(argument(arguments, 0, "key", name), name));
        if (found != map.end()) return found->second;
        const Value* other = arguments.find(1, "default");
        return other == nullptr ? Value{} : *other;
    }
    List out;
    for (const auto& [key, value] : map) {
        if (name == "keys") out.push_back(text(key));
        if (name == "values") out.push_back(value);
        if (name == "items") out.push_back(of_list({text(key), value}));
    }
    if (name == "keys" || name == "values" || name == "items") return of_list(std::move(out));
    return std::nullopt;
}

const std::vector<std::string>& methods_of(const Value& self) {
    static const std::vector<std::string> texts{
        "upper", "lower", "strip", "replace", "split", "startswith", "endswith", "join"
    };
    static const std::vector<std::string> times{
        "strftime",
        "format",
        "isoformat",
        "date",
        "timestamp",
        "int_timestamp",
        "in_timezone",
        "in_tz",
        "add",
        "subtract"
    };
    static const std::vector<std::string> maps{"get", "keys", "values", "items"};
    static const std::vector<std::string> none;
    if (self.as<std::string>() != nullptr) return texts;
    if (self.as<DateTime>() != nullptr) return times;
    if (self.map() != nullptr) return maps;
    return none;
}

// ---- macros -----------------------------------------------------------------------------------

/// strptime for the directives that dates in files use; strict.
Instant read_time(const std::string& held, const std::string& pattern) {
    int year = 1970;
    int parts[5] = {1, 1, 0, 0, 0};  // month day hour minute second
    std::size_t at = 0;
    const auto digits = [&](std::size_t most) {
        const std::size_t start = at;
        while (at < held.size() && at - start < most && held[at] >= '0' && held[at] <= '9') ++at;
        int number{};
        if (at == start ||
            std::from_chars(held.data() + start, held.data() + at, number).ec != std::errc{})
            value_fault(fmt::format("\"{}\" does not fit \"{}\"", held, pattern));
        return number;
    };
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%' || i + 1 == pattern.size()) {
            if (at >= held.size() || held[at] != pattern[i])
                value_fault(fmt::format("\"{}\" does not fit \"{}\"", held, pattern));
            ++at;
            continue;
        }
        const char letter = pattern[++i];
        const auto place = std::string_view("mdHMS").find(letter);
        if (letter == 'Y')
            year = digits(4);
        else if (letter == 'y')
            year = 2000 + digits(2);
        else if (place != std::string_view::npos)
            parts[place] = digits(2);
        else
            fault(fmt::format("ds_format does not read %{}", letter), "%Y %y %m %d %H %M %S");
    }
    const std::string out = fmt::format(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        year,
        parts[0],
        parts[1],
        parts[2],
        parts[3],
        parts[4]
    );
    const auto parsed = parse_time(out);
    if (!parsed || at != held.size())
        value_fault(fmt::format("\"{}\" does not fit \"{}\"", held, pattern));
    return parsed->at;
}

Value ds_add(const Arguments& arguments) {
    const auto start = time_argument(argument(arguments, 0, "ds", "ds_add"), "ds_add");
    const auto days = whole_of(argument(arguments, 1, "days", "ds_add"), "ds_add");
    std::int64_t step{};
    if (__builtin_mul_overflow(days, std::int64_t{86'400'000'000}, &step))
        value_fault("the time is out of range");
    const auto sum = arithmetic("+", Value{DateTime{start, ""}}, Value{Duration{step}});
    return text(format_time(*sum.as<DateTime>(), "%Y-%m-%d"));
}

Value make_time(const Arguments& arguments) {
    constexpr const char* names[] = {"year", "month", "day", "hour", "minute", "second"};
    std::int64_t parts[] = {0, 1, 1, 0, 0, 0};
    for (std::size_t i = 0; i < 6; ++i) {
        const Value* found = arguments.find(i, names[i]);
        if (found == nullptr && i < 3)
            fault(fmt::format("datetime needs the argument {}", names[i]));
        if (found != nullptr) parts[i] = whole_of(*found, "datetime");
    }
    const auto parsed = parse_time(fmt::format(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        parts[0],
        parts[1],
        parts[2],
        parts[3],
        parts[4],
        parts[5]
    ));
    if (!parsed) value_fault("there is no such time");
    return Value{DateTime{parsed->at, ""}};
}

Value load_json(const Arguments& arguments) {
    const auto& held = text_of(argument(arguments, 0, "text", "json.loads"), "json.loads");
    const auto document = read_json(held, "", {text_max, 64});
    if (document.value == nullptr) value_fault("json.loads: " + document.problems.front().message);
    return of_json(*document.value);
}

Value xcom_pull(const Arguments& arguments, const Names& names) {
    const Value& tasks = argument(arguments, 0, "task_ids", "xcom_pull");
    const Value* key = arguments.find(1, "key");
    const std::string which = key == nullptr ? "return_value" : text_of(*key, "xcom_pull");
    if (const auto* list = tasks.list()) {
        List out;
        for (const auto& task : *list) out.push_back(names.xcom(text_of(task, "xcom_pull"), which));
        return of_list(std::move(out));
    }
    return names.xcom(text_of(tasks, "xcom_pull"), which);
}

}  // namespace

Value member_of(const Value& value, const std::string& key) {
    if (value.any()) return value;
    if (const auto* map = value.map()) {
        if (const auto found = map->find(key); found != map->end()) return found->second;
    }
    const auto& methods = methods_of(value);
    if (std::ranges::find(methods, key) != methods.end())
        return Value{Callable{key, std::make_shared<const Value>(value)}};
    if (const auto* time = value.as<DateTime>()) {
        if (const auto field = time_field(*time, key); field >= 0) return Value{field};
        fault(fmt::format("a time has no \"{}\"", key), did_you_mean(key, methods));
    }
    if (value.map() != nullptr) return Value{Undefined{fmt::format("the key \"{}\"", key)}};
    if (const auto* undefined = value.as<Undefined>())
        value_fault(fmt::format("{} is not defined", undefined->what));
    if (value.as<std::nullptr_t>() != nullptr)
        value_fault(fmt::format("\"{}\" is asked of null", key));
    fault(fmt::format("{} has no \"{}\"", kind(value), key), did_you_mean(key, methods));
}

Value call_function(const Callable& callable, const Arguments& arguments, const Names& names) {
    const auto& name = callable.name;
    if (callable.self != nullptr) {
        const Value& self = *callable.self;
        std::optional<Value> out;
        if (self.as<std::string>() != nullptr) out = text_method(name, self, arguments);
        if (self.as<DateTime>() != nullptr) out = time_method(name, self, arguments);
        if (self.map() != nullptr) out = map_method(name, self, arguments);
        if (out) return *out;
    }
    if (name == "xcom_pull") return xcom_pull(arguments, names);
    if (name == "macros.ds_add") return ds_add(arguments);
    if (name == "macros.ds_format") {
        const auto& held = text_of(argument(arguments, 0, "ds", "ds_format"), "ds_format");
        const auto& from =
            text_of(argument(arguments, 1, "input_format", "ds_format"), "ds_format");
        const auto& to = text_of(argument(arguments, 2, "output_format", "ds_format"), "ds_format");
        return text(format_time({read_time(held, from), ""}, to));
    }
    if (name == "macros.datetime") return make_time(arguments);
    if (name == "macros.timedelta") return Value{step_of(arguments, "timedelta")};
    if (name == "macros.json.dumps")
        return text(canonical_json(to_json(argument(arguments, 0, "obj", "json.dumps"))));
    if (name == "macros.json.loads") return load_json(arguments);
    if (name == "macros.uuid.uuid4") return text(names.next_uuid());
    fault(fmt::format("{} is not a function", name));
}

}  // namespace sluice::tmpl
