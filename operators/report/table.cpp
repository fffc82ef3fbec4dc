#include "operators/report/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sluice::report {

namespace {

using Cell = std::optional<std::string>;

std::optional<double> number(const std::string& text) {
    if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos)
        return std::nullopt;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (*end != '\0' || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else
            out += c;
    }
    return out;
}

/// "revenue_by_month" -> "Revenue by month"
std::string heading(std::string text) {
    std::ranges::replace(text, '_', ' ');
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z')
        text.front() = static_cast<char>(text.front() - 32);
    return text;
}

/// "1234567.5" -> "1,234,567.5"; at most four decimals.
std::string grouped(const std::string& text) {
    const auto value = number(text);
    if (!value) return text;
    std::string plain = text;
    if (text.find_first_of(".eE") != std::string::npos) {
        plain = fmt::format("{:.4f}", *value);
        while (plain.back() == '0') plain.pop_back();
        if (plain.back() == '.') plain.pop_back();
    }
    const std::size_t start = plain.front() == '-' || plain.front() == '+' ? 1 : 0;
    const std::size_t whole = std::min(plain.find('.'), plain.size());
    std::string out = plain.substr(0, start);
    for (std::size_t i = start; i < plain.size(); ++i) {
        if (i > start && i < whole && (whole - i) % 3 == 0) out += ',';
        out += plain[i];
    }
    return out;
}

constexpr const char* style = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --line: #e3e6ea; --paper: #fff; --wash: #f6f7f9; --bar: #cfe0fb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #9aa4af; --line: #2e343b; --paper: #15181c; --wash: #1d2126; --bar: #24406b; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 40px 0 8px; }
p { margin: 0 0 8px; } .soft { color: var(--soft); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: left; white-space: nowrap; }
th { background: var(--wash); color: var(--soft); font-weight: 600; font-size: 13px; }
tr + tr td { border-top: 1px solid var(--line); }
.n { text-align: right; }
td.b { position: relative; min-width: 200px; }
td.b i { position: absolute; right: 0; top: 5px; bottom: 5px; background: var(--bar); border-radius: 3px 0 0 3px; }
td.b span { position: relative; }
@media print { main { padding: 0; max-width: none; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
)";

/// The column whose values get bars: the last number, if there is more than one row.
std::size_t bar_column(const Table& table) {
    if (table.rows.size() < 2) return table.columns.size();
    for (std::size_t i = table.columns.size(); i-- > 0;)
        if (is_number(table, i)) return i;
    return table.columns.size();
}

double largest(const Table& table, std::size_t column) {
    double most = 0;
    if (column < table.columns.size())
        for (const auto& row : table.rows)
            if (row[column]) most = std::max(most, std::fabs(number(*row[column]).value_or(0)));
    return most;
}

void section(const Table& table, std::string& out) {
    out +=
        "<section>\n<h2 id=\"" + escaped(table.id) + "\">" + escaped(heading(table.id)) + "</h2>\n";
    if (table.rows.empty()) {
        out += "<p class=\"soft\">No rows.</p>\n</section>\n";
        return;
    }
    const std::size_t bars = bar_column(table);
    const double most = largest(table, bars);
    std::vector<bool> numeric;
    out += "<div class=\"wide\"><table>\n<thead><tr>";
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        numeric.push_back(is_number(table, i));
        out += std::string(numeric[i] ? "<th class=\"n\">" : "<th>") +
               escaped(heading(table.columns[i])) + "</th>";
    }
    out += "</tr></thead>\n<tbody>\n";
    for (const auto& row : table.rows) {
        out += "<tr>";
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string text = row[i] ? escaped(numeric[i] ? grouped(*row[i]) : *row[i])
                                            : "<span class=\"soft\">none</span>";
            if (i == bars && most > 0) {
                const double share =
                    std::fabs(number(row[i].value_or("0")).value_or(0)) / most * 100;
                out += fmt::format(
                    "<td class=\"n b\"><i style=\"width:{:.1f}%\"></i><span>{}</span></td>",
                    share,
                    text
                );
            } else {
                out += (numeric[i] ? "<td class=\"n\">" : "<td>") + text + "</td>";
            }
        }
        out += "</tr>\n";
    }
    out += "</tbody>\n</table></div>\n</section>\n";
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
    return out + "\"";
}

}  // namespace

bool is_number(const Table& table, std::size_t column) {
    bool found = false;
    for (const auto& row : table.rows) {
        if (!row[column]) continue;
        if (!number(*row[column])) return false;
        found = true;
    }
    return found;
}

std::string html(const Page& page) {
    std::string out =
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n<title>" +
        escaped(page.title) + "</title>\n<style>" + style +
        "</style>\n</head>\n<body>\n<main>\n<h1>" + escaped(page.title) + "</h1>\n";
    if (!page.description.empty()) out += "<p>" + escaped(page.description) + "</p>\n";
    if (!page.made_for.empty()) out += "<p class=\"soft\">" + escaped(page.made_for) + "</p>\n";
    for (const Table& table : page.tables) section(table, out);
    return out + "</main>\n</body>\n</html>\n";
}

std::string csv(const Table& table) {
    std::string out;
    for (std::size_t i = 0; i < table.columns.size(); ++i)
        out += (i > 0 ? "," : "") + csv_field(table.columns[i]);
    out += "\r\n";
    for (const auto& row : table.rows) {
        for (std::size_t i = 0; i < row.size(); ++i)
            out += (i > 0 ? "," : "") + csv_field(row[i].value_or(""));
        out += "\r\n";
    }
    return out;
}

std::string json(const Page& page) {
    nlohmann::ordered_json queries = nlohmann::ordered_json::object();
    for (const Table& table : page.tables) {
        nlohmann::ordered_json rows = nlohmann::ordered_json::array();
        std::vector<bool> numeric;
        for (std::size_t i = 0; i < table.columns.size(); ++i)
            numeric.push_back(is_number(table, i));
        for (const auto& row : table.rows) {
            nlohmann::ordered_json one = nlohmann::ordered_json::object();
            for (std::size_t i = 0; i < row.size(); ++i) {
                nlohmann::ordered_json& cell = one[table.columns[i]];
                if (!row[i]) continue;
                const auto parsed = numeric[i]
                                        ? nlohmann::ordered_json::parse(*row[i], nullptr, false)
                                        : nlohmann::ordered_json(*row[i]);
                cell = parsed.is_discarded() ? nlohmann::ordered_json(*row[i]) : parsed;
            }
            rows.push_back(std::move(one));
        }
        queries[table.id] = std::move(rows);
    }
    const nlohmann::ordered_json out{
        {"title", page.title}, {"description", page.description}, {"queries", std::move(queries)}
    };
    return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::report
