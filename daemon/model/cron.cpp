#include "model/cron.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "base/error.hpp"

namespace sluice {
namespace {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::seconds;

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> presets{{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@quarterly", "0 0 1 */3 *"},
    {"@yearly", "0 0 1 1 *"},
}};

constexpr std::array<std::string_view, 12> month_names{
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
};
constexpr std::array<std::string_view, 7> weekday_names{
    "sun", "mon", "tue", "wed", "thu", "fri", "sat"
};

struct Field {
    std::string_view name;
    int low;
    int high;
    std::span<const std::string_view> names;  // of low, low + 1, ...
};
const Field second_field{"second", 0, 59, {}};
const Field minute_field{"minute", 0, 59, {}};
const Field hour_field{"hour", 0, 23, {}};
const Field day_field{"day-of-month", 1, 31, {}};
const Field month_field{"month", 1, 12, month_names};
const Field weekday_field{"day-of-week", 0, 7, weekday_names};

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::invalid, why); }

[[noreturn]] void refuse(const Field& field, std::string_view part, std::string_view why) {
    refuse(fmt::format("\"{}\" in the {} field: {}", part, field.name, why));
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find_first_of(separators);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::vector<std::string_view> split_words(std::string_view text) {
    auto parts = split(text, " \t");
    std::erase(parts, std::string_view{});
    return parts;
}

std::optional<int> number_in(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0)
        return std::nullopt;
    return value;
}

std::string lower(std::string_view text) {
    std::string result{text};
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

/// A number or a name of the field, within its bounds.
int value_in(const Field& field, std::string_view text, std::string_view part) {
    if (const auto named = std::ranges::find(field.names, lower(text)); named != field.names.end())
        return field.low + static_cast<int>(named - field.names.begin());
    const auto value = number_in(text);
    if (!value) {
        const auto letter = text.find_first_not_of("0123456789");
        if (letter + 1 == text.size() && text.find_first_of("LlWwHh?") == letter)
            refuse(field, part, "L, W, H and ? are not supported");
        refuse(
            field,
            part,
            fmt::format(
                "\"{}\" is not a number{}", text, field.names.empty() ? "" : " or a known name"
            )
        );
    }
    if (*value < field.low || *value > field.high)
        refuse(field, part, fmt::format("{} is not in {}-{}", *value, field.low, field.high));
    return *value;
}

struct Range {
    int first;
    int last;
};

Range range_in(const Field& field, std::string_view text, bool stepped, std::string_view part) {
    if (text == "*") return {field.low, &field == &weekday_field ? 6 : field.high};
    const auto ends = split(text, "-");
    if (ends.size() > 2) refuse(field, part, "a range has two ends");
    const int first = value_in(field, ends[0], part);
    if (ends.size() == 1) return {first, stepped ? field.high : first};
    int last = value_in(field, ends[1], part);
    if (&field == &weekday_field && last == 0 && first > 0) last = 7;  // FRI-SUN
    if (last < first)
        refuse(field, part, "the range runs backwards; write it as two ranges with a comma");
    return {first, last};
}

/// One bit a value for one part of a list: *, n, a-b, each with an optional /step.
std::uint64_t bits_of(const Field& field, std::string_view part) {
    const auto pieces = split(part, "/");
    if (pieces.size() > 2) refuse(field, part, "one step at most");
    int step = 1;
    if (pieces.size() == 2) {
        const auto read = number_in(pieces[1]);
        if (!read || *read == 0) refuse(field, part, "the step must be a number from 1");
        if (*read > field.high - field.low)
            refuse(
                field,
                part,
                fmt::format("the step is larger than the field ({}-{})", field.low, field.high)
            );
        step = *read;
    }
    const Range range = range_in(field, pieces[0], pieces.size() == 2, part);
    std::uint64_t bits = 0;
    for (int value = range.first; value <= range.last; value += step)
        bits |= std::uint64_t{1} << value;
    return bits;
}

std::uint64_t read_field(const Field& field, std::string_view text) {
    std::uint64_t bits = 0;
    for (const auto part : split(text, ",")) {
        if (part.empty()) refuse(field, text, "an empty element");
        bits |= bits_of(field, part);
    }
    return bits;
}

constexpr std::uint64_t all_bits(int low, int high) {
    return ((std::uint64_t{2} << high) - 1) & ~((std::uint64_t{1} << low) - 1);
}

/// The first set bit at or after `from`, or none.
std::optional<int> bit_from(std::uint64_t bits, int from) {
    const std::uint64_t rest = from > 63 ? 0 : bits >> from << from;
    if (rest == 0) return std::nullopt;
    return std::countr_zero(rest);
}
/// The last set bit at or before `to`, or none.
std::optional<int> bit_to(std::uint64_t bits, int to) {
    const std::uint64_t rest = to < 0 ? 0 : bits & all_bits(0, to);
    if (rest == 0) return std::nullopt;
    return 63 - std::countl_zero(rest);
}

struct Clock {
    int hour;
    int minute;
    int second;
};
struct ClockBits {
    std::uint64_t hours;
    std::uint64_t minutes;
    std::uint64_t seconds;
};

Clock clock_of(seconds of_day) {
    const auto count = static_cast<int>(of_day.count());
    return {count / 3600, count / 60 % 60, count % 60};
}
seconds seconds_of(int hour, int minute, int second) {
    return seconds{hour * 3600 + minute * 60 + second};
}

std::optional<seconds> first_from(const ClockBits& bits, Clock from) {
    if ((bits.hours >> from.hour & 1) != 0) {
        if ((bits.minutes >> from.minute & 1) != 0)
            if (const auto second = bit_from(bits.seconds, from.second))
                return seconds_of(from.hour, from.minute, *second);
        if (const auto minute = bit_from(bits.minutes, from.minute + 1))
            return seconds_of(from.hour, *minute, *bit_from(bits.seconds, 0));
    }
    if (const auto hour = bit_from(bits.hours, from.hour + 1))
        return seconds_of(*hour, *bit_from(bits.minutes, 0), *bit_from(bits.seconds, 0));
    return std::nullopt;
}

std::optional<seconds> last_to(const ClockBits& bits, Clock to) {
    if ((bits.hours >> to.hour & 1) != 0) {
        if ((bits.minutes >> to.minute & 1) != 0)
            if (const auto second = bit_to(bits.seconds, to.second))
                return seconds_of(to.hour, to.minute, *second);
        if (const auto minute = bit_to(bits.minutes, to.minute - 1))
            return seconds_of(to.hour, *minute, *bit_to(bits.seconds, 59));
    }
    if (const auto hour = bit_to(bits.hours, to.hour - 1))
        return seconds_of(*hour, *bit_to(bits.minutes, 59), *bit_to(bits.seconds, 59));
    return std::nullopt;
}

}  // namespace

std::optional<std::string_view> preset_cron(std::string_view text) {
    for (const auto& [name, cron] : presets)
        if (name == text) return cron;
    return std::nullopt;
}

void Cron::read_days_of_week(std::string_view text) {
    for (const auto part : split(text, ",")) {
        if (part.empty()) refuse(weekday_field, text, "an empty element");
        const auto pieces = split(part, "#");
        if (pieces.size() == 1) {
            weekdays_ |= bits_of(weekday_field, part);
            continue;
        }
        const int weekday = value_in(weekday_field, pieces[0], part) % 7;
        const auto nth = number_in(pieces[1]);
        if (pieces.size() > 2 || !nth || *nth < 1 || *nth > 5)
            refuse(weekday_field, part, "# takes a number from 1 to 5");
        nth_[static_cast<std::size_t>(weekday)] |= static_cast<std::uint8_t>(1U << *nth);
    }
    if ((weekdays_ >> 7 & 1) != 0) weekdays_ = (weekdays_ | 1) & 0x7F;  // 7 is Sunday too
}

Cron Cron::parse(std::string_view text) {
    if (text.starts_with('@')) {
        const auto preset = preset_cron(text);
        if (!preset)
            refuse(fmt::format(
                "\"{}\" is not a preset; known are @hourly, @daily, @weekly, @monthly, "
                "@quarterly, @yearly",
                text
            ));
        text = *preset;
    }
    const auto fields = split_words(text);
    if (fields.size() != 5 && fields.size() != 6)
        refuse(fmt::format(
            "\"{}\" has {} fields; a cron expression has five (minute, hour, day of month, month, "
            "day of week) or six (seconds last)",
            text,
            fields.size()
        ));
    Cron cron;
    cron.minutes_ = read_field(minute_field, fields[0]);
    cron.hours_ = read_field(hour_field, fields[1]);
    cron.days_ = read_field(day_field, fields[2]);
    cron.months_ = read_field(month_field, fields[3]);
    cron.read_days_of_week(fields[4]);
    if (fields.size() == 6) cron.seconds_ = read_field(second_field, fields[5]);
    cron.any_day_ = cron.days_ == all_bits(1, 31);
    cron.any_weekday_ = cron.weekdays_ == all_bits(0, 6);

    // 40 years hold every leap day on every weekday that they can hold, 2100 included.
    const LocalTime from{local_days{std::chrono::year{2000} / 1 / 1}};
    if (!cron.first_in(from, from + days{40 * 366}))
        refuse(fmt::format("\"{}\" matches no date", text));
    return cron;
}

bool Cron::matches_month(std::chrono::month month) const {
    return (months_ >> static_cast<unsigned>(month) & 1) != 0;
}

bool Cron::matches(std::chrono::year_month_day date) const {
    const auto day = static_cast<unsigned>(date.day());
    const bool day_fits = (days_ >> day & 1) != 0;
    const auto weekday = std::chrono::weekday{local_days{date}}.c_encoding();
    const bool weekday_fits =
        (weekdays_ >> weekday & 1) != 0 || (nth_[weekday] >> ((day - 1) / 7 + 1) & 1) != 0;
    if (any_day_) return weekday_fits;
    if (any_weekday_) return day_fits;
    return day_fits || weekday_fits;  // both restricted: either will do
}

std::optional<LocalTime> Cron::first_in(LocalTime from, LocalTime end) const {
    const ClockBits bits{hours_, minutes_, seconds_};
    auto day = std::chrono::floor<days>(from);
    Clock clock = clock_of(from - day);
    while (day < end) {
        const std::chrono::year_month_day date{day};
        if (!matches_month(date.month())) {
            day = local_days{date.year() / date.month() / 1 + std::chrono::months{1}};
            clock = {0, 0, 0};
            continue;
        }
        if (matches(date)) {
            if (const auto time = first_from(bits, clock)) {
                const LocalTime found = day + *time;
                return found < end ? std::optional{found} : std::nullopt;
            }
        }
        day += days{1};
        clock = {0, 0, 0};
    }
    return std::nullopt;
}

std::optional<LocalTime> Cron::last_in(LocalTime from, LocalTime end) const {
    if (end <= from) return std::nullopt;
    const ClockBits bits{hours_, minutes_, seconds_};
    const LocalTime to = end - seconds{1};
    auto day = std::chrono::floor<days>(to);
    Clock clock = clock_of(to - day);
    while (day + days{1} > from) {
        const std::chrono::year_month_day date{day};
        if (!matches_month(date.month())) {
            day = local_days{date.year() / date.month() / 1} - days{1};
            clock = {23, 59, 59};
            continue;
        }
        if (matches(date)) {
            if (const auto time = last_to(bits, clock)) {
                const LocalTime found = day + *time;
                return found >= from ? std::optional{found} : std::nullopt;
            }
        }
        day -= days{1};
        clock = {23, 59, 59};
    }
    return std::nullopt;
}

std::optional<std::string> cron_problem(std::string_view text) {
    try {
        (void)Cron::parse(text);
        return std::nullopt;
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace sluice
