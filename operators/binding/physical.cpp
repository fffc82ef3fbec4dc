#include "operators/binding/physical.hpp"

#include "operators/binding/columns.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::binding {

namespace {

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

std::size_t end_of_quote(const std::string& sql, std::size_t at) {
    const char quote = sql[at];
    const std::size_t close = sql.find(quote, at + 1);
    return close == std::string::npos ? sql.size() : close + 1;
}

}  // namespace

std::string physical_sql(const task::TaskContext& context, const std::string& sql) {
    std::string out;
    for (std::size_t i = 0; i < sql.size();) {
        const char c = sql[i];
        std::size_t end = i + 1;
        if (c == '\'' || c == '"') {
            end = end_of_quote(sql, i);
        } else if (sql.compare(i, 2, "--") == 0) {
            end = std::min(sql.find('\n', i), sql.size());
        } else if (is_word(c)) {
            while (end < sql.size() && is_word(sql[end])) ++end;
            const std::string word = sql.substr(i, end - i);
            const bool first = i == 0 || sql[i - 1] != '.';
            if (first && end < sql.size() && sql[end] == '.' && context.schema_connection(word))
                out += engine::quote(context.physical_schema(word));
            else
                out += word;
            i = end;
            continue;
        }
        out += sql.substr(i, end - i);
        i = end;
    }
    return out;
}

std::string physical_name(const task::TaskContext& context, const std::string& table) {
    const std::string schema = tier_of(table);
    return engine::quote(context.physical_schema(schema)) + "." +
           engine::quote(table.substr(schema.size() + 1));
}

}  // namespace sluice::binding
