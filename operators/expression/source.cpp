// The texts of expressions and statements: as written, or as rendering made them.
#include <nlohmann/json.hpp>

#include "operators/expression/expression.hpp"

namespace sluice::expression {

namespace {

using nlohmann::json;

std::string literal_of(const json& value) {
    if (value.is_null()) return "null";
    if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
    if (value.is_number()) return value.dump();
    if (value.is_string()) return engine::literal(value.get<std::string>());
    if (value.is_object() && value.contains("timestamptz"))
        return "cast(" + engine::literal(value.at("timestamptz").get<std::string>()) +
               " as timestamptz)";
    if (!value.is_array())
        throw Error(ErrorCode::invalid, "a value of SQL must be a scalar or a list");
    std::string out;
    for (const json& item : value) out += (out.empty() ? "" : ", ") + literal_of(item);
    return "(" + out + ")";
}

/// Replaces what is still a template by null: enough to bind a statement.
std::string without_templates(const std::string& text, bool& found) {
    std::string out;
    std::size_t at = 0;
    for (;;) {
        const std::size_t open = text.find("{{", at);
        const std::size_t close = open == std::string::npos ? open : text.find("}}", open);
        if (close == std::string::npos) return out + text.substr(at);
        found = true;
        out += text.substr(at, open - at) + "null";
        at = close + 2;
    }
}

}  // namespace

Source source_of(const json& value) {
    Source out;
    if (value.is_object() && value.contains("text")) {
        out.text = value.at("text").get<std::string>();
        if (value.contains("values")) out.values = value.at("values").dump();
        return out;
    }
    std::string text;
    if (value.is_string()) {
        text = value.get<std::string>();
    } else if (value.is_array()) {
        for (const json& line : value) {
            if (!line.is_string())
                throw Error(ErrorCode::invalid, "SQL is one string or a list of strings");
            text += (text.empty() ? "" : "\n") + line.get<std::string>();
        }
    } else {
        throw Error(ErrorCode::invalid, "SQL is one string or a list of strings");
    }
    out.text = without_templates(text, out.templated);
    return out;
}

std::string with_literals(const Source& source) {
    const json values = json::parse(source.values);
    std::string out;
    char quote = '\0';
    for (std::size_t i = 0; i < source.text.size(); ++i) {
        const char c = source.text[i];
        if (quote != '\0') {
            if (c == quote) quote = '\0';
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == '$' && i + 1 < source.text.size() && source.text[i + 1] >= '1' &&
                   source.text[i + 1] <= '9') {
            std::size_t index = 0;
            while (i + 1 < source.text.size() && source.text[i + 1] >= '0' &&
                   source.text[i + 1] <= '9' && index < 100'000)
                index = index * 10 + static_cast<std::size_t>(source.text[++i] - '0');
            if (index > values.size())
                throw Error(ErrorCode::invalid, "there is no value $" + std::to_string(index));
            out += literal_of(values[index - 1]);
            continue;
        }
        out += c;
    }
    return out;
}

}  // namespace sluice::expression
