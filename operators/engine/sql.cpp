#include "operators/engine/sql.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/engine/content_hash.hpp"
#include "operators/engine/row_text.hpp"

namespace sluice::engine {

std::string quote(std::string_view identifier) {
    std::string text = "\"";
    for (const char c : identifier) {
        if (c == '"') text += '"';
        text += c;
    }
    return text + "\"";
}

std::string quoted_list(const std::vector<std::string>& names, std::string_view prefix) {
    std::string text;
    for (const std::string& name : names) {
        if (!text.empty()) text += ", ";
        text += std::string(prefix) + quote(name);
    }
    return text;
}

std::string literal(std::string_view value) {
    if (value.find('\0') != std::string_view::npos) {
        throw Error(ErrorCode::invalid, "a text with a zero byte cannot stand in SQL");
    }
    // With standard_conforming_strings (both dialects' default) a backslash is only itself.
    std::string text = "'";
    for (const char c : value) {
        if (c == '\'') text += '\'';
        text += c;
    }
    return text + "'";
}

std::string literal_list(const std::vector<std::string>& texts) {
    std::string list = "[";
    for (const std::string& text : texts) {
        if (list.size() > 1) list += ", ";
        list += literal(text);
    }
    return list + "]";
}

namespace {

std::string literal_of(const nlohmann::json& value) {
    if (value.is_null()) return "null";
    if (value.is_string()) return literal(value.get<std::string>());
    if (value.is_object()) {
        // {"timestamptz": "2026-01-05T00:00:00+00:00"}
        return type_name(Dialect::postgres, value.begin().key()) + " " +
               literal(value.begin().value().get<std::string>());
    }
    if (value.is_array()) {
        std::string list;
        for (const auto& element : value) list += (list.empty() ? "" : ", ") + literal_of(element);
        return "array[" + list + "]";
    }
    return value.dump();  // numbers and booleans
}

/// The place after the quoted piece or comment that begins at `at`; `at` itself if none does.
std::size_t skip_quoted(const std::string& sql, std::size_t at) {
    const char c = sql[at];
    std::size_t end = std::string::npos;
    if (c == '\'' || c == '"') {
        end = sql.find(c, at + 1);
        return end == std::string::npos ? sql.size() : end + 1;
    }
    if (sql.compare(at, 2, "--") == 0) {
        end = sql.find('\n', at);
        return end == std::string::npos ? sql.size() : end;
    }
    if (sql.compare(at, 2, "/*") == 0) {
        end = sql.find("*/", at + 2);
        return end == std::string::npos ? sql.size() : end + 2;
    }
    return at;
}

}  // namespace

std::string with_literals(const nlohmann::json& rendered) {
    return with_literals(rendered, literal_of);
}

std::string with_literals(
    const nlohmann::json& rendered, const std::function<std::string(const nlohmann::json&)>& write
) {
    if (rendered.is_string()) return rendered.get<std::string>();
    const std::string sql = rendered.at("text").get<std::string>();
    const nlohmann::json& values = rendered.at("values");
    std::string out;
    for (std::size_t at = 0; at < sql.size();) {
        const std::size_t after = skip_quoted(sql, at);
        if (after != at) {
            out += sql.substr(at, after - at);
            at = after;
            continue;
        }
        std::size_t digits = at + 1;
        while (digits < sql.size() && std::isdigit(static_cast<unsigned char>(sql[digits])) != 0) {
            ++digits;
        }
        if (sql[at] != '$' || digits == at + 1) {
            out += sql[at++];
            continue;
        }
        const std::size_t number = std::stoul(sql.substr(at + 1, digits - at - 1));
        if (number == 0 || number > values.size()) {
            throw Error(ErrorCode::invalid, "the SQL has no value for $" + std::to_string(number));
        }
        out += "(" + write(values.at(number - 1)) + ")";
        at = digits;
    }
    return out;
}

std::string quoted_name(std::string_view dotted) {
    const std::size_t dot = dotted.find('.');
    if (dot == std::string_view::npos) return quote(dotted);
    return quote(dotted.substr(0, dot)) + "." + quote(dotted.substr(dot + 1));
}

namespace {

struct TypeRow {
    std::string_view language;
    std::string_view duckdb;
    std::string_view postgres;
};

// One row a type of the DAG language; decimal(p,s), varchar(n) and lists are built from these.
constexpr std::array<TypeRow, 16> type_rows{{
    {"boolean", "BOOLEAN", "boolean"},
    {"smallint", "SMALLINT", "smallint"},
    {"integer", "INTEGER", "integer"},
    {"bigint", "BIGINT", "bigint"},
    {"decimal", "DECIMAL", "numeric"},
    {"real", "FLOAT", "real"},
    {"double", "DOUBLE", "double precision"},
    {"varchar", "VARCHAR", "text"},
    {"date", "DATE", "date"},
    {"time", "TIME", "time without time zone"},
    {"timestamp", "TIMESTAMP", "timestamp without time zone"},
    {"timestamptz", "TIMESTAMP WITH TIME ZONE", "timestamp with time zone"},
    {"interval", "INTERVAL", "interval"},
    {"uuid", "UUID", "uuid"},
    {"json", "JSON", "jsonb"},
    {"blob", "BLOB", "bytea"},
}};

std::string without_spaces(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c != ' ') out += c;
    }
    return out;
}

bool digits_only(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

struct ParsedType {
    const TypeRow* row{};
    std::string arguments;  // "(10,2)" or ""
    bool list{false};
};

bool arguments_fit(std::string_view name, std::string_view arguments) {
    if (arguments.empty()) return true;
    const std::string_view inner = arguments.substr(1, arguments.size() - 2);
    const std::size_t comma = inner.find(',');
    if (name == "varchar") return digits_only(inner);
    if (name != "decimal") return false;
    if (comma == std::string_view::npos) return digits_only(inner);
    return digits_only(inner.substr(0, comma)) && digits_only(inner.substr(comma + 1));
}

std::optional<ParsedType> parse_language_type(std::string_view written) {
    std::string text = without_spaces(written);
    ParsedType parsed;
    if (text.size() > 2 && text.compare(text.size() - 2, 2, "[]") == 0) {
        parsed.list = true;
        text.resize(text.size() - 2);
    }
    const std::size_t open = text.find('(');
    if (open != std::string::npos) {
        if (text.back() != ')') return std::nullopt;
        parsed.arguments = text.substr(open);
        text.resize(open);
    }
    for (const TypeRow& row : type_rows) {
        if (row.language == text) parsed.row = &row;
    }
    if (parsed.row == nullptr) return std::nullopt;
    if (!arguments_fit(text, parsed.arguments)) return std::nullopt;
    return parsed;
}

}  // namespace

bool is_language_type(std::string_view type) { return parse_language_type(type).has_value(); }

std::string type_name(Dialect dialect, std::string_view written) {
    const std::optional<ParsedType> parsed = parse_language_type(written);
    if (!parsed) {
        throw Error(ErrorCode::invalid, "there is no type \"" + std::string(written) + "\"");
    }
    std::string name;
    switch (dialect) {
        case Dialect::duckdb:
            name = parsed->row->duckdb;
            // DuckDB takes varchar(10) and forgets the length; the contract checks it.
            if (parsed->row->language == "decimal") name += parsed->arguments;
            break;
        case Dialect::postgres:
            name = parsed->row->postgres;
            if (parsed->row->language == "decimal") name += parsed->arguments;
            if (parsed->row->language == "varchar" && !parsed->arguments.empty()) {
                name = "varchar" + parsed->arguments;
            }
            break;
    }
    return parsed->list ? name + "[]" : name;
}

std::optional<std::string> language_type(std::string_view duckdb) {
    if (duckdb.size() > 2 && duckdb.substr(duckdb.size() - 2) == "[]") {
        const auto child = language_type(duckdb.substr(0, duckdb.size() - 2));
        if (!child || child->back() == ']') return std::nullopt;
        return *child + "[]";
    }
    if (duckdb.substr(0, 8) == "DECIMAL(") {
        return "decimal" + without_spaces(duckdb.substr(7));
    }
    for (const TypeRow& row : type_rows) {
        if (row.duckdb == duckdb) return std::string(row.language);
    }
    if (duckdb == "TINYINT" || duckdb == "UTINYINT") return "smallint";
    if (duckdb == "USMALLINT") return "integer";
    if (duckdb == "UINTEGER") return "bigint";
    if (duckdb == "UBIGINT") return "decimal(20,0)";
    if (duckdb == "HUGEINT") return "decimal(38,0)";
    if (duckdb.substr(0, 4) == "ENUM") return "varchar";
    if (duckdb == "\"NULL\"" || duckdb == "NULL") return "varchar";
    return std::nullopt;
}

std::string postgres_type(std::string_view duckdb) {
    if (duckdb == "HUGEINT") return "numeric(38,0)";
    const auto language = language_type(duckdb);
    if (!language) {
        throw Error(
            ErrorCode::invalid,
            "a column of type " + std::string(duckdb) +
                " has no counterpart in the warehouse: cast it to json"
        );
    }
    return type_name(Dialect::postgres, *language);
}

std::string duckdb_type_of_postgres(std::string_view format_type) {
    if (format_type.substr(0, 8) == "numeric(") {
        // Negative scales and more than 38 digits have no counterpart: text keeps them exact.
        const std::string arguments = without_spaces(format_type.substr(7));
        const int width = std::stoi(arguments.substr(1));
        if (width <= 38 && arguments.find('-') == std::string::npos) return "DECIMAL" + arguments;
        return "VARCHAR";
    }
    for (const TypeRow& row : type_rows) {
        if (row.postgres == format_type && row.language != "decimal") {
            return std::string(row.duckdb);
        }
    }
    if (format_type == "json") return "JSON";
    return "VARCHAR";
}

std::string canonical_text(std::string_view expression, std::string_view type) {
    std::string e(expression);
    if (type == "VARCHAR") return e;
    if (type == "BOOLEAN") return "case when " + e + " then 't' when not " + e + " then 'f' end";
    if (type.substr(0, 8) == "DECIMAL(") {
        if (type.size() > 3 && type.substr(type.size() - 3) == ",0)") return e + "::varchar";
        return "rtrim(rtrim(" + e + "::varchar, '0'), '.')";
    }
    if (type == "FLOAT" || type == "DOUBLE") {
        return "regexp_replace(" + e + "::varchar, '\\.0$', '')";
    }
    if (type == "TIMESTAMP WITH TIME ZONE" || type == "TIMESTAMP") {
        return "case when isfinite(" + e + ") then epoch_us(" + e + ")::varchar else " + e +
               "::varchar end";
    }
    if (type == "BLOB") return "hex(" + e + ")";
    return e + "::varchar";
}

std::string hashed_columns(const std::vector<ColumnInfo>& columns) {
    std::string list;
    for (const ColumnInfo& column : columns) {
        const std::string name = quote(column.name);
        // The cast changes nothing where the column is of the type that the caller says.
        const bool as_is = writes_canonical(column.type);
        list += (list.empty() ? "" : ", ") + (as_is ? name : canonical_text(name, column.type)) +
                "::" + (as_is ? column.type : "VARCHAR");
    }
    return list;
}

std::string row_hash(const std::vector<ColumnInfo>& columns) {
    const std::string list = hashed_columns(columns);
    return list.empty() ? "sha256('')" : "sluice_row_hash(" + list + ")";
}

std::string hash_digits(Uint128 sum) {
    std::string bytes(16, '\0');
    for (std::size_t i = 0; i < 16; ++i) {
        bytes[15 - i] = static_cast<char>(static_cast<unsigned char>(sum & 0xFF));
        sum >>= 8;
    }
    return to_hex(bytes);
}

std::string content_hash(const std::array<std::string, 4>& sums) {
    // The sums of the four 32-bit pieces, carried together modulo 2^128.
    Uint128 total = 0;
    for (const std::string& sum : sums) {
        Uint128 piece = 0;
        for (const char digit : sum) {
            piece = piece * 10 + static_cast<unsigned>(digit - '0');
        }
        total = (total << 32) + piece;
    }
    return hash_digits(total);
}

bool is_provenance(std::string_view column) { return column.substr(0, 8) == "_sluice_"; }

std::vector<ColumnInfo> user_columns(const std::vector<ColumnInfo>& columns) {
    std::vector<ColumnInfo> kept;
    for (const ColumnInfo& column : columns) {
        if (!is_provenance(column.name)) kept.push_back(column);
    }
    return kept;
}

}  // namespace sluice::engine
