#include "operators/binding/cast.hpp"

#include "operators/engine/sql.hpp"

namespace sluice::binding {

namespace {

using engine::literal;

bool is_integer(std::string_view type) {
    return type == "smallint" || type == "integer" || type == "bigint";
}
bool is_time(std::string_view type) {
    return type == "date" || type == "timestamp" || type == "timestamptz" || type == "time";
}
bool is_text(std::string_view type) { return type.substr(0, 7) == "varchar"; }

std::string matches(const std::string& text, const char* pattern) {
    return "regexp_full_match(" + text + ", " + literal(pattern) + ")";
}

std::string try_cast(const std::string& expression, const std::string& duckdb_type) {
    return "try_cast(" + expression + " as " + duckdb_type + ")";
}

/// The engine would round 1.7 to 2: here it is no integer.
std::string whole_number(const std::string& text, const std::string& type) {
    const std::string number = "sluice_integer(" + text + ")";
    return type == "BIGINT" ? number : try_cast(number, type);
}

/// A plain integer is minor units; with a currency sign or a decimal mark it is major units.
std::string money(const std::string& text, std::string_view language, const std::string& type) {
    const char* dot = R"([-+]?\s*[$€£]?\s*([0-9]+|[0-9]{1,3}(,[0-9]{3})+)\.[0-9]{1,2}\s*[$€£]?)";
    const char* comma = R"([-+]?\s*[$€£]?\s*([0-9]+|[0-9]{1,3}(\.[0-9]{3})+),[0-9]{1,2}\s*[$€£]?)";
    const char* whole = R"([-+]?\s*([$€£]\s*[0-9]+|[0-9]+\s*[$€£]))";
    const std::string bare = "regexp_replace(" + text + R"(, '[$€£\s]', '', 'g'))";
    const auto major = [&](const std::string& digits) {
        return "try_cast(try_cast(" + digits + " as decimal(36,2)) * 100 as " + type + ")";
    };
    const std::string minor = is_integer(language) ? whole_number(text, type)
                                                   : "case when " + matches(text, "[-+]?[0-9]+") +
                                                         " then " + try_cast(text, type) + " end";
    // Nearly all amounts are plain integers, for which the other forms are not looked at.
    return "coalesce(" + minor + ", case when " + matches(text, dot) + " then " +
           major("replace(" + bare + ", ',', '')") + " when " + matches(text, comma) + " then " +
           major("replace(replace(" + bare + ", '.', ''), ',', '.')") + " when " +
           matches(text, whole) + " then " + major(bare) + " end)";
}

std::string number(const std::string& text, std::string_view language, const std::string& type) {
    if (is_integer(language)) return whole_number(text, type);
    const char* pattern = R"([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)";
    const std::string value = try_cast(text, type);
    // What a double is too small for becomes infinite.
    const bool floating = language == "double" || language == "real";
    return "case when " + matches(text, pattern) +
           (floating ? " and isfinite(" + value + ")" : "") + " then " + value + " end";
}

std::string iso(const std::string& text, std::string_view language, const std::string& type) {
    if (language == "time") return try_cast(text, type);
    const char* pattern =
        language == "date"
            ? R"([0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00(\.0+)?)?(Z|\+00(:?00)?)?)?)"
            : R"([0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?\s*(Z|UTC|[-+][0-9]{2}(:?[0-9]{2})?)?)?)";
    const std::string value =
        language == "date" ? try_cast("substr(" + text + ", 1, 10)", type) : try_cast(text, type);
    return "case when " + matches(text, pattern) + " then " + value + " end";
}

std::string epoch(const std::string& text, const char* micros, const std::string& type) {
    // Sixteen digits of milliseconds are the year 300000: no instant the engine can hold.
    return "case when " + matches(text, "-?[0-9]{1,14}") + " then cast(make_timestamptz(cast(" +
           text + " as bigint) * " + micros + ") as " + type + ") end";
}

std::string by_format(
    const std::string& text,
    const std::string& format,
    std::string_view language,
    const std::string& type
) {
    if (format == "money") return money(text, language, type);
    if (format == "decimal_comma")
        return number("replace(replace(" + text + ", '.', ''), ',', '.')", language, type);
    if (format == "epoch_s") return epoch(text, "1000000", type);
    if (format == "epoch_ms") return epoch(text, "1000", type);
    if (format == "iso")
        return is_time(language) ? iso(text, language, type) : try_cast(text, type);
    return "cast(try_strptime(" + text + ", " + literal(format) + ") as " + type + ")";
}

/// Text without blanks around it, null where it stands for nothing.
std::string cleaned(const std::string& expression) { return "sluice_clean(" + expression + ")"; }

std::vector<std::string> readings(
    const std::string& expression, std::string_view from, const CastTarget& target
) {
    const std::string type = engine::type_name(engine::Dialect::duckdb, target.type);
    // A typed number can still be an epoch or an amount of money.
    const bool text = from == "VARCHAR" || (from != type && !target.parse.empty());
    if (!text) return {from == type ? expression : try_cast(expression, type)};
    const std::string value =
        cleaned(from == "VARCHAR" ? expression : "cast(" + expression + " as varchar)");
    std::vector<std::string> out;
    for (const std::string& format : target.parse)
        out.push_back(by_format(value, format, target.type, type));
    if (!out.empty()) return out;
    if (is_time(target.type)) return {iso(value, target.type, type)};
    if (is_integer(target.type) || target.type == "double" || target.type == "real" ||
        target.type.starts_with("decimal"))
        return {number(value, target.type, type)};
    return {try_cast(value, type)};
}

}  // namespace

std::string cast_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
) {
    if (is_text(target.type)) {
        std::string text = from == "VARCHAR" ? expression : "cast(" + expression + " as varchar)";
        if (target.type == "varchar") return text;
        const std::string length = target.type.substr(8, target.type.size() - 9);
        return "case when length(" + text + ") <= " + length + " then " + text + " end";
    }
    const std::vector<std::string> all = readings(expression, from, target);
    if (all.size() == 1) return all.front();
    std::string out;
    for (const std::string& one : all) out += (out.empty() ? "coalesce(" : ", ") + one;
    return out + ")";
}

std::string present_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
) {
    const bool text = from == "VARCHAR" && !is_text(target.type);
    return "(" + (text ? cleaned(expression) : expression) + ") is not null";
}

std::string ambiguous_sql(
    const std::string& expression, std::string_view from, const CastTarget& target
) {
    if (target.parse.size() < 2 || is_text(target.type)) return "";
    const std::vector<std::string> all = readings(expression, from, target);
    std::string out;
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = i + 1; j < all.size(); ++j)
            out += (out.empty() ? "" : " or ") + ("(" + all[i] + ") <> (" + all[j] + ")");
    return "coalesce(" + out + ", false)";
}

}  // namespace sluice::binding
