// Template text -> nodes: the blocks first, then the expressions inside them.
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "model/template_parts.hpp"

namespace sluice::tmpl {
namespace {

constexpr int depth_max = 60;
constexpr int operators_max = 1000;

[[noreturn]] void fault(std::string message, std::string suggestion = {}) {
    throw TemplateFault{.message = std::move(message), .suggestion = std::move(suggestion)};
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// ---- tokens of an expression ------------------------------------------------------------------

enum class TokenKind { end, name, number, string, op };

struct Token {
    TokenKind kind{TokenKind::end};
    std::string text{};
    Value value{};
};

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

// ---- expressions ------------------------------------------------------------------------------

class ExpressionParser {
public:
    explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    ExprPtr whole() {
        if (tokens_.empty()) fault("there is nothing between the braces");
        auto expr = expression();
        if (at_ < tokens_.size()) fault(fmt::format("'{}' is unexpected here", shown()));
        return expr;
    }
    /// `x`, or `k, v`, then `in expr`.
    std::pair<std::string, ExprPtr> loop_head() {
        std::string names = name("a name after for");
        while (take_op(",")) names += ',' + name("a name");
        if (!take_word("in")) fault("'in' is missing in {% for %}");
        return {std::move(names), whole()};
    }

private:
    struct Deeper {
        explicit Deeper(int& depth) : depth_(depth) {
            if (++depth_ > depth_max) fault("the expression is nested too deeply");
        }
        ~Deeper() { --depth_; }
        Deeper(const Deeper&) = delete;
        Deeper& operator=(const Deeper&) = delete;
        int& depth_;
    };

    [[nodiscard]] const Token& now() const {
        static const Token end{};
        return at_ < tokens_.size() ? tokens_[at_] : end;
    }
    [[nodiscard]] std::string shown() const {
        const auto& token = now();
        if (token.kind == TokenKind::end) return "the end";
        return token.text.empty() ? to_text(token.value) : token.text;
    }
    [[nodiscard]] bool is_op(std::string_view op) const {
        return now().kind == TokenKind::op && now().text == op;
    }
    [[nodiscard]] bool is_word(std::string_view word) const {
        return now().kind == TokenKind::name && now().text == word;
    }
    bool take_op(std::string_view op) { return is_op(op) && (++at_, true); }
    bool take_word(std::string_view word) { return is_word(word) && (++at_, true); }
    void expect(std::string_view op) {
        if (!take_op(op)) fault(fmt::format("'{}' is expected before {}", op, shown()));
    }
    std::string name(std::string_view what) {
        if (now().kind != TokenKind::name) fault(fmt::format("{} is expected", what));
        return tokens_[at_++].text;
    }

    ExprPtr make(ExprKind kind, std::string text, ExprPtr a, ExprPtr b = {}, ExprPtr c = {}) {
        // A chain of operators is a tree as deep as the chain is long.
        if (++made_ > operators_max) fault("the expression is too long");
        auto out = std::make_unique<Expr>();
        out->kind = kind;
        out->text = std::move(text);
        out->parts.push_back(std::move(a));
        if (b) out->parts.push_back(std::move(b));
        if (c) out->parts.push_back(std::move(c));
        return out;
    }

    ExprPtr expression() {
        const Deeper deeper(depth_);
        auto value = disjunction();
        if (!take_word("if")) return value;
        auto condition = disjunction();
        if (!take_word("else")) fault("an inline if needs an else");
        return make(ExprKind::choose, "", std::move(value), std::move(condition), expression());
    }

    ExprPtr disjunction() {
        auto left = conjunction();
        while (take_word("or")) left = make(ExprKind::binary, "or", std::move(left), conjunction());
        return left;
    }
    ExprPtr conjunction() {
        auto left = negation();
        while (take_word("and")) left = make(ExprKind::binary, "and", std::move(left), negation());
        return left;
    }
    ExprPtr negation() {
        const Deeper deeper(depth_);
        if (take_word("not")) return make(ExprKind::unary, "not", negation());
        return comparison();
    }

    ExprPtr comparison() {
        auto left = joined();
        if (take_word("is")) return test(std::move(left));
        std::string op = comparison_sign();
        if (op.empty()) return left;
        left = make(ExprKind::binary, op, std::move(left), joined());
        if (!comparison_sign().empty())
            fault("comparisons are not chained here", "write a < b and b < c");
        return left;
    }
    std::string comparison_sign() {
        for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">"})
            if (take_op(op)) return std::string(op);
        if (take_word("in")) return "in";
        if (is_word("not") && at_ + 1 < tokens_.size() && tokens_[at_ + 1].text == "in") {
            at_ += 2;
            return "not in";
        }
        return {};
    }
    ExprPtr test(ExprPtr value) {
        const bool inverted = take_word("not");
        const std::string what = name("the name of a test after is");
        for (const std::string_view known :
             {"defined",
              "undefined",
              "none",
              "string",
              "number",
              "mapping",
              "sequence",
              "true",
              "false"})
            if (what == known) {
                auto out = make(ExprKind::test, what, std::move(value));
                return inverted ? make(ExprKind::unary, "not", std::move(out)) : std::move(out);
            }
        fault(fmt::format("there is no test \"{}\"", what), "defined, none, string, number, ...");
    }

    ExprPtr joined() {
        auto left = sum();
        while (take_op("~")) left = make(ExprKind::binary, "~", std::move(left), sum());
        return left;
    }
    ExprPtr sum() {
        auto left = product();
        while (is_op("+") || is_op("-")) {
            const std::string op = tokens_[at_++].text;
            left = make(ExprKind::binary, op, std::move(left), product());
        }
        return left;
    }
    ExprPtr product() {
        auto left = signed_value();
        while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
            const std::string op = tokens_[at_++].text;
            left = make(ExprKind::binary, op, std::move(left), signed_value());
        }
        return left;
    }
    ExprPtr signed_value() {
        const Deeper deeper(depth_);
        if (take_op("-")) return make(ExprKind::unary, "-", signed_value());
        if (take_op("+")) return make(ExprKind::unary, "+", signed_value());
        return postfix();
    }

    ExprPtr postfix() {
        auto value = primary();
        for (;;) {
            if (take_op(".")) {
                value = make(ExprKind::attribute, name("a name after '.'"), std::move(value));
            } else if (take_op("[")) {
                auto key = expression();
                expect("]");
                value = make(ExprKind::index, "", std::move(value), std::move(key));
            } else if (take_op("(")) {
                value = with_arguments(make(ExprKind::call, "", std::move(value)));
            } else if (take_op("|")) {
                value = make(ExprKind::filter, name("a filter after '|'"), std::move(value));
                if (take_op("(")) value = with_arguments(std::move(value));
            } else {
                return value;
            }
        }
    }

    /// `out` is a call or a filter with its one part; its arguments follow.
    ExprPtr with_arguments(ExprPtr out) {
        while (!take_op(")")) {
            if (now().kind == TokenKind::name && at_ + 1 < tokens_.size() &&
                tokens_[at_ + 1].text == "=" && tokens_[at_ + 1].kind == TokenKind::op) {
                std::string key = name("a name");
                ++at_;
                out->named.emplace_back(std::move(key), expression());
            } else {
                if (!out->named.empty()) fault("unnamed arguments come first");
                out->parts.push_back(expression());
            }
            if (!is_op(")")) expect(",");
        }
        return out;
    }

    ExprPtr primary() {
        const Deeper deeper(depth_);
        const Token token = now();
        ++at_;
        switch (token.kind) {
            case TokenKind::end:
                fault("the expression is not complete");
            case TokenKind::number:
            case TokenKind::string:
                return literal(token.value);
            case TokenKind::name:
                return word(token.text);
            case TokenKind::op:
                break;
        }
        if (token.text == "(") {
            auto inner = expression();
            expect(")");
            return inner;
        }
        if (token.text == "[") return items(ExprKind::list, "]");
        if (token.text == "{") return items(ExprKind::dict, "}");
        fault(fmt::format("'{}' is unexpected here", token.text));
    }

    static ExprPtr literal(Value value) {
        auto out = std::make_unique<Expr>();
        out->value = std::move(value);
        return out;
    }

    static ExprPtr word(const std::string& text) {
        if (text == "true" || text == "True") return literal(Value{true});
        if (text == "false" || text == "False") return literal(Value{false});
        if (text == "none" || text == "None" || text == "null") return literal(Value{nullptr});
        auto out = std::make_unique<Expr>();
        out->kind = ExprKind::name;
        out->text = text;
        return out;
    }

    ExprPtr items(ExprKind kind, std::string_view close) {
        auto out = std::make_unique<Expr>();
        out->kind = kind;
        while (!take_op(close)) {
            out->parts.push_back(expression());
            if (kind == ExprKind::dict) {
                expect(":");
                out->parts.push_back(expression());
            }
            if (!is_op(close)) expect(",");
        }
        return out;
    }

    std::vector<Token> tokens_;
    std::size_t at_{0};
    int depth_{0};
    int made_{0};
};

// ---- blocks -----------------------------------------------------------------------------------

enum class PieceKind { text, output, statement };

struct Piece {
    PieceKind kind{PieceKind::text};
    std::string text;
};

/// The place of `close` after `from`, not inside a string.
std::size_t find_close(std::string_view text, std::size_t from, std::string_view close) {
    char quote = '\0';
    for (std::size_t at = from; at < text.size(); ++at) {
        const char c = text[at];
        if (quote != '\0') {
            if (c == '\\') ++at;
            if (c == quote) quote = '\0';
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (text.substr(at).starts_with(close)) {
            return at;
        }
    }
    return std::string_view::npos;
}

void trim_end(std::string& text) {
    const auto last = text.find_last_not_of(" \t\r\n");
    text.resize(last == std::string::npos ? 0 : last + 1);
}

std::vector<Piece> pieces_of(std::string_view text) {
    std::vector<Piece> out;
    std::string plain;
    for (std::size_t at = 0; at < text.size();) {
        const auto two = text.substr(at, 2);
        if (two != "{{" && two != "{%" && two != "{#") {
            plain += text[at++];
            continue;
        }
        const std::string_view close = two == "{{" ? "}}" : (two == "{%" ? "%}" : "#}");
        const auto end = two == "{#" ? text.find(close, at + 2) : find_close(text, at + 2, close);
        if (end == std::string_view::npos) fault(fmt::format("{} has no {}", two, close));
        std::string_view inner = text.substr(at + 2, end - at - 2);
        at = end + 2;
        // A '-' beside the braces takes the white space around with it.
        if (inner.starts_with('-')) {
            trim_end(plain);
            inner.remove_prefix(1);
        }
        const bool trims = inner.ends_with('-');
        if (trims) inner.remove_suffix(1);
        if (!plain.empty()) out.push_back({PieceKind::text, std::exchange(plain, {})});
        if (two == "{{") out.push_back({PieceKind::output, std::string(inner)});
        if (two == "{%") out.push_back({PieceKind::statement, std::string(inner)});
        while (trims && at < text.size() &&
               std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos)
            ++at;
    }
    if (!plain.empty()) out.push_back({PieceKind::text, std::move(plain)});
    return out;
}

class BlockParser {
public:
    explicit BlockParser(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

    Nodes document() {
        Nodes nodes = block(0);
        if (at_ < pieces_.size()) fault(fmt::format("{{% {} %}} has no beginning", keyword_));
        return nodes;
    }

private:
    static std::vector<Token> tokens(const Piece& piece) { return tokens_of(piece.text); }

    /// Nodes until a statement that belongs to the block around; its word is in keyword_.
    Nodes block(int depth) {
        if (depth > depth_max) fault("the blocks are nested too deeply");
        Nodes nodes;
        for (; at_ < pieces_.size(); ++at_) {
            const Piece& piece = pieces_[at_];
            Node node;
            switch (piece.kind) {
                case PieceKind::text:
                    node.text = piece.text;
                    break;
                case PieceKind::output:
                    node.kind = NodeKind::output;
                    node.expr = ExpressionParser(tokens(piece)).whole();
                    break;
                case PieceKind::statement:
                    rest_ = tokens(piece);
                    if (rest_.empty() || rest_.front().kind != TokenKind::name)
                        fault("a statement begins with if, elif, else, endif, for or endfor");
                    keyword_ = rest_.front().text;
                    rest_.erase(rest_.begin());
                    if (keyword_ == "if") {
                        node = branch(depth);
                    } else if (keyword_ == "for") {
                        node = loop(depth);
                    } else if (keyword_ == "elif" || keyword_ == "else" || keyword_ == "endif" ||
                               keyword_ == "endfor") {
                        return nodes;
                    } else {
                        fault(
                            fmt::format("there is no statement \"{}\"", keyword_),
                            "if, elif, else, endif, for, endfor"
                        );
                    }
                    break;
            }
            nodes.push_back(std::move(node));
        }
        keyword_.clear();
        return nodes;
    }

    Node branch(int depth) {
        Node node;
        node.kind = NodeKind::branch;
        bool last = false;
        for (;;) {
            ExprPtr condition;
            if (!last) condition = ExpressionParser(std::move(rest_)).whole();
            ++at_;
            Nodes body = block(depth + 1);
            node.arms.emplace_back(std::move(condition), std::move(body));
            if (keyword_ == "endif") return node;
            if (last || (keyword_ != "elif" && keyword_ != "else"))
                fault("{% if %} has no {% endif %}");
            last = keyword_ == "else";
        }
    }

    Node loop(int depth) {
        Node node;
        node.kind = NodeKind::loop;
        auto [names, expr] = ExpressionParser(std::move(rest_)).loop_head();
        node.text = std::move(names);
        node.expr = std::move(expr);
        ++at_;
        node.body = block(depth + 1);
        if (keyword_ != "endfor") fault("{% for %} has no {% endfor %}");
        return node;
    }

    std::vector<Piece> pieces_;
    std::size_t at_{0};
    std::string keyword_;
    std::vector<Token> rest_;
};

}  // namespace

Nodes parse(std::string_view text) { return BlockParser(pieces_of(text)).document(); }

}  // namespace sluice::tmpl
