#include "operators/external/sql_text.hpp"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "model/template_sql.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr unsigned timestamptz_oid = 1184;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Builds one statement and its own numbering.
class Statement {
public:
    explicit Statement(const std::vector<SqlValue>& values) : values_(values) {}

    void put(char c, bool code) {
        statement_.text += c;
        if (code && std::isspace(static_cast<unsigned char>(c)) == 0) has_code_ = true;
    }

    /// `$number` of the script.
    void put_value(std::size_t number) {
        if (number < 1 || number > values_.size())
            throw Error(
                ErrorCode::invalid,
                "the SQL uses $" + std::to_string(number) + ", which has no value"
            );
        auto place = std::ranges::find(numbers_, number);
        if (place == numbers_.end()) {
            numbers_.push_back(number);
            statement_.values.push_back(values_[number - 1]);
            place = numbers_.end() - 1;
        }
        statement_.text += '$' + std::to_string(place - numbers_.begin() + 1);
        has_code_ = true;
    }

    void finish(std::vector<SqlStatement>& into) {
        if (has_code_) into.push_back(std::move(statement_));
        statement_ = {};
        numbers_.clear();
        has_code_ = false;
    }

private:
    const std::vector<SqlValue>& values_;
    SqlStatement statement_;
    std::vector<std::size_t> numbers_;
    bool has_code_{false};
};

}  // namespace

std::vector<SqlStatement> split_sql(std::string_view script, const std::vector<SqlValue>& values) {
    std::vector<SqlStatement> out;
    Statement statement(values);
    tmpl::SqlFollower follower;
    for (std::size_t at = 0; at < script.size(); ++at) {
        const bool code = follower.place() == tmpl::SqlPlace::code;
        const char c = script[at];
        const bool number = code && !values.empty() && c == '$' && at + 1 < script.size() &&
                            is_digit(script[at + 1]) && (at == 0 || !is_word(script[at - 1]));
        if (number) {
            std::size_t value = 0;
            std::size_t end = at + 1;
            while (end < script.size() && is_digit(script[end]) && value < 100'000)
                value = value * 10 + static_cast<std::size_t>(script[end++] - '0');
            statement.put_value(value);
            follower.feed(script.substr(at, end - at));
            at = end - 1;
            continue;
        }
        follower.feed(script.substr(at, 1));
        if (code && c == ';') {
            statement.finish(out);
            continue;
        }
        statement.put(
            c,
            code && follower.place() != tmpl::SqlPlace::comment &&
                !(c == '-' && script.substr(at, 2) == "--") &&
                !(c == '/' && script.substr(at, 2) == "/*")
        );
    }
    statement.finish(out);
    return out;
}

namespace {

std::string array_text(const Json& list) {
    std::string out = "{";
    for (const Json& item : list) {
        if (out.size() > 1) out += ',';
        const SqlValue value = sql_value(item);
        if (!value.text) {
            out += "NULL";
        } else if (item.is_array()) {
            out += *value.text;
        } else {
            out += '"';
            for (const char c : *value.text) {
                if (c == '"' || c == '\\') out += '\\';
                out += c;
            }
            out += '"';
        }
    }
    return out + '}';
}

}  // namespace

SqlValue sql_value(const Json& value) {
    if (value.is_null()) return {};
    if (value.is_string()) return {value.get<std::string>()};
    if (value.is_array()) return {array_text(value)};
    if (value.is_object() && value.contains("timestamptz"))
        return {value.at("timestamptz").get<std::string>(), timestamptz_oid};
    return {value.dump()};
}

}  // namespace sluice::ops
