#include "base/instant.hpp"

#include <array>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

namespace sluice {
namespace {

using std::chrono::days;
using std::chrono::floor;

std::string format_seconds(Instant at, std::string_view zone) {
    const auto day = floor<days>(at);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss time{at - day};
    const auto micros = time.subseconds().count();
    auto text = fmt::format(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        time.hours().count(),
        time.minutes().count(),
        time.seconds().count()
    );
    if (micros != 0) text += fmt::format(".{:06}", micros);
    text += zone;
    return text;
}

/// Reads from the front of a text; every function says whether it took what it was asked for.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_(text) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

    bool take(char expected) {
        if (peek() != expected || rest_.empty()) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool take(std::string_view expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }
    bool take_any(std::string_view set) {
        if (rest_.empty() || set.find(rest_.front()) == std::string_view::npos) return false;
        rest_.remove_prefix(1);
        return true;
    }
    /// Exactly `count` digits.
    std::optional<int> digits(std::size_t count) {
        if (rest_.size() < count) return std::nullopt;
        int value = 0;
        for (const char c : rest_.substr(0, count)) {
            if (!is_digit(c)) return std::nullopt;
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(count);
        return value;
    }
    /// One digit or more; none if there is no digit or the number is too large.
    std::optional<std::int64_t> number() {
        if (!is_digit(peek())) return std::nullopt;
        std::int64_t value = 0;
        while (is_digit(peek())) {
            if (__builtin_mul_overflow(value, 10, &value)) return std::nullopt;
            if (__builtin_add_overflow(value, rest_.front() - '0', &value)) return std::nullopt;
            rest_.remove_prefix(1);
        }
        return value;
    }
    /// The digits of a decimal fraction as microseconds; what is finer is cut off.
    std::optional<std::int64_t> fraction() {
        if (!is_digit(peek())) return std::nullopt;
        std::int64_t micros = 0;
        int places = 0;
        for (; is_digit(peek()); rest_.remove_prefix(1)) {
            if (places == 6) continue;
            micros = micros * 10 + (rest_.front() - '0');
            ++places;
        }
        for (; places < 6; ++places) micros *= 10;
        return micros;
    }

private:
    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    std::string_view rest_;
};

std::optional<std::chrono::sys_days> read_date(Reader& in) {
    const auto year = in.digits(4);
    if (!year || !in.take('-')) return std::nullopt;
    const auto month = in.digits(2);
    if (!month || !in.take('-')) return std::nullopt;
    const auto day = in.digits(2);
    if (!day) return std::nullopt;
    const std::chrono::year_month_day date{
        std::chrono::year{*year},
        std::chrono::month{static_cast<unsigned>(*month)},
        std::chrono::day{static_cast<unsigned>(*day)}
    };
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days{date};
}

/// hh:mm, hh:mm:ss or hh:mm:ss.fraction
std::optional<Duration> read_clock(Reader& in) {
    const auto hour = in.digits(2);
    if (!hour || *hour > 23 || !in.take(':')) return std::nullopt;
    const auto minute = in.digits(2);
    if (!minute || *minute > 59) return std::nullopt;
    Duration time = std::chrono::hours{*hour} + std::chrono::minutes{*minute};
    if (!in.take(':')) return time;
    const auto second = in.digits(2);
    if (!second || *second > 59) return std::nullopt;
    time += std::chrono::seconds{*second};
    if (!in.take_any(".,")) return time;
    const auto micros = in.fraction();
    if (!micros) return std::nullopt;
    return time + Duration{*micros};
}

/// +hh:mm, +hhmm or +hh
std::optional<Duration> read_offset(Reader& in) {
    const bool west = in.peek() == '-';
    if (!in.take_any("+-")) return std::nullopt;
    const auto hours = in.digits(2);
    if (!hours || *hours > 23) return std::nullopt;
    int minutes = 0;
    const bool colon = in.take(':');
    if (colon || !in.at_end()) {
        const auto read = in.digits(2);
        if (!read || *read > 59) return std::nullopt;
        minutes = *read;
    }
    const Duration offset = std::chrono::hours{*hours} + std::chrono::minutes{minutes};
    return west ? -offset : offset;
}

struct Unit {
    std::string_view name;
    std::int64_t micros;
};
// Largest first: a duration names its units in this order, each once.
constexpr std::array<Unit, 7> units{{
    {"w", 604'800'000'000},
    {"d", 86'400'000'000},
    {"h", 3'600'000'000},
    {"m", 60'000'000},
    {"s", 1'000'000},
    {"ms", 1'000},
    {"us", 1},
}};

bool add_scaled(std::int64_t& sum, std::int64_t count, std::int64_t micros) {
    std::int64_t product = 0;
    return !__builtin_mul_overflow(count, micros, &product) &&
           !__builtin_add_overflow(sum, product, &sum);
}

std::optional<std::size_t> take_unit(Reader& in) {
    if (in.take("ms")) return 5;
    if (in.take("us")) return 6;
    for (std::size_t i = 0; i < 5; ++i)
        if (in.take(units[i].name)) return i;
    return std::nullopt;
}

std::optional<std::int64_t> read_plain_duration(Reader& in) {
    std::int64_t sum = 0;
    std::size_t next_unit = 0;
    while (!in.at_end()) {
        const auto count = in.number();
        if (!count) return std::nullopt;
        const auto unit = take_unit(in);
        if (!unit || *unit < next_unit) return std::nullopt;
        next_unit = *unit + 1;
        if (!add_scaled(sum, *count, units[*unit].micros)) return std::nullopt;
    }
    return sum;
}

/// What follows the P. Years and months have no fixed length and are refused.
std::optional<std::int64_t> read_iso_duration(Reader& in) {
    constexpr std::string_view letters = "WDHMS";
    std::int64_t sum = 0;
    std::size_t next_unit = 0;
    bool in_time = false;
    if (in.at_end()) return std::nullopt;
    while (!in.at_end()) {
        if (!in_time && in.take('T')) {
            in_time = true;
            next_unit = 2;
            if (in.at_end()) return std::nullopt;
        }
        const auto count = in.number();
        if (!count) return std::nullopt;
        std::optional<std::int64_t> micros;
        if (in.take_any(".,")) {
            micros = in.fraction();
            if (!micros) return std::nullopt;
        }
        const std::size_t unit = letters.find(in.peek());
        if (unit == std::string_view::npos || unit < next_unit || (unit >= 2) != in_time)
            return std::nullopt;
        if (micros && unit != 4) return std::nullopt;
        in.take_any(letters);
        next_unit = unit + 1;
        if (!add_scaled(sum, *count, units[unit].micros)) return std::nullopt;
        if (!add_scaled(sum, micros.value_or(0), 1)) return std::nullopt;
    }
    return sum;
}

}  // namespace

std::string format_z(Instant at) { return format_seconds(at, "Z"); }

std::string format_offset(Instant at) { return format_seconds(at, "+00:00"); }

std::string format_date(Instant at) { return format_seconds(at, "").substr(0, 10); }

std::optional<ParsedTime> parse_time(std::string_view text) {
    Reader in{text};
    const auto date = read_date(in);
    if (!date) return std::nullopt;
    ParsedTime parsed{.at = Instant{*date}, .has_offset = false, .date_only = true};
    if (in.at_end()) return parsed;
    parsed.date_only = false;
    if (!in.take_any("Tt ")) return std::nullopt;
    const auto time = read_clock(in);
    if (!time) return std::nullopt;
    parsed.at += *time;
    if (in.at_end()) return parsed;
    parsed.has_offset = true;
    if (in.take_any("Zz")) {
        if (!in.at_end()) return std::nullopt;
        return parsed;
    }
    const auto offset = read_offset(in);
    if (!offset || !in.at_end()) return std::nullopt;
    parsed.at -= *offset;
    return parsed;
}

std::optional<Duration> parse_duration(std::string_view text) {
    Reader in{text};
    const bool negative = in.take('-');
    if (in.at_end()) return std::nullopt;
    const auto micros = in.take('P') ? read_iso_duration(in) : read_plain_duration(in);
    if (!micros) return std::nullopt;
    return Duration{negative ? -*micros : *micros};
}

std::string format_duration(Duration duration) {
    const auto micros = duration.count();
    if (micros == 0) return "0s";
    for (std::size_t i = 1; i < units.size(); ++i)
        if (micros % units[i].micros == 0)
            return fmt::format("{}{}", micros / units[i].micros, units[i].name);
    return fmt::format("{}us", micros);
}

}  // namespace sluice
