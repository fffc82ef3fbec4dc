#include "base/fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sluice {

using nlohmann::json;

Problems::Problems(std::string file, std::shared_ptr<const SourceMap> map)
    : file_(std::move(file)), map_(std::move(map)) {}

void Problems::add(Problem problem) {
    const bool is_error = problem.severity == Severity::error;
    if (!seen_
             .insert(
                 problem.code + '\n' + problem.pointer + '\n' +
                 (problem.code == "E-TEMPLATE" ? problem.message : std::string{})
             )
             .second)
        return;
    if (problem.file.empty()) problem.file = file_;
    if (problem.line == 0 && map_ != nullptr && problem.file == file_) {
        // Keys that should not be there are shown where the key stands, values where they begin.
        const bool at_key = problem.code == "E-UNKNOWN-KEY" || problem.code == "E-NOT-YET";
        const auto at = at_key ? map_->key(problem.pointer) : map_->value(problem.pointer);
        problem.line = at.line;
        problem.column = at.column;
    }
    errors_ += is_error ? 1 : 0;
    problems_.push_back(std::move(problem));
}

void Problems::error(
    std::string code, std::string pointer, std::string message, std::string suggestion
) {
    add(
        {.code = std::move(code),
         .severity = Severity::error,
         .file = {},
         .pointer = std::move(pointer),
         .message = std::move(message),
         .suggestion = std::move(suggestion)}
    );
}

void Problems::warning(
    std::string code, std::string pointer, std::string message, std::string suggestion
) {
    add(
        {.code = std::move(code),
         .severity = Severity::warning,
         .file = {},
         .pointer = std::move(pointer),
         .message = std::move(message),
         .suggestion = std::move(suggestion)}
    );
}

void Problems::key_error(
    std::string code, std::string pointer, std::string message, std::string suggestion
) {
    Problem problem{
        .code = std::move(code),
        .severity = Severity::error,
        .file = {},
        .pointer = std::move(pointer),
        .message = std::move(message),
        .suggestion = std::move(suggestion)
    };
    if (map_ != nullptr) {
        const auto at = map_->key(problem.pointer);
        problem.line = at.line;
        problem.column = at.column;
    }
    add(std::move(problem));
}

std::vector<Problem> Problems::take() {
    std::ranges::stable_sort(problems_, [](const Problem& a, const Problem& b) {
        return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    seen_.clear();
    errors_ = 0;
    return std::exchange(problems_, {});
}

namespace {

/// Edit distance with transpositions (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + same});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

/// What other orchestrators' files call it, and what it is called here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 21> other_names{{
    {"depends_on", "upstream"},
    {"depends", "upstream"},
    {"dependencies", "upstream"},
    {"needs", "upstream"},
    {"after", "upstream"},
    {"upstream_task_ids", "upstream"},
    {"upstream_tasks", "upstream"},
    {"schedule_interval", "schedule"},
    {"timetable", "schedule"},
    {"cron", "schedule"},
    {"type", "operator"},
    {"task_type", "operator"},
    {"operator_name", "operator"},
    {"id", "task_id"},
    {"id", "dag_id"},
    {"name", "task_id"},
    {"name", "dag_id"},
    {"steps", "tasks"},
    {"jobs", "tasks"},
    {"timeout", "execution_timeout"},
    {"max_retries", "retries"},
}};

}  // namespace

std::string did_you_mean(std::string_view written, const std::vector<std::string>& known) {
    constexpr std::size_t length_max = 64;
    if (written.empty() || written.size() > length_max) return {};
    const std::string low = lower(written);
    for (const auto& [theirs, ours] : other_names)
        if (low == theirs && std::ranges::find(known, ours) != known.end())
            return fmt::format("did you mean \"{}\"?", ours);
    std::size_t best = std::max<std::size_t>(1, written.size() / 3) + 1;
    const std::string* nearest = nullptr;
    for (const auto& candidate : known) {
        if (candidate.size() > length_max) continue;
        const std::size_t distance = edit_distance(low, lower(candidate));
        if (distance < best && distance < candidate.size()) {
            best = distance;
            nearest = &candidate;
        }
    }
    if (nearest == nullptr && written.size() >= 4)  // "command" for "bash_command"
        for (const auto& candidate : known)
            if (lower(candidate).find(low) != std::string::npos) {
                nearest = &candidate;
                break;
            }
    return nearest == nullptr ? std::string{} : fmt::format("did you mean \"{}\"?", *nearest);
}

std::string type_name(const json& value) {
    switch (value.type()) {
        case json::value_t::null:
            return "null";
        case json::value_t::object:
            return "an object";
        case json::value_t::array:
            return "a list";
        case json::value_t::string:
            return "a string";
        case json::value_t::boolean:
            return "a boolean";
        case json::value_t::number_integer:
        case json::value_t::number_unsigned:
            return "a whole number";
        case json::value_t::number_float:
            return "a number";
        case json::value_t::binary:
        case json::value_t::discarded:
            break;
    }
    return "nothing";
}

std::optional<std::int64_t> parse_size(std::string_view text) {
    double amount{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
    if (error != std::errc{} || amount < 0 || !std::isfinite(amount)) return std::nullopt;
    auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
    while (unit.starts_with(' ')) unit.remove_prefix(1);
    constexpr std::pair<std::string_view, double> units[] = {
        {"B", 1},
        {"kB", 1e3},
        {"KB", 1e3},
        {"MB", 1e6},
        {"GB", 1e9},
        {"TB", 1e12},
        {"KiB", 1024.0},
        {"MiB", 1024.0 * 1024},
        {"GiB", 1024.0 * 1024 * 1024},
        {"TiB", 1024.0 * 1024 * 1024 * 1024},
    };
    for (const auto& [name, factor] : units) {
        if (unit != name) continue;
        const double bytes = std::round(amount * factor);
        if (bytes > 9e18) return std::nullopt;
        return static_cast<std::int64_t>(bytes);
    }
    return std::nullopt;
}

Fields::Fields(const json& value, std::string pointer, Problems& problems)
    : value_(value), pointer_(std::move(pointer)), problems_(problems) {
    if (!value_.is_object()) {
        problems_.error(
            "E-TYPE",
            pointer_,
            fmt::format("{} stands here, an object is expected", type_name(value_))
        );
    }
}

std::string Fields::pointer(std::string_view key) const { return child_pointer(pointer_, key); }

const json* Fields::find(std::string_view key) {
    known_.emplace_back(key);
    if (!value_.is_object()) return nullptr;
    const auto found = value_.find(std::string(key));
    return found == value_.end() ? nullptr : &*found;
}

void Fields::wrong_type(std::string_view key, std::string_view expected, const json& value) {
    problems_.error(
        "E-TYPE",
        pointer(key),
        fmt::format("\"{}\" is {}, {} is expected", key, type_name(value), expected)
    );
}

bool Fields::has(std::string_view key) { return find(key) != nullptr; }
const json* Fields::any(std::string_view key) { return find(key); }

const json* Fields::object(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr || value->is_object()) return value;
    wrong_type(key, "an object", *value);
    return nullptr;
}

const json* Fields::array(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr || value->is_array()) return value;
    wrong_type(key, "a list", *value);
    return nullptr;
}

std::optional<std::string> Fields::string(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    wrong_type(key, "a string", *value);
    return std::nullopt;
}

const json* Fields::required(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr && value_.is_object())
        problems_.error("E-REQUIRED", pointer_, fmt::format("the key \"{}\" is missing", key));
    return value;
}

std::string Fields::required_string(std::string_view key) {
    return required(key) == nullptr ? std::string{} : string(key).value_or("");
}

std::optional<bool> Fields::boolean(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_boolean()) return value->get<bool>();
    wrong_type(key, "true or false", *value);
    return std::nullopt;
}

std::optional<std::int64_t> Fields::integer(
    std::string_view key, std::int64_t least, std::int64_t most
) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    // 3.0 is a whole number, as in JSON Schema.
    constexpr double exact = 9007199254740992.0;
    const double real = value->is_number_float() ? value->get<double>() : 0;
    const bool whole = std::trunc(real) == real && std::abs(real) <= exact;
    if (!value->is_number() || !whole) {
        wrong_type(key, "a whole number", *value);
        return std::nullopt;
    }
    const auto number = value->get<std::int64_t>();
    if (number >= least && number <= most) return number;
    problems_.error(
        "E-VALUE",
        pointer(key),
        number < least ? fmt::format("\"{}\" is {}, at least {} is expected", key, number, least)
                       : fmt::format("\"{}\" is {}, at most {} is expected", key, number, most)
    );
    return std::nullopt;
}

std::optional<double> Fields::number(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_number()) return value->get<double>();
    wrong_type(key, "a number", *value);
    return std::nullopt;
}

std::optional<Duration> Fields::duration(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) {
        if (auto duration = parse_duration(value->get<std::string>())) return duration;
        problems_.error(
            "E-VALUE",
            pointer(key),
            fmt::format("\"{}\" is not a duration", value->get<std::string>()),
            R"(write "90s", "5m", "2h", "7d" or ISO 8601)"
        );
        return std::nullopt;
    }
    wrong_type(key, R"(a duration such as "90s")", *value);
    return std::nullopt;
}

std::optional<std::int64_t> Fields::size(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) {
        if (auto bytes = parse_size(value->get<std::string>())) return bytes;
        problems_.error(
            "E-VALUE",
            pointer(key),
            fmt::format("\"{}\" is not a size", value->get<std::string>()),
            R"(write "512MiB" or "2GB")"
        );
        return std::nullopt;
    }
    wrong_type(key, R"(a size such as "1GiB")", *value);
    return std::nullopt;
}

std::optional<std::vector<std::string>> Fields::names(std::string_view key) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return std::vector{value->get<std::string>()};
    if (!value->is_array()) {
        wrong_type(key, "a string or a list of strings", *value);
        return std::nullopt;
    }
    std::vector<std::string> out;
    for (std::size_t i = 0; i < value->size(); ++i) {
        const json& item = (*value)[i];
        if (item.is_string()) {
            out.push_back(item.get<std::string>());
        } else {
            problems_.error(
                "E-TYPE",
                child_pointer(pointer(key), i),
                fmt::format("{} stands here, a string is expected", type_name(item))
            );
        }
    }
    return out;
}

std::optional<std::string> Fields::choice(
    std::string_view key, const std::vector<std::string>& known
) {
    auto written = string(key);
    if (!written || std::ranges::find(known, *written) != known.end()) return written;
    auto suggestion = did_you_mean(*written, known);
    if (suggestion.empty()) suggestion = fmt::format("one of: {}", fmt::join(known, ", "));
    problems_.error(
        "E-ENUM",
        pointer(key),
        fmt::format("\"{}\" is no value of \"{}\"", *written, key),
        std::move(suggestion)
    );
    return std::nullopt;
}

void Fields::done() {
    if (!value_.is_object()) return;
    std::ranges::sort(known_);
    for (const auto& [key, value] : value_.items()) {
        if (std::ranges::binary_search(known_, key)) continue;
        problems_.key_error(
            "E-UNKNOWN-KEY",
            pointer(key),
            fmt::format("the key \"{}\" is unknown here", key),
            did_you_mean(key, known_)
        );
    }
}

}  // namespace sluice
