// The text between the braces -> tokens.
#include <charconv>

#include <fmt/format.h>

#include "model/template_syntax.hpp"

namespace sluice::tmpl {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

Token read_string(std::string_view text, std::size_t& at) {
    const char quote = text[at++];
    std::string out;
    for (; at < text.size(); ++at) {
        char c = text[at];
        if (c == quote) {
            ++at;
            return {TokenKind::string, "", tmpl::text(std::move(out))};
        }
        if (c == '\\' && at + 1 < text.size()) {
            c = text[++at];
            if (c == 'n') c = '\n';
            if (c == 't') c = '\t';
        }
        out += c;
    }
    fault("a string in a template does not end");
}

Token read_number(std::string_view text, std::size_t& at) {
    const std::size_t start = at;
    bool whole = true;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) {
        whole = false;
        ++at;
        while (at < text.size() && is_digit(text[at])) ++at;
    }
    const auto digits = text.substr(start, at - start);
    if (whole) {
        std::int64_t number{};
        if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{})
            fault(fmt::format("the number {} is too large", digits));
        return {TokenKind::number, "", Value{number}};
    }
    double number{};
    if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{})
        fault(fmt::format("the number {} is too large", digits));
    return {TokenKind::number, "", Value{number}};
}

}  // namespace

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> out;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            ++at;
        } else if (is_letter(c)) {
            const std::size_t start = at;
            while (at < text.size() && (is_letter(text[at]) || is_digit(text[at]))) ++at;
            out.push_back({TokenKind::name, std::string(text.substr(start, at - start))});
        } else if (is_digit(c)) {
            out.push_back(read_number(text, at));
        } else if (c == '"' || c == '\'') {
            out.push_back(read_string(text, at));
        } else {
            const auto two = text.substr(at, 2);
            if (two == "==" || two == "!=" || two == "<=" || two == ">=" || two == "//") {
                out.push_back({TokenKind::op, std::string(two)});
                at += 2;
            } else if (std::string_view("+-*/%~<>()[]{},.:|=").find(c) != std::string_view::npos) {
                out.push_back({TokenKind::op, std::string(1, c)});
                ++at;
            } else {
                fault(fmt::format("'{}' has no meaning in a template", c));
            }
        }
    }
    return out;
}

}  // namespace sluice::tmpl
