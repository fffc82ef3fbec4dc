// template_syntax.hpp — tokens and expressions inside the braces of a template; for
// model/template_*.cpp only. Faults are TemplateFault.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/template_parts.hpp"

namespace sluice::tmpl {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Expressions and blocks are not nested deeper.
constexpr int depth_max = 60;

enum class TokenKind { end, name, number, string, op };

struct Token {
    TokenKind kind{TokenKind::end};
    std::string text{};
    Value value{};
};

std::vector<Token> tokens_of(std::string_view text);

/// One expression, all of it.
ExprPtr parse_expression(std::vector<Token> tokens);
/// `x`, or `k, v`, then `in expr`: the names by commas, and the expression.
std::pair<std::string, ExprPtr> parse_loop_head(std::vector<Token> tokens);

}  // namespace sluice::tmpl
