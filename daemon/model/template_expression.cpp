// Tokens -> the tree of an expression, by descent: one function a level of precedence.
#include <fmt/format.h>

#include "model/template_syntax.hpp"

namespace sluice::tmpl {
namespace {

constexpr int operators_max = 1000;

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

}  // namespace

ExprPtr parse_expression(std::vector<Token> tokens) {
    return ExpressionParser(std::move(tokens)).whole();
}

std::pair<std::string, ExprPtr> parse_loop_head(std::vector<Token> tokens) {
    return ExpressionParser(std::move(tokens)).loop_head();
}

}  // namespace sluice::tmpl
