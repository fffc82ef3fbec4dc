// template_calls.hpp — what filters, methods and macros of templates share; for
// model/template_*.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/template_parts.hpp"

namespace sluice::tmpl {

/// A text that a template makes is never larger.
constexpr std::size_t text_max = 1U << 20;

// Arguments as what `who` needs; faults that name it.
const std::string& text_of(const Value& value, std::string_view who);
std::int64_t whole_of(const Value& value, std::string_view who);
const Value& argument(
    const Arguments& arguments, std::size_t at, const std::string& name, std::string_view who
);

// Filters that are methods of text too.
Value upper_of(const Value& value, const Arguments& arguments);
Value lower_of(const Value& value, const Arguments& arguments);
Value trim_of(const Value& value, const Arguments& arguments);
Value replace(const Value& value, const Arguments& arguments);
Value split(const Value& value, const Arguments& arguments);
Value join(const Value& value, const Arguments& arguments);

}  // namespace sluice::tmpl
