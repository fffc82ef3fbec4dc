#include "operators/engine/row_text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/error.hpp"

namespace sluice::engine {

namespace {

/// Room for every cell that is not a text.
using CellText = std::array<char, 64>;

constexpr std::array<std::uint64_t, 20> powers_of_ten = [] {
    std::array<std::uint64_t, 20> out{1};
    for (std::size_t i = 1; i < out.size(); ++i) out[i] = 10 * out[i - 1];
    return out;
}();

std::size_t digits_of_number(std::uint64_t value) {
    value |= 1;  // 0 has a digit; no power of ten but 1 is odd
    // 1233 / 4096 is a little more than log10(2): the number of digits or one less.
    const auto least = static_cast<std::size_t>(std::bit_width(value)) * 1233 / 4096;
    return least + (value >= powers_of_ten[least] ? 1 : 0);
}

/// The last digits of the number, in the place before `end`.
void write_digits(std::uint64_t value, std::size_t count, char* end) {
    static constexpr auto pairs = [] {
        std::array<char, 200> out{};
        for (std::size_t i = 0; i < 100; ++i) {
            out[2 * i] = static_cast<char>('0' + i / 10);
            out[2 * i + 1] = static_cast<char>('0' + i % 10);
        }
        return out;
    }();
    for (; count >= 2; count -= 2, value /= 100) {
        end -= 2;
        std::memcpy(end, pairs.data() + 2 * (value % 100), 2);
    }
    if (count == 1) end[-1] = static_cast<char>('0' + value % 10);
}

/// Digits of the unscaled number, at the end of `out`.
std::string_view digits_at_end(CellText& out, Uint128 value) {
    // Few do not fit into 64 bits, and dividing 128 is slow.
    constexpr std::size_t piece = 19;
    char* end = out.data() + out.size();
    for (; value > UINT64_MAX; value /= powers_of_ten[piece], end -= piece)
        write_digits(static_cast<std::uint64_t>(value % powers_of_ten[piece]), piece, end);
    const auto rest = static_cast<std::uint64_t>(value);
    const std::size_t count = digits_of_number(rest);
    write_digits(rest, count, end);
    return {end - count, out.data() + out.size()};
}

/// Without zeros behind the point; the engine writes none before the point where the type has no
/// room for a digit there.
std::string_view decimal_text(CellText& out, Int128 value, int width, int scale) {
    CellText room;
    const bool negative = value < 0;
    const auto size = negative ? ~static_cast<Uint128>(value) + 1 : static_cast<Uint128>(value);
    std::string_view digits = digits_at_end(room, size);
    char* at = out.data();
    if (negative) *at++ = '-';
    const auto places = static_cast<std::size_t>(scale);
    const std::size_t whole = digits.size() > places ? digits.size() - places : 0;
    at = std::copy_n(digits.begin(), whole, at);
    if (whole == 0 && (width > scale || scale == 0)) *at++ = '0';
    digits.remove_prefix(whole);
    if (scale > 0) {
        *at++ = '.';
        at = std::fill_n(at, places - digits.size(), '0');
        at = std::copy(digits.begin(), digits.end(), at);
        while (at[-1] == '0') --at;
        if (at[-1] == '.') --at;
    }
    return {out.data(), at};
}

}  // namespace

bool writes_canonical(std::string_view type) {
    static constexpr std::array<std::string_view, 13> types{
        "VARCHAR",
        "JSON",
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE"
    };
    const bool decimal = type.starts_with("DECIMAL(") && type.ends_with(')');
    return decimal || std::ranges::find(types, type) != types.end();
}

char* RowText::reserve(std::size_t bytes) {
    if (bytes_.size() < size_ + bytes) bytes_.resize(2 * (size_ + bytes));
    return bytes_.data() + size_;
}

void RowText::add_text(std::string_view text) {
    char* const begin = reserve(text.size() + 24);
    char* at = begin;
    *at++ = 'v';
    if (text.size() < 10)
        *at++ = static_cast<char>('0' + text.size());
    else
        at = std::to_chars(at, at + 20, text.size()).ptr;
    *at++ = ':';
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    size_ += static_cast<std::size_t>(at - begin) + text.size();
}

void RowText::add_number(std::uint64_t size, bool negative) {
    const std::size_t digits = digits_of_number(size);
    const std::size_t bytes = digits + (negative ? 1 : 0);
    char* at = reserve(bytes + 4);
    char* const begin = at;
    *at++ = 'v';
    if (bytes >= 10) *at++ = static_cast<char>('0' + bytes / 10);
    *at++ = static_cast<char>('0' + bytes % 10);
    *at++ = ':';
    if (negative) *at++ = '-';
    at += digits;
    write_digits(size, digits, at);
    size_ += static_cast<std::size_t>(at - begin);
}

void RowText::add_number(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    add_number(value < 0 ? ~bits + 1 : bits, value < 0);
}

void RowText::add(const Cells& column, std::size_t row) {
    if (column.is_null(row)) {
        *reserve(1) = 'n';
        ++size_;
        return;
    }
    const ColumnType& type = column.type();
    switch (type.kind) {
        case Kind::text:
        case Kind::json:
            return add_text(column.text(row));
        case Kind::boolean:
            return add_text(column.boolean(row) ? "t" : "f");
        case Kind::integer:
            return add_number(column.integer(row));
        case Kind::unsigned64:
            return add_number(static_cast<std::uint64_t>(column.huge(row)), false);
        case Kind::timestamp:
        case Kind::timestamptz: {
            const std::int64_t micros = column.integer(row);
            if (micros == INT64_MAX) return add_text("infinity");
            if (micros == -INT64_MAX) return add_text("-infinity");
            return add_number(micros);
        }
        case Kind::decimal: {
            CellText room;
            return add_text(decimal_text(room, column.huge(row), type.width, type.scale));
        }
        case Kind::huge:
        case Kind::real:
        case Kind::double_:
        case Kind::blob:
        case Kind::date:
        case Kind::time:
        case Kind::interval:
        case Kind::uuid:
        case Kind::list:
        case Kind::other:
            break;
    }
    throw Error(ErrorCode::internal, "a row's text has no cells of such a type");
}

}  // namespace sluice::engine
