#include "operators/expression/lexer.hpp"

#include <array>

namespace sluice::expression {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
           static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) {}

    std::vector<Token> all() {
        std::vector<Token> out;
        do {
            out.push_back(next());
        } while (out.back().kind != TokenKind::end && out.back().kind != TokenKind::bad);
        return out;
    }

private:
    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }

    Token next() {
        skip_space();
        const std::size_t start = at_;
        const char c = peek();
        if (at_ >= text_.size()) return {TokenKind::end, "", start};
        if (c == '\'') return quoted('\'', TokenKind::string);
        if (c == '"') return quoted('"', TokenKind::quoted);
        if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
        if (c == '$' && is_digit(peek(1))) {
            ++at_;
            while (is_digit(peek())) ++at_;
            return {
                TokenKind::parameter, std::string(text_.substr(start + 1, at_ - start - 1)), start
            };
        }
        if (is_word(c)) {
            std::string word;
            for (; is_word(peek()); ++at_)
                word +=
                    peek() >= 'A' && peek() <= 'Z' ? static_cast<char>(peek() - 'A' + 'a') : peek();
            return {TokenKind::word, word, start};
        }
        return symbol();
    }

    void skip_space() {
        for (;;) {
            while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
            if (peek() != '-' || peek(1) != '-') return;
            while (at_ < text_.size() && peek() != '\n') ++at_;
        }
    }

    Token quoted(char quote, TokenKind kind) {
        const std::size_t start = at_++;
        std::string value;
        for (; at_ < text_.size(); ++at_) {
            if (peek() != quote) {
                value += peek();
            } else if (peek(1) == quote) {
                value += quote;
                ++at_;
            } else {
                ++at_;
                return {kind, value, start};
            }
        }
        return {TokenKind::bad, "a quote that is not closed", start};
    }

    Token number() {
        const std::size_t start = at_;
        while (is_digit(peek())) ++at_;
        if (peek() == '.') {
            ++at_;
            while (is_digit(peek())) ++at_;
        }
        if ((peek() == 'e' || peek() == 'E') &&
            (is_digit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && is_digit(peek(2))))) {
            at_ += 2;
            while (is_digit(peek())) ++at_;
        }
        if (is_word(peek())) return {TokenKind::bad, "a number that runs into a name", start};
        return {TokenKind::number, std::string(text_.substr(start, at_ - start)), start};
    }

    Token symbol() {
        constexpr std::array two{"<>", "!=", "<=", ">=", "||", "::"};
        const std::size_t start = at_;
        for (const char* pair : two)
            if (text_.substr(at_, 2) == pair) {
                at_ += 2;
                return {TokenKind::symbol, pair == std::string_view("!=") ? "<>" : pair, start};
            }
        constexpr std::string_view one = "=<>+-*/%(),.";
        if (one.find(peek()) == std::string_view::npos)
            return {
                TokenKind::bad,
                std::string("a character that has no meaning here: ") + peek(),
                start
            };
        return {TokenKind::symbol, std::string(1, text_[at_++]), start};
    }

    std::string_view text_;
    std::size_t at_{0};
};

}  // namespace

std::vector<Token> tokens(std::string_view text) { return Lexer(text).all(); }

}  // namespace sluice::expression
