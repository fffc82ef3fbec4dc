#include "operators/load/copy_encoder.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/check.hpp"
#include "base/error.hpp"

namespace sluice::load {

using engine::Cells;
using engine::Int128;
using engine::Kind;
using engine::Uint128;

namespace {

template <class T>
void put(std::string& out, T value) {
    if constexpr (sizeof(T) == 2)
        value = static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    if constexpr (sizeof(T) == 4)
        value = static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    if constexpr (sizeof(T) == 8)
        value = static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out.append(bytes, sizeof(T));
}

/// A value of fixed size with its length before it.
template <class T>
void put_sized(std::string& out, T value) {
    put(out, static_cast<std::int32_t>(sizeof(T)));
    put(out, value);
}

void put_text(std::string& out, std::string_view text) {
    put(out, static_cast<std::int32_t>(text.size()));
    out.append(text);
}

constexpr std::int64_t epoch_days = 10957;  // from 1970 to 2000
constexpr std::int64_t epoch_micros = 946'684'800'000'000;

std::int32_t date_of(std::int64_t days) {
    if (days == INT32_MAX) return INT32_MAX;   // infinity
    if (days == -INT32_MAX) return INT32_MIN;  // -infinity
    return static_cast<std::int32_t>(days - epoch_days);
}

std::int64_t timestamp_of(std::int64_t micros) {
    if (micros == INT64_MAX) return INT64_MAX;
    if (micros == -INT64_MAX) return INT64_MIN;
    return micros - epoch_micros;
}

/// The base-10000 digits of a number with `scale` decimal digits behind the point.
struct NumericDigits {
    std::int16_t digit[24];
    int whole{0};  // before the point
    int count{0};
};

template <class Number>
NumericDigits numeric_digits(Number rest, int scale) {
    NumericDigits out;
    // Split first, so that 38 digits do not overflow when the fraction is filled up.
    Number unit = 1;
    for (int i = 0; i < scale; ++i) unit *= 10;
    Number whole = rest / unit;
    Number fraction = rest % unit;
    while (whole != 0) {
        out.digit[out.count++] = static_cast<std::int16_t>(whole % 10000);
        whole /= 10000;
    }
    std::reverse(out.digit, out.digit + out.count);
    out.whole = out.count;
    for (int place = 0; place < scale; place += 4) {
        int digit = 0;
        for (int i = 0; i < 4; ++i) {
            digit *= 10;
            if (place + i < scale) {
                unit /= 10;
                digit += static_cast<int>(fraction / unit);
                fraction %= unit;
            }
        }
        out.digit[out.count++] = static_cast<std::int16_t>(digit);
    }
    return out;
}

void put_numeric(std::string& out, Int128 value, int scale) {
    const bool negative = value < 0;
    auto rest = static_cast<Uint128>(value);
    if (negative) rest = ~rest + 1;
    // Most are short, and dividing 128 bits is slow.
    const bool is_short = rest <= UINT64_MAX && scale < 19;
    const NumericDigits digits = is_short ? numeric_digits(static_cast<std::uint64_t>(rest), scale)
                                          : numeric_digits(rest, scale);
    put(out, static_cast<std::int32_t>(8 + 2 * digits.count));
    put(out, static_cast<std::int16_t>(digits.count));
    put(out, static_cast<std::int16_t>(digits.whole - 1));
    put(out, static_cast<std::int16_t>(negative ? 0x4000 : 0));
    put(out, static_cast<std::int16_t>(scale));
    for (int i = 0; i < digits.count; ++i) put(out, digits.digit[i]);
}

std::int32_t element_oid(const engine::ColumnType& type) {
    switch (type.kind) {
        case Kind::boolean:
            return 16;
        case Kind::integer:
            if (type.bytes == 1 || type.bytes == -1 || type.bytes == 2) return 21;
            return type.bytes == 4 || type.bytes == -2 ? 23 : 20;
        case Kind::unsigned64:
        case Kind::huge:
        case Kind::decimal:
            return 1700;
        case Kind::real:
            return 700;
        case Kind::double_:
            return 701;
        case Kind::text:
            return 25;
        case Kind::json:
            return 3802;
        case Kind::blob:
            return 17;
        case Kind::date:
            return 1082;
        case Kind::time:
            return 1083;
        case Kind::timestamp:
            return 1114;
        case Kind::timestamptz:
            return 1184;
        case Kind::interval:
            return 1186;
        case Kind::uuid:
            return 2950;
        case Kind::list:
        case Kind::other:
            break;
    }
    throw Error(ErrorCode::invalid, "a list of lists cannot be loaded");
}

void put_integer(std::string& out, const Cells& cells, std::size_t row) {
    const std::int64_t value = cells.integer(row);
    const int bytes = cells.type().bytes;
    if (bytes == 1 || bytes == -1 || bytes == 2) {
        put_sized(out, static_cast<std::int16_t>(value));
    } else if (bytes == 4 || bytes == -2) {
        put_sized(out, static_cast<std::int32_t>(value));
    } else {
        put_sized(out, value);
    }
}

void put_cell(std::string& out, const Cells& cells, std::size_t row);

void put_list(std::string& out, const Cells& cells, std::size_t row) {
    const auto [first, length] = cells.list(row);
    std::string body;
    bool nulls = false;
    for (std::uint64_t i = first; i < first + length; ++i) {
        nulls = nulls || cells.child().is_null(i);
        put_cell(body, cells.child(), i);
    }
    std::string array;
    put(array, std::int32_t{length == 0 ? 0 : 1});
    put(array, std::int32_t{nulls ? 1 : 0});
    put(array, element_oid(cells.child().type()));
    if (length != 0) {
        put(array, static_cast<std::int32_t>(length));
        put(array, std::int32_t{1});
    }
    put_text(out, array + body);
}

void put_cell(std::string& out, const Cells& cells, std::size_t row) {
    if (cells.is_null(row)) {
        put(out, std::int32_t{-1});
        return;
    }
    switch (cells.type().kind) {
        case Kind::boolean:
            put(out, std::int32_t{1});
            out += cells.boolean(row) ? '\1' : '\0';
            return;
        case Kind::integer:
            put_integer(out, cells, row);
            return;
        case Kind::unsigned64:
        case Kind::huge:
        case Kind::decimal:
            put_numeric(out, cells.huge(row), cells.type().scale);
            return;
        case Kind::real:
            put_sized(out, std::bit_cast<std::uint32_t>(static_cast<float>(cells.real(row))));
            return;
        case Kind::double_:
            put_sized(out, std::bit_cast<std::uint64_t>(cells.real(row)));
            return;
        case Kind::text:
        case Kind::blob:
            put_text(out, cells.text(row));
            return;
        case Kind::json:
            put(out, static_cast<std::int32_t>(cells.text(row).size() + 1));
            out += '\1';  // version of jsonb's binary form
            out.append(cells.text(row));
            return;
        case Kind::date:
            put_sized(out, date_of(cells.integer(row)));
            return;
        case Kind::time:
            put_sized(out, cells.integer(row));
            return;
        case Kind::timestamp:
        case Kind::timestamptz:
            put_sized(out, timestamp_of(cells.integer(row)));
            return;
        case Kind::interval: {
            const engine::IntervalValue value = cells.interval(row);
            put(out, std::int32_t{16});
            put(out, value.micros);
            put(out, value.days);
            put(out, value.months);
            return;
        }
        case Kind::uuid:
            put_text(out, cells.uuid(row));
            return;
        case Kind::list:
            put_list(out, cells, row);
            return;
        case Kind::other:
            break;
    }
    throw Error(ErrorCode::invalid, "a column of this type cannot be loaded: cast it to json");
}

}  // namespace

std::string copy_header() {
    std::string header("PGCOPY\n\377\r\n\0", 11);
    put(header, std::int32_t{0});
    put(header, std::int32_t{0});
    return header;
}

std::string copy_trailer() {
    std::string trailer;
    put(trailer, std::int16_t{-1});
    return trailer;
}

void encode(const engine::Chunk& chunk, std::string& out) {
    for (std::size_t row = 0; row < chunk.rows(); ++row) {
        put(out, static_cast<std::int16_t>(chunk.columns()));
        for (std::size_t column = 0; column < chunk.columns(); ++column) {
            put_cell(out, chunk.column(column), row);
        }
    }
}

}  // namespace sluice::load
