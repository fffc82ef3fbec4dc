// template_sql.hpp — follows SQL text far enough to know whether a place in it is code, a quoted
// string or a comment; for model/template*.cpp and the search for data set names in spec.
#pragma once

#include <string>
#include <string_view>

namespace sluice::tmpl {

enum class SqlPlace { code, string, quoted_name, comment };

class SqlFollower {
public:
    void feed(std::string_view text);
    [[nodiscard]] SqlPlace place() const;
    /// True once `$1` or the like stood in code: it would be taken for a bound template.
    [[nodiscard]] bool has_dollar_number() const { return dollar_number_; }

private:
    enum class State { code, single, escape_string, double_, dollar, line, block };
    void feed_code(char c);
    void feed_dollar(char c);

    State state_{State::code};
    std::string recent_;  // the last characters of code
    std::string tag_;     // of a dollar quote: "$tag$"
    std::string tail_;    // the end of what stands in a dollar quote
    int depth_{0};        // block comments nest
    bool escaped_{false};
    bool dollar_number_{false};
    char last_{'\0'};
};

}  // namespace sluice::tmpl
