// Template text -> nodes: texts, outputs and the blocks that statements make.
#include <fmt/format.h>

#include "model/template_syntax.hpp"

namespace sluice::tmpl {
namespace {

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
                    node.expr = parse_expression(tokens_of(piece.text));
                    break;
                case PieceKind::statement:
                    rest_ = tokens_of(piece.text);
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
            if (!last) condition = parse_expression(std::move(rest_));
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
        auto [names, expr] = parse_loop_head(std::move(rest_));
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
