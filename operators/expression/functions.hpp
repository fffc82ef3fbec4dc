// functions.hpp — the functions of the expression language, how each dialect spells them, and an
// example with its value that the tests of every dialect run.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::expression {

enum class Scope { row, aggregate };

struct Function {
    std::string_view name;
    Scope scope;
    int least;  // arguments
    int most;   // -1: any number
    /// $1, $2 the arguments, $* all of them; "" = NAME($*).
    std::string_view duckdb;
    std::string_view postgres;
    std::string_view
        example;  // an expression without columns (aggregates: over the column x of 1, 2, 4, null)
    std::string_view value;  // of the example, as text
};

std::span<const Function> functions();
const Function* find_function(std::string_view name);
std::vector<std::string> function_names();

}  // namespace sluice::expression
