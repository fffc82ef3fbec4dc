// node.hpp — the tree of an expression. Plain data, shared and never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::expression {

enum class NodeKind : std::uint8_t {
    null,
    boolean,  // text: true, false
    number,   // text as written
    string,   // text
    typed,    // date '2026-01-05': text, and `name` is the type
    column,   // `name`; `qualifier` is "", "l" or "r"
    star,     // of count(*)
    unary,    // `name`: -, not
    binary,   // `name`: or and = <> < <= > >= + - * / % || like, ilike, not like, not ilike,
              // is distinct from, is not distinct from
    is_null,  // `negated`
    in,       // children: value, then the list; `negated`
    between,  // children: value, low, high; `negated`
    cast,     // `name` is a type of the language; `lenient` gives null for what cannot be cast
    call,     // `name` of the function table; `distinct`
    case_,    // children: when, then, when, then, ... and, if `has_else`, else
};

struct Node {
    NodeKind kind{NodeKind::null};
    std::string name;
    std::string text;
    std::string qualifier;
    bool negated{false};
    bool distinct{false};
    bool lenient{false};
    bool has_else{false};
    std::size_t position{0};  // in the text, 0-based
    std::vector<std::shared_ptr<const Node>> children;
};
using NodePtr = std::shared_ptr<const Node>;

}  // namespace sluice::expression
