#include "operators/extract/pg_copy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <tuple>

#include "base/check.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/csv.hpp"

namespace sluice::extract {

using engine::Int128;
using engine::Uint128;

namespace {

struct WireRow {
    std::string_view postgres;
    std::string_view engine;
    PgWire wire;
    bool ordered;
};

constexpr std::array<WireRow, 18> wire_rows{{
    {"boolean", "BOOLEAN", PgWire::boolean, false},
    {"smallint", "SMALLINT", PgWire::int2, true},
    {"integer", "INTEGER", PgWire::int4, true},
    {"bigint", "BIGINT", PgWire::int8, true},
    {"real", "FLOAT", PgWire::float4, false},
    {"double precision", "DOUBLE", PgWire::float8, false},
    {"text", "VARCHAR", PgWire::text, true},
    {"character varying", "VARCHAR", PgWire::text, true},
    {"character", "VARCHAR", PgWire::text, true},
    {"json", "JSON", PgWire::text, false},
    {"jsonb", "JSON", PgWire::jsonb, false},
    {"bytea", "BLOB", PgWire::bytea, false},
    {"date", "DATE", PgWire::date, true},
    {"time without time zone", "TIME", PgWire::time, false},
    {"timestamp without time zone", "TIMESTAMP", PgWire::timestamp, true},
    {"timestamp with time zone", "TIMESTAMP WITH TIME ZONE", PgWire::timestamp, true},
    {"interval", "INTERVAL", PgWire::interval, false},
    {"uuid", "UUID", PgWire::uuid, true},
}};

/// "timestamp(3) with time zone" -> "timestamp with time zone" and "3".
std::pair<std::string, std::string> without_modifier(const std::string& type) {
    if (type.starts_with("interval")) return {"interval", ""};
    const auto open = type.find('(');
    const auto close = type.find(')');
    if (open == std::string::npos || close == std::string::npos) return {type, ""};
    return {type.substr(0, open) + type.substr(close + 1), type.substr(open + 1, close - open - 1)};
}

/// Type and scale of a numeric whose digits the engine can hold.
std::optional<std::pair<std::string, int>> decimal_of(const std::string& modifier) {
    const auto comma = modifier.find(',');
    if (comma == std::string::npos) return std::nullopt;
    const int width = std::stoi(modifier.substr(0, comma));
    const int scale = std::stoi(modifier.substr(comma + 1));
    if (width > 38 || scale < 0 || scale > width) return std::nullopt;
    return std::pair{"DECIMAL(" + std::to_string(width) + "," + std::to_string(scale) + ")", scale};
}

}  // namespace

PgColumn pg_column(const std::string& name, const std::string& format_type) {
    PgColumn column{.name = name, .type = format_type, .engine_type = "VARCHAR"};
    std::string type = format_type;
    if (type.ends_with("[]")) {
        column.list = true;
        type.resize(type.size() - 2);
    }
    column.selected = engine::quote(name);
    const auto [base, modifier] = without_modifier(type);
    bool known = false;
    if (base == "numeric") {
        column.ordered = !column.list;
        if (const auto decimal = decimal_of(modifier)) {
            known = true;
            column.wire = PgWire::numeric;
            std::tie(column.engine_type, column.scale) = *decimal;
        }
    }
    for (const WireRow& row : wire_rows) {
        if (row.postgres != base) continue;
        known = true;
        column.engine_type = row.engine;
        column.wire = row.wire;
        column.ordered = row.ordered && !column.list;
    }
    // The server's text keeps what the engine has no type for.
    if (!known && base == "inet" && !column.list) {
        column.selected = "abbrev(" + column.selected + ")";  // its cast adds "/32"
    } else if (!known) {
        column.selected += column.list ? "::text[]" : "::text";
    }
    if (column.list) column.engine_type += "[]";
    return column;
}

namespace {

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
    std::make_unsigned_t<T> value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value = static_cast<std::make_unsigned_t<T>>(
            (static_cast<std::uint64_t>(value) << 8) | static_cast<unsigned char>(bytes[at + i])
        );
    return static_cast<T>(value);
}

/// What the engine does not have; the caller adds where.
struct Unfit {
    std::string why;
};

[[noreturn]] void unfit(const std::string& why) { throw Unfit{why}; }

/// The column is not what it was when the server described it.
[[noreturn]] void type_changed() {
    throw engine::Failure(ErrorClass::schema, "the type of a column changed while it was read");
}

void expect(std::string_view value, std::size_t size) {
    if (value.size() != size) type_changed();
}

constexpr std::int64_t days_1970_to_2000 = 10957;
constexpr std::int64_t micros_1970_to_2000 = 946'684'800'000'000;

std::int64_t pg_date(std::string_view value) {
    expect(value, 4);
    const auto days = number_at<std::int32_t>(value, 0);
    if (days == INT32_MAX) return INT32_MAX;   // infinity
    if (days == INT32_MIN) return -INT32_MAX;  // -infinity
    const std::int64_t since_1970 = days + days_1970_to_2000;
    if (since_1970 >= INT32_MAX) unfit("a date beyond what DATE holds");
    return since_1970;
}

std::int64_t pg_timestamp(std::string_view value) {
    expect(value, 8);
    const auto micros = number_at<std::int64_t>(value, 0);
    if (micros == INT64_MAX) return INT64_MAX;
    if (micros == INT64_MIN) return -INT64_MAX;
    std::int64_t since_1970 = 0;
    // The engine's last day is in the year 294247, the server's in 294276.
    if (__builtin_add_overflow(micros, micros_1970_to_2000, &since_1970) || since_1970 == INT64_MAX)
        unfit("a time beyond what TIMESTAMP holds");
    return since_1970;
}

engine::IntervalValue pg_interval(std::string_view value) {
    expect(value, 16);
    const engine::IntervalValue interval{
        .months = number_at<std::int32_t>(value, 12),
        .days = number_at<std::int32_t>(value, 8),
        .micros = number_at<std::int64_t>(value, 0)
    };
    // What Parquet holds of them.
    if (interval.months < 0 || interval.days < 0 || interval.micros < 0 ||
        interval.micros % 1000 != 0 || interval.micros / 1000 > UINT32_MAX)
        unfit("an interval below zero, of parts of milliseconds or of more than 49 days of them");
    return interval;
}

/// number * 10^power + digits.
Uint128 shifted(Uint128 number, int power, Uint128 digits) {
    for (int i = 0; i < power; ++i)
        if (__builtin_mul_overflow(number, Uint128{10}, &number))
            unfit("a number of too many digits");
    if (__builtin_add_overflow(number, digits, &number)) unfit("a number of too many digits");
    return number;
}

/// Digits of base 10000 around the decimal point, as an integer of `scale` decimals.
Int128 pg_numeric(std::string_view value, int scale) {
    if (value.size() < 8) type_changed();
    const int count = number_at<std::int16_t>(value, 0);
    const int weight = number_at<std::int16_t>(value, 2);
    const auto sign = number_at<std::uint16_t>(value, 4);
    if (sign != 0 && sign != 0x4000) unfit("NaN or an infinite number");
    expect(value, 8 + 2 * static_cast<std::size_t>(count));
    Uint128 number = 0;
    int place = weight * 4 + scale;  // power of ten of the digit at hand
    for (int i = 0; i < count; ++i, place -= 4) {
        auto digit = static_cast<unsigned>(
            number_at<std::int16_t>(value, 8 + 2 * static_cast<std::size_t>(i))
        );
        int power = 4;
        // The last one may reach behind the scale; what it has there is zero.
        for (int behind = place; behind < 0; ++behind, --power) {
            if (digit % 10 != 0) unfit("a number of more decimals than its type has");
            digit /= 10;
        }
        number = shifted(number, std::max(power, 0), digit);
    }
    if (count > 0) number = shifted(number, std::max(place + 4, 0), 0);
    if (number >> 127 != 0) unfit("a number of too many digits");
    return sign == 0 ? static_cast<Int128>(number) : -static_cast<Int128>(number);
}

std::string_view pg_text(std::string_view value) {
    if (!valid_utf8(value)) unfit("bytes that are not UTF-8");
    return value;
}

void put_value(engine::RowAppender& into, const PgColumn& column, std::string_view value) {
    switch (column.wire) {
        case PgWire::boolean:
            expect(value, 1);
            return into.boolean(value[0] != 0);
        case PgWire::int2:
            expect(value, 2);
            return into.integer(number_at<std::int16_t>(value, 0));
        case PgWire::int4:
            expect(value, 4);
            return into.integer(number_at<std::int32_t>(value, 0));
        case PgWire::int8:
            expect(value, 8);
            return into.integer(number_at<std::int64_t>(value, 0));
        case PgWire::float4:
            expect(value, 4);
            return into.real(
                static_cast<double>(std::bit_cast<float>(number_at<std::uint32_t>(value, 0)))
            );
        case PgWire::float8:
            expect(value, 8);
            return into.real(std::bit_cast<double>(number_at<std::uint64_t>(value, 0)));
        case PgWire::numeric:
            return into.huge(pg_numeric(value, column.scale));
        case PgWire::text:
            return into.text(pg_text(value));
        case PgWire::jsonb:
            if (!value.starts_with('\1')) type_changed();
            return into.text(pg_text(value.substr(1)));
        case PgWire::bytea:
            return into.bytes(value);
        case PgWire::date:
            return into.integer(pg_date(value));
        case PgWire::time:
            expect(value, 8);
            return into.integer(number_at<std::int64_t>(value, 0));
        case PgWire::timestamp:
            return into.integer(pg_timestamp(value));
        case PgWire::interval:
            return into.interval(pg_interval(value));
        case PgWire::uuid:
            expect(value, 16);
            return into.uuid(value);
    }
    unreachable();
}

/// An array of one dimension; its lower bound is not kept.
void put_array(engine::RowAppender& into, const PgColumn& column, std::string_view value) {
    if (value.size() < 12) type_changed();
    const auto dimensions = number_at<std::int32_t>(value, 0);
    if (dimensions > 1)
        unfit("an array of " + std::to_string(dimensions) + " dimensions: a list has one");
    if (dimensions == 0) {
        into.begin_list(0);
        return into.end_list();
    }
    if (value.size() < 20) type_changed();
    const auto size = number_at<std::int32_t>(value, 12);
    into.begin_list(static_cast<std::size_t>(size));
    std::size_t at = 20;
    for (std::int32_t i = 0; i < size; ++i) {
        if (value.size() < at + 4) type_changed();
        const auto length = number_at<std::int32_t>(value, at);
        at += 4;
        if (length < 0) {
            into.null();
            continue;
        }
        const auto bytes = static_cast<std::size_t>(length);
        if (value.size() < at + bytes) type_changed();
        put_value(into, column, value.substr(at, bytes));
        at += bytes;
    }
    into.end_list();
}

constexpr std::string_view signature{"PGCOPY\n\377\r\n\0", 11};

}  // namespace

void PgCopyRows::take(std::string_view bytes) {
    // The server sends whole rows, but promises nothing.
    if (rest_.empty()) {
        const std::size_t end = read(bytes);
        if (end < bytes.size()) rest_ = bytes.substr(end);
        return;
    }
    rest_ += bytes;
    rest_.erase(0, read(rest_));
}

std::size_t PgCopyRows::read(std::string_view bytes) {
    std::size_t at = 0;
    if (!header_) {
        if (bytes.size() < 19) return 0;
        const auto extension = number_at<std::int32_t>(bytes, 15);
        if (bytes.substr(0, 11) != signature || number_at<std::int32_t>(bytes, 11) != 0)
            throw engine::Failure(ErrorClass::permanent, "the server sends no binary COPY");
        at = 19 + static_cast<std::size_t>(extension);
        if (bytes.size() < at) return 0;
        header_ = true;
    }
    while (bytes.size() >= at + 2 && !ended_) {
        const auto count = number_at<std::int16_t>(bytes, at);
        if (count == -1) {
            ended_ = true;
            return bytes.size();
        }
        if (static_cast<std::size_t>(count) != columns_)
            throw engine::Failure(ErrorClass::schema, "the columns changed while they were read");
        std::size_t end = at + 2;
        for (std::int16_t i = 0; i < count; ++i) {
            if (bytes.size() < end + 4) return at;
            const auto length = number_at<std::int32_t>(bytes, end);
            end += 4 + static_cast<std::size_t>(std::max(length, 0));
        }
        if (bytes.size() < end) return at;
        ++rows_;
        each_(bytes.substr(at + 2, end - at - 2));
        at = end;
    }
    return at;
}

void put_row(
    engine::RowAppender& into,
    const std::vector<PgColumn>& columns,
    std::string_view fields,
    std::int64_t number
) {
    std::size_t at = 0;
    for (const PgColumn& column : columns) {
        const auto length = number_at<std::int32_t>(fields, at);
        at += 4;
        if (length < 0) {
            into.null();
            continue;
        }
        const std::string_view value = fields.substr(at, static_cast<std::size_t>(length));
        at += value.size();
        try {
            if (column.list) {
                put_array(into, column, value);
            } else {
                put_value(into, column, value);
            }
        } catch (const Unfit& problem) {
            engine::bad_data(
                "row " + std::to_string(number) + ", column \"" + column.name + "\" (" +
                column.type + "): " + problem.why + "; a query can select it as text"
            );
        }
    }
    into.end_row();
}

void PgCopyRows::finish() const {
    if (!ended_) throw engine::Failure(ErrorClass::transient, "the rows are cut off");
}

}  // namespace sluice::extract
