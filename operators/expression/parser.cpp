// The parser: recursive descent, SQL's precedences. Stops at the first error of an expression.
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "operators/expression/expression.hpp"
#include "operators/expression/functions.hpp"
#include "operators/expression/lexer.hpp"

namespace sluice::expression {

namespace {

using nlohmann::json;

constexpr int depth_limit = 200;

struct Stop {
    std::string code;
    std::string message;
    std::string suggestion;
    std::size_t position;
};

class Parser {
public:
    Parser(const Source& source, const json& values)
        : tokens_(tokens(source.text)), values_(values) {}

    Expression whole() {
        Expression out{expression()};
        expect_end();
        return out;
    }

    std::vector<OrderItem> order() {
        std::vector<OrderItem> out;
        do {
            OrderItem item{Expression{expression()}, false, false};
            if (word("desc"))
                item.descending = true;
            else
                word("asc");
            if (word("nulls")) {
                item.nulls_first = word("first");
                if (!item.nulls_first) require_word("last");
            }
            out.push_back(std::move(item));
        } while (symbol(","));
        expect_end();
        return out;
    }

private:
    [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
        return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
    }
    Token take() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_.back(); }

    [[noreturn]] void fail(std::string message, std::string suggestion = {}) const {
        const Token& token = peek();
        if (token.kind == TokenKind::bad) message = token.text;
        throw Stop{"E-EXPR", std::move(message), std::move(suggestion), token.position};
    }
    void expect_end() const {
        if (peek().kind != TokenKind::end) fail("\"" + peek().text + "\" was not expected here");
    }
    bool is_word(std::string_view text, std::size_t ahead = 0) const {
        return peek(ahead).kind == TokenKind::word && peek(ahead).text == text;
    }
    bool word(std::string_view text) {
        if (!is_word(text)) return false;
        take();
        return true;
    }
    void require_word(std::string_view text) {
        if (!word(text)) fail("expected \"" + std::string(text) + "\" here");
    }
    bool is_symbol(std::string_view text, std::size_t ahead = 0) const {
        return peek(ahead).kind == TokenKind::symbol && peek(ahead).text == text;
    }
    bool symbol(std::string_view text) {
        if (!is_symbol(text)) return false;
        take();
        return true;
    }
    void require_symbol(std::string_view text) {
        if (!symbol(text)) fail("expected \"" + std::string(text) + "\" here");
    }

    static std::shared_ptr<Node> make(NodeKind kind, std::size_t position, std::string name = {}) {
        auto node = std::make_shared<Node>();
        node->kind = kind;
        node->name = std::move(name);
        node->position = position;
        return node;
    }
    static NodePtr binary(std::string name, NodePtr left, NodePtr right) {
        auto node = make(NodeKind::binary, left->position, std::move(name));
        node->children = {std::move(left), std::move(right)};
        return node;
    }
    static NodePtr unary(std::string name, std::size_t position, NodePtr operand) {
        auto node = make(NodeKind::unary, position, std::move(name));
        node->children = {std::move(operand)};
        return node;
    }

    NodePtr expression() {
        if (++depth_ > depth_limit) fail("the expression is nested too deeply");
        NodePtr left = conjunction();
        while (word("or")) left = binary("or", std::move(left), conjunction());
        --depth_;
        return left;
    }
    NodePtr conjunction() {
        NodePtr left = negation();
        while (word("and")) left = binary("and", std::move(left), negation());
        return left;
    }
    NodePtr negation() {
        const std::size_t position = peek().position;
        if (!word("not")) return predicate();
        if (++depth_ > depth_limit) fail("the expression is nested too deeply");
        NodePtr operand = negation();
        --depth_;
        return unary("not", position, std::move(operand));
    }

    NodePtr predicate() {
        NodePtr left = sum();
        for (;;) {
            if (word("is")) {
                left = is_predicate(std::move(left));
                continue;
            }
            const bool negated = is_word("not") && (is_word("in", 1) || is_word("between", 1) ||
                                                    is_word("like", 1) || is_word("ilike", 1));
            if (negated) take();
            if (is_word("in") || is_word("between")) {
                left = list_predicate(std::move(left), negated);
            } else if (is_word("like") || is_word("ilike")) {
                const std::string name = (negated ? "not " : "") + take().text;
                left = binary(name, std::move(left), sum());
            } else if (peek().kind == TokenKind::symbol && is_comparison(peek().text)) {
                const std::string name = take().text;
                left = binary(name, std::move(left), sum());
            } else {
                return left;
            }
        }
    }
    static bool is_comparison(std::string_view text) {
        return text == "=" || text == "<>" || text == "<" || text == "<=" || text == ">" ||
               text == ">=";
    }
    NodePtr is_predicate(NodePtr left) {
        const bool negated = word("not");
        if (word("distinct")) {
            require_word("from");
            return binary(
                negated ? "is not distinct from" : "is distinct from", std::move(left), sum()
            );
        }
        if (is_word("true") || is_word("false")) {
            auto boolean = make(NodeKind::boolean, peek().position);
            boolean->text = take().text;
            return binary(
                negated ? "is distinct from" : "is not distinct from", std::move(left), boolean
            );
        }
        require_word("null");
        auto node = make(NodeKind::is_null, left->position);
        node->negated = negated;
        node->children = {std::move(left)};
        return node;
    }
    NodePtr list_predicate(NodePtr left, bool negated) {
        const bool in = take().text == "in";
        auto node = make(in ? NodeKind::in : NodeKind::between, left->position);
        node->negated = negated;
        node->children.push_back(std::move(left));
        if (in) {
            require_symbol("(");
            do {
                node->children.push_back(expression());
            } while (symbol(","));
            require_symbol(")");
        } else {
            node->children.push_back(sum());
            require_word("and");
            node->children.push_back(sum());
        }
        return node;
    }

    NodePtr sum() {
        NodePtr left = product();
        while (is_symbol("+") || is_symbol("-") || is_symbol("||")) {
            const std::string name = take().text;
            left = binary(name, std::move(left), product());
        }
        return left;
    }
    NodePtr product() {
        NodePtr left = factor();
        while (is_symbol("*") || is_symbol("/") || is_symbol("%")) {
            const std::string name = take().text;
            left = binary(name, std::move(left), factor());
        }
        return left;
    }
    NodePtr factor() {
        const std::size_t position = peek().position;
        if (symbol("+")) return factor();
        if (symbol("-")) {
            if (++depth_ > depth_limit) fail("the expression is nested too deeply");
            NodePtr operand = factor();
            --depth_;
            return unary("-", position, std::move(operand));
        }
        NodePtr value = primary();
        while (symbol("::")) value = cast_to(std::move(value), type(), false);
        return value;
    }

    static NodePtr cast_to(NodePtr value, std::string type, bool lenient) {
        auto node = make(NodeKind::cast, value->position, std::move(type));
        node->lenient = lenient;
        node->children = {std::move(value)};
        return node;
    }
    /// A type of the language: "varchar(10)", "decimal(10,2)", "bigint".
    std::string type() {
        const std::size_t position = peek().position;
        if (peek().kind != TokenKind::word) fail("expected a type here");
        std::string name = take().text;
        if (symbol("(")) {
            name += "(" + take().text;
            while (symbol(",")) name += "," + take().text;
            require_symbol(")");
            name += ")";
        }
        if (!engine::is_language_type(name))
            throw Stop{"E-EXPR-TYPE", "\"" + name + "\" is not a type", "", position};
        return name;
    }

    NodePtr primary() {
        const Token token = peek();
        switch (token.kind) {
            case TokenKind::number:
            case TokenKind::string: {
                auto node = make(
                    token.kind == TokenKind::number ? NodeKind::number : NodeKind::string,
                    token.position
                );
                node->text = take().text;
                return node;
            }
            case TokenKind::parameter:
                return parameter();
            case TokenKind::quoted:
                return column();
            case TokenKind::word:
                return word_primary();
            case TokenKind::symbol: {
                if (!symbol("(")) fail("a value was expected here, not \"" + token.text + "\"");
                NodePtr inside = expression();
                require_symbol(")");
                return inside;
            }
            case TokenKind::bad:
                fail(token.text);
            case TokenKind::end:
                fail("the expression ends too early");
        }
        fail("a value was expected here");
    }

    NodePtr word_primary() {
        const Token token = peek();
        if (token.text == "null" || token.text == "true" || token.text == "false") {
            auto node =
                make(token.text == "null" ? NodeKind::null : NodeKind::boolean, token.position);
            node->text = take().text;
            return node;
        }
        if (token.text == "case") return case_();
        if ((token.text == "cast" || token.text == "try_cast") && is_symbol("(", 1)) {
            take();
            take();
            NodePtr value = expression();
            require_word("as");
            NodePtr node = cast_to(std::move(value), type(), token.text == "try_cast");
            require_symbol(")");
            return node;
        }
        if (peek(1).kind == TokenKind::string && engine::is_language_type(token.text)) {
            auto node = make(NodeKind::typed, token.position, take().text);
            node->text = take().text;
            return node;
        }
        if (is_symbol("(", 1)) return call();
        return column();
    }

    NodePtr column() {
        auto node = make(NodeKind::column, peek().position, take().text);
        if (!symbol(".")) return node;
        node->qualifier = node->name;
        if (peek().kind != TokenKind::word && peek().kind != TokenKind::quoted)
            fail("a column's name was expected here");
        node->name = take().text;
        if (node->qualifier != "l" && node->qualifier != "r")
            throw Stop{
                "E-EXPR-COLUMN",
                "\"" + node->qualifier +
                    "\" cannot stand before a column: only l and r can, in the "
                    "condition of a join",
                "",
                node->position
            };
        return node;
    }

    NodePtr call() {
        const Token name = take();
        const Function* function = find_function(name.text);
        if (function == nullptr)
            throw Stop{
                "E-EXPR-FUNCTION",
                "there is no function \"" + name.text + "\" in expressions",
                did_you_mean(name.text, function_names()),
                name.position
            };
        auto node = make(NodeKind::call, name.position, name.text);
        require_symbol("(");
        if (function->scope == Scope::aggregate) {
            if (in_aggregate_) fail("an aggregate cannot stand inside another");
            in_aggregate_ = true;
            node->distinct = word("distinct");
        }
        if (name.text == "count" && is_symbol("*")) {
            node->children.push_back(make(NodeKind::star, take().position));
        } else if (!is_symbol(")")) {
            do {
                node->children.push_back(expression());
            } while (symbol(","));
        }
        require_symbol(")");
        if (function->scope == Scope::aggregate) in_aggregate_ = false;
        const int count = static_cast<int>(node->children.size());
        if (count < function->least || (function->most >= 0 && count > function->most))
            throw Stop{
                "E-EXPR-FUNCTION",
                "\"" + name.text + "\" takes " + std::to_string(function->least) +
                    (function->most == function->least ? ""
                     : function->most < 0              ? " or more"
                                                       : " to " + std::to_string(function->most)) +
                    " arguments, not " + std::to_string(count),
                "",
                name.position
            };
        return node;
    }

    NodePtr case_() {
        auto node = make(NodeKind::case_, take().position);
        NodePtr subject;
        if (!is_word("when")) subject = expression();
        while (word("when")) {
            NodePtr when = expression();
            if (subject) when = binary("=", subject, std::move(when));
            node->children.push_back(std::move(when));
            require_word("then");
            node->children.push_back(expression());
        }
        if (node->children.empty()) fail("expected \"when\" here");
        if (word("else")) {
            node->has_else = true;
            node->children.push_back(expression());
        }
        require_word("end");
        return node;
    }

    NodePtr parameter() {
        const Token token = take();
        const std::size_t index = std::stoul(token.text.substr(0, 6));
        if (index == 0 || index > values_.size())
            throw Stop{"E-EXPR", "there is no value $" + token.text, "", token.position};
        const json& value = values_[index - 1];
        auto node = make(NodeKind::null, token.position);
        if (value.is_boolean()) {
            node->kind = NodeKind::boolean;
            node->text = value.get<bool>() ? "true" : "false";
        } else if (value.is_number()) {
            node->kind = NodeKind::number;
            node->text = value.dump();
        } else if (value.is_string()) {
            node->kind = NodeKind::string;
            node->text = value.get<std::string>();
        } else if (value.is_object() && value.contains("timestamptz")) {
            node->kind = NodeKind::typed;
            node->name = "timestamptz";
            node->text = value.at("timestamptz").get<std::string>();
        } else if (!value.is_null()) {
            throw Stop{"E-EXPR", "a list cannot stand in an expression", "", token.position};
        }
        return node;
    }

    std::vector<Token> tokens_;
    const json& values_;
    std::size_t at_{0};
    int depth_{0};
    bool in_aggregate_{false};
};

template <class T, class Parse>
Parsed<T> parsed(const Source& source, Parse&& run) {
    Parsed<T> out;
    try {
        const json values = json::parse(source.values);
        Parser parser(source, values);
        out.value = run(parser);
    } catch (const Stop& stop) {
        Problem problem;
        problem.code = stop.code;
        problem.column = static_cast<int>(stop.position) + 1;
        problem.message = "in \"" + source.text + "\" at character " +
                          std::to_string(stop.position + 1) + ": " + stop.message;
        problem.suggestion = stop.suggestion;
        out.problems.push_back(std::move(problem));
    }
    return out;
}

}  // namespace

Parsed<Expression> parse(const Source& source) {
    return parsed<Expression>(source, [](Parser& parser) { return parser.whole(); });
}

Parsed<Expression> parse(std::string_view text) {
    return parse(Source{std::string(text), "[]", false});
}

Parsed<std::vector<OrderItem>> parse_order(const Source& source) {
    return parsed<std::vector<OrderItem>>(source, [](Parser& parser) { return parser.order(); });
}

}  // namespace sluice::expression
