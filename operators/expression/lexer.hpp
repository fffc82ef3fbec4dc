// lexer.hpp — the tokens of the expression language.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::expression {

enum class TokenKind : std::uint8_t {
    word,    // an unquoted name or keyword, in lower case
    quoted,  // a name in double quotes
    string,  // 'text', unescaped
    number,
    parameter,  // $1: text is the digits
    symbol,     // an operator or bracket
    bad,        // text says what is wrong
    end,
};

struct Token {
    TokenKind kind{TokenKind::end};
    std::string text;
    std::size_t position{};
};

std::vector<Token> tokens(std::string_view text);

}  // namespace sluice::expression
