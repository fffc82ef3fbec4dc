// names.hpp — one table of (enumerator, name) and the two ways through it.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/check.hpp"

namespace sluice {

template <class Enum, std::size_t size>
using NameTable = std::array<std::pair<Enum, std::string_view>, size>;

template <class Enum, std::size_t size>
std::string_view name_in(const NameTable<Enum, size>& table, Enum value) {
    for (const auto& [candidate, text] : table)
        if (candidate == value) return text;
    unreachable();
}

template <class Enum, std::size_t size>
std::optional<Enum> value_in(const NameTable<Enum, size>& table, std::string_view text) {
    for (const auto& [candidate, known] : table)
        if (known == text) return candidate;
    return std::nullopt;
}

}  // namespace sluice
