#include "operators/engine/chunk.hpp"

#include <chrono>

#include <duckdb.h>
#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice::engine {

namespace {

template <class T>
T at(const void* data, std::size_t row) {
    return static_cast<const T*>(data)[row];
}

std::string digits_of(Int128 value) {
    const bool negative = value < 0;
    auto rest = static_cast<Uint128>(value);
    if (negative) rest = ~rest + 1;
    std::string text;
    do {
        text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
        rest /= 10;
    } while (rest != 0);
    return negative ? "-" + text : text;
}

std::string decimal_text(Int128 value, int scale) {
    std::string text = digits_of(value);
    if (scale == 0) return text;
    const bool negative = text.front() == '-';
    if (negative) text.erase(0, 1);
    const auto places = static_cast<std::size_t>(scale);
    if (text.size() <= places) text.insert(0, places + 1 - text.size(), '0');
    text.insert(text.size() - places, ".");
    return negative ? "-" + text : text;
}

struct Civil {
    int year;
    unsigned month;
    unsigned day;
};

Civil civil_of(std::int64_t days) {
    const std::chrono::year_month_day date{
        std::chrono::sys_days{std::chrono::days{static_cast<int>(days)}}
    };
    return {
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day())
    };
}

constexpr std::int64_t day_micros = 86'400'000'000;

std::string date_text(std::int64_t days) {
    if (days == INT32_MAX) return "infinity";
    if (days == -INT32_MAX) return "-infinity";
    const Civil date = civil_of(days);
    return fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
}

std::string time_text(std::int64_t micros) {
    const std::int64_t seconds = micros / 1'000'000;
    return fmt::format(
        "{:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micros % 1'000'000
    );
}

std::string timestamp_text(std::int64_t micros, bool with_zone) {
    if (micros == INT64_MAX) return "infinity";
    if (micros == -INT64_MAX) return "-infinity";
    std::int64_t days = micros / day_micros;
    std::int64_t rest = micros % day_micros;
    if (rest < 0) {
        rest += day_micros;
        --days;
    }
    return date_text(days) + "T" + time_text(rest) + (with_zone ? "Z" : "");
}

}  // namespace

bool Cells::boolean(std::size_t row) const { return at<bool>(data_, row); }

std::int64_t Cells::integer(std::size_t row) const {
    switch (type_.bytes) {
        case 1:
            return at<std::int8_t>(data_, row);
        case 2:
            return at<std::int16_t>(data_, row);
        case 4:
            return at<std::int32_t>(data_, row);
        case -1:
            return at<std::uint8_t>(data_, row);
        case -2:
            return at<std::uint16_t>(data_, row);
        case -4:
            return at<std::uint32_t>(data_, row);
        default:
            return at<std::int64_t>(data_, row);
    }
}

Int128 Cells::huge(std::size_t row) const {
    if (type_.kind == Kind::unsigned64) return at<std::uint64_t>(data_, row);
    if (type_.bytes != 16) return integer(row);
    const auto raw = at<duckdb_hugeint>(data_, row);
    return (static_cast<Int128>(raw.upper) << 64) | static_cast<Int128>(raw.lower);
}

double Cells::real(std::size_t row) const {
    if (type_.kind == Kind::real) return static_cast<double>(at<float>(data_, row));
    return at<double>(data_, row);
}

std::string_view Cells::text(std::size_t row) const {
    const auto& cell = static_cast<const duckdb_string_t*>(data_)[row];
    if (cell.value.inlined.length <= 12) {
        return {cell.value.inlined.inlined, cell.value.inlined.length};
    }
    return {cell.value.pointer.ptr, cell.value.pointer.length};
}

IntervalValue Cells::interval(std::size_t row) const {
    const auto raw = at<duckdb_interval>(data_, row);
    return {raw.months, raw.days, raw.micros};
}

std::string Cells::uuid(std::size_t row) const {
    const auto raw = at<duckdb_hugeint>(data_, row);
    // The engine flips the top bit so that uuids sort as signed numbers.
    const auto upper = static_cast<std::uint64_t>(raw.upper) ^ (std::uint64_t{1} << 63);
    std::string bytes(16, '\0');
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[i] = static_cast<char>((upper >> (56 - 8 * i)) & 0xFF);
        bytes[8 + i] = static_cast<char>((raw.lower >> (56 - 8 * i)) & 0xFF);
    }
    return bytes;
}

std::pair<std::uint64_t, std::uint64_t> Cells::list(std::size_t row) const {
    const auto entry = at<duckdb_list_entry>(data_, row);
    return {entry.offset, entry.length};
}

Value Cells::value(std::size_t row) const {
    if (is_null(row)) return {};
    switch (type_.kind) {
        case Kind::boolean:
            return boolean(row);
        case Kind::integer:
            return integer(row);
        case Kind::unsigned64:
        case Kind::huge:
            return digits_of(huge(row));
        case Kind::real: {
            // Through text, so that 0.1f is 0.1 and not 0.10000000149.
            return std::stod(fmt::format("{}", at<float>(data_, row)));
        }
        case Kind::double_:
            return real(row);
        case Kind::decimal:
            return decimal_text(huge(row), type_.scale);
        case Kind::text:
        case Kind::json:
            return std::string(text(row));
        case Kind::blob:
            return to_hex(text(row));
        case Kind::date:
            return date_text(integer(row));
        case Kind::time:
            return time_text(integer(row));
        case Kind::timestamp:
            return timestamp_text(integer(row), false);
        case Kind::timestamptz:
            return timestamp_text(integer(row), true);
        case Kind::interval: {
            const IntervalValue part = interval(row);
            return fmt::format(
                "{} months {} days {} microseconds", part.months, part.days, part.micros
            );
        }
        case Kind::uuid: {
            const std::string hex = to_hex(uuid(row));
            return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
                   hex.substr(16, 4) + "-" + hex.substr(20);
        }
        case Kind::list:
        case Kind::other:
            throw Error(
                ErrorCode::invalid, "a column of a nested type must be cast to varchar or json"
            );
    }
    unreachable();
}

std::string to_text(const Value& value) {
    struct Text {
        std::string operator()(std::monostate) const { return ""; }
        std::string operator()(bool flag) const { return flag ? "true" : "false"; }
        std::string operator()(std::int64_t number) const { return std::to_string(number); }
        std::string operator()(double number) const { return fmt::format("{}", number); }
        std::string operator()(const std::string& text) const { return text; }
    };
    return std::visit(Text{}, value);
}

}  // namespace sluice::engine
