#include "operators/engine/row_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/error.hpp"

namespace sluice::engine {

namespace {

/// Room for every cell that is not a text.
using CellText = std::array<char, 64>;

std::string_view number_text(CellText& out, std::int64_t value) {
    return {out.data(), std::to_chars(out.begin(), out.end(), value).ptr};
}

std::string_view unsigned_text(CellText& out, std::uint64_t value) {
    return {out.data(), std::to_chars(out.begin(), out.end(), value).ptr};
}

std::string_view instant_text(CellText& out, std::int64_t micros) {
    if (micros == INT64_MAX) return "infinity";
    if (micros == -INT64_MAX) return "-infinity";
    return number_text(out, micros);
}

/// Digits of the unscaled number, at the end of `out`.
std::string_view digits_at_end(CellText& out, Uint128 value) {
    char* at = out.data() + out.size();
    do {
        *--at = static_cast<char>('0' + static_cast<int>(value % 10));
        value /= 10;
    } while (value != 0);
    return {at, out.data() + out.size()};
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

void RowText::add(const Cells& column, std::size_t row) {
    if (column.is_null(row)) {
        *reserve(1) = 'n';
        ++size_;
        return;
    }
    CellText room;
    const ColumnType& type = column.type();
    switch (type.kind) {
        case Kind::text:
        case Kind::json:
            return add_text(column.text(row));
        case Kind::boolean:
            return add_text(column.boolean(row) ? "t" : "f");
        case Kind::integer:
            return add_text(number_text(room, column.integer(row)));
        case Kind::unsigned64:
            return add_text(unsigned_text(room, static_cast<std::uint64_t>(column.huge(row))));
        case Kind::timestamp:
        case Kind::timestamptz:
            return add_text(instant_text(room, column.integer(row)));
        case Kind::decimal:
            return add_text(decimal_text(room, column.huge(row), type.width, type.scale));
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
