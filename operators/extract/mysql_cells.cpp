#include "operators/extract/mysql_cells.hpp"

#include <charconv>
#include <chrono>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/extract/csv.hpp"

namespace sluice::extract {

using connect::MysqlField;
using connect::MysqlKind;
using engine::Int128;

namespace {

std::string integer_type(const MysqlField& field) {
    const std::string sign = field.is_unsigned ? "U" : "";
    if (field.bytes == 1) return sign + "TINYINT";
    if (field.bytes == 2) return sign + "SMALLINT";
    return sign + (field.bytes == 4 ? "INTEGER" : "BIGINT");
}

std::string engine_type_of(const MysqlField& field, const MysqlTypes& types) {
    switch (field.kind) {
        case MysqlKind::tiny1:
            return types.tiny1_as_boolean ? "BOOLEAN" : integer_type(field);
        case MysqlKind::integer:
            return integer_type(field);
        case MysqlKind::decimal:
            if (field.width > 38 || field.width < 1) return "VARCHAR";
            return "DECIMAL(" + std::to_string(field.width) + "," + std::to_string(field.scale) +
                   ")";
        case MysqlKind::real:
            return "FLOAT";
        case MysqlKind::double_:
            return "DOUBLE";
        case MysqlKind::bit:
            return field.width == 1 ? "BOOLEAN" : "UBIGINT";
        case MysqlKind::text:
            return "VARCHAR";
        case MysqlKind::json:
            return "JSON";
        case MysqlKind::uuid:
            return "UUID";
        case MysqlKind::blob:
            return "BLOB";
        case MysqlKind::date:
            return "DATE";
        case MysqlKind::time:
            return "TIME";
        case MysqlKind::datetime:
            return "TIMESTAMP";
        case MysqlKind::timestamp:
            return "TIMESTAMP WITH TIME ZONE";
        case MysqlKind::year:
            return "SMALLINT";
    }
    unreachable();
}

bool orders(MysqlKind kind) {
    switch (kind) {
        case MysqlKind::integer:
        case MysqlKind::decimal:
        case MysqlKind::text:
        case MysqlKind::uuid:
        case MysqlKind::date:
        case MysqlKind::datetime:
        case MysqlKind::timestamp:
            return true;
        case MysqlKind::tiny1:
        case MysqlKind::real:
        case MysqlKind::double_:
        case MysqlKind::bit:
        case MysqlKind::json:
        case MysqlKind::blob:
        case MysqlKind::time:
        case MysqlKind::year:
            return false;
    }
    unreachable();
}

/// What the engine does not have; the caller adds where.
struct NoSuchValue {
    std::string why;
};

[[noreturn]] void no_such_value(const std::string& why) { throw NoSuchValue{why}; }

template <class T>
T number_of(std::string_view text) {
    T number{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size())
        no_such_value("a number that cannot be read");
    return number;
}

/// "-12.50" with two decimals -> -1250.
Int128 decimal_value(std::string_view text, int scale) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    Int128 number = 0;
    int decimals = -1;
    for (const char c : text) {
        if (c == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (c < '0' || c > '9') no_such_value("a number that cannot be read");
        if (__builtin_mul_overflow(number, Int128{10}, &number) ||
            __builtin_add_overflow(number, Int128{c - '0'}, &number))
            no_such_value("a number of too many digits");
        if (decimals >= 0) ++decimals;
    }
    for (decimals = std::max(decimals, 0); decimals < scale; ++decimals)
        if (__builtin_mul_overflow(number, Int128{10}, &number))
            no_such_value("a number of too many digits");
    if (decimals != scale) no_such_value("a number of more decimals than its type has");
    return negative ? -number : number;
}

int digits_at(std::string_view text, std::size_t at, std::size_t count) {
    if (text.size() < at + count) no_such_value("a time that cannot be read");
    return number_of<int>(text.substr(at, count));
}

/// "2026-01-05": days since 1970. None for the zero date and its like, as 2026-00-00.
std::optional<std::int64_t> days_of(std::string_view text) {
    const int year = digits_at(text, 0, 4);
    const int month = digits_at(text, 5, 2);
    const int day = digits_at(text, 8, 2);
    if (month == 0 || day == 0) return std::nullopt;
    const std::chrono::year_month_day date{
        std::chrono::year{year},
        std::chrono::month{static_cast<unsigned>(month)},
        std::chrono::day{static_cast<unsigned>(day)}
    };
    if (!date.ok()) no_such_value("a date that does not exist");
    return std::chrono::sys_days{date}.time_since_epoch().count();
}

/// "07:08:09.5", hours of one or more digits: microseconds.
std::int64_t micros_of(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) no_such_value("a time that cannot be read");
    const auto hours = number_of<std::int64_t>(text.substr(0, colon));
    const int minutes = digits_at(text, colon + 1, 2);
    const int seconds = digits_at(text, colon + 4, 2);
    std::int64_t micros = ((hours * 60 + minutes) * 60 + seconds) * 1'000'000;
    std::int64_t unit = 100'000;
    for (std::size_t i = colon + 7; i < text.size(); ++i, unit /= 10)
        micros += (text[i] - '0') * unit;
    return micros;
}

constexpr std::int64_t micros_a_day = 86'400'000'000;

std::int64_t time_of_day(std::string_view text) {
    const std::int64_t micros = text.starts_with('-') ? -1 : micros_of(text);
    if (micros < 0 || micros > micros_a_day)
        no_such_value("a time below zero or of more than a day");
    return micros;
}

std::string uuid_bytes(std::string_view text) {
    std::string bytes;
    int high = -1;
    for (const char c : text) {
        if (c == '-') continue;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) no_such_value("no UUID");
        if (high < 0) {
            high = digit;
        } else {
            bytes += static_cast<char>(high * 16 + digit);
            high = -1;
        }
    }
    if (bytes.size() != 16) no_such_value("no UUID");
    return bytes;
}

std::uint64_t bits_value(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
    return value;
}

}  // namespace

MysqlTypes mysql_types(const std::string& extra) {
    MysqlTypes types;
    const auto written = nlohmann::json::parse(extra, nullptr, false);
    if (!written.is_object()) return types;
    const auto zeros = written.find("zero_dates");
    types.zero_dates_null = zeros != written.end() && (zeros->is_null() || *zeros == "null");
    // From a URI every value is text.
    const auto boolean = written.value("tinyint1_as_boolean", nlohmann::json(true));
    types.tiny1_as_boolean = boolean != false && boolean != "false";
    return types;
}

MysqlColumn mysql_column(const MysqlField& field, const MysqlTypes& types) {
    MysqlColumn column;
    column.field = field;
    column.engine_type = engine_type_of(field, types);
    column.selected = connect::mysql_name(field.name);
    // A float is written with six digits; a double with all that it has.
    if (field.kind == MysqlKind::real)
        column.selected = "(" + column.selected + " + 0e0) as " + column.selected;
    column.ordered = orders(field.kind);
    return column;
}

void MysqlRows::row(const std::vector<connect::MysqlCell>& cells) {
    ++rows_;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        if (!cells[i]) {
            into_.null();
            continue;
        }
        const MysqlColumn& column = columns_[i];
        try {
            put(column, *cells[i]);
        } catch (const NoSuchValue& problem) {
            engine::bad_data(
                "row " + std::to_string(rows_) + ", column \"" + column.field.name + "\" (" +
                connect::type_text(column.field) + "): " + problem.why
            );
        }
    }
    into_.end_row();
}

void MysqlRows::put_day(const MysqlColumn& column, std::string_view cell) {
    const auto days = days_of(cell);
    if (!days && types_.zero_dates_null) return into_.null();
    if (!days)
        no_such_value(
            "a date with zeros, which is none (\"zero_dates\": \"null\" in the connection's extra "
            "reads it as NULL)"
        );
    if (column.field.kind == MysqlKind::date) return into_.integer(*days);
    into_.integer(
        *days * micros_a_day + micros_of(cell.substr(std::min<std::size_t>(11, cell.size())))
    );
}

void MysqlRows::put(const MysqlColumn& column, std::string_view cell) {
    switch (column.field.kind) {
        case MysqlKind::tiny1:
            if (column.engine_type != "BOOLEAN") return into_.integer(number_of<int>(cell));
            if (cell != "0" && cell != "1")
                no_such_value(
                    "neither 0 nor 1 (\"tinyint1_as_boolean\": false in the connection's extra "
                    "reads numbers)"
                );
            return into_.boolean(cell == "1");
        case MysqlKind::integer:
            if (column.field.is_unsigned && column.field.bytes == 8)
                return into_.huge(static_cast<Int128>(number_of<std::uint64_t>(cell)));
            return into_.integer(number_of<std::int64_t>(cell));
        case MysqlKind::year:
            return into_.integer(number_of<std::int64_t>(cell));
        case MysqlKind::decimal:
            if (column.engine_type == "VARCHAR") return into_.text(cell);
            return into_.huge(decimal_value(cell, column.field.scale));
        case MysqlKind::real:
        case MysqlKind::double_:
            return into_.real(number_of<double>(cell));
        case MysqlKind::bit:
            if (column.field.width == 1) return into_.boolean(bits_value(cell) != 0);
            return into_.huge(static_cast<Int128>(bits_value(cell)));
        case MysqlKind::text:
        case MysqlKind::json:
            if (!valid_utf8(cell)) no_such_value("bytes that are not UTF-8");
            return into_.text(cell);
        case MysqlKind::uuid:
            return into_.uuid(uuid_bytes(cell));
        case MysqlKind::blob:
            return into_.bytes(cell);
        case MysqlKind::date:
        case MysqlKind::datetime:
        case MysqlKind::timestamp:
            return put_day(column, cell);
        case MysqlKind::time:
            return into_.integer(time_of_day(cell));
    }
    unreachable();
}

}  // namespace sluice::extract
