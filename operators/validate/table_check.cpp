#include "operators/validate/table_check.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/json_text.hpp"
#include "operators/expression/expression.hpp"
#include "operators/privacy/anonymity.hpp"
#include "operators/privacy/scan.hpp"
#include "operators/validate/compare.hpp"

namespace sluice::validate {

namespace {

using engine::quote;
using nlohmann::json;

std::optional<std::string> row_count(const json& value, std::int64_t total) {
    if (value.contains("min") && total < value.at("min").get<std::int64_t>())
        return fmt::format("{} rows, fewer than {}", total, value.at("min").dump());
    if (value.contains("max") && total > value.at("max").get<std::int64_t>())
        return fmt::format("{} rows, more than {}", total, value.at("max").dump());
    return std::nullopt;
}

std::optional<std::string> schema(const json& value, const TableFacts& facts, Side& side) {
    const std::vector<std::string> found = side.columns();
    std::string message;
    for (const std::string& wanted : facts.contract)
        if (std::ranges::none_of(found, [&](const auto& c) {
                return expression::same_name(c, wanted);
            }))
            message += (message.empty() ? "" : ", ") + ("no column " + wanted);
    if (value == "exact")
        for (const std::string& one : found)
            if (std::ranges::none_of(facts.contract, [&](const auto& c) {
                    return expression::same_name(c, one);
                }))
                message += (message.empty() ? "" : ", ") + ("an undeclared column " + one);
    return message.empty() ? std::nullopt : std::optional(message);
}

std::string overlaps_sql(
    const std::string& from,
    const std::string& begin,
    const std::string& end,
    const std::vector<std::string>& by
) {
    std::string filled = quote(begin) + " is not null";
    for (const std::string& one : by) filled += " and " + quote(one) + " is not null";
    return "select count(*) from (select " + quote(end) + " as end_, lead(" + quote(begin) +
           ") over (" + (by.empty() ? "" : "partition by " + engine::quoted_list(by) + " ") +
           "order by " + quote(begin) + ") as next_ from " + from + " where " + filled +
           ") x where next_ < end_";
}

std::optional<std::string> scd2(const json& keys, const TableFacts& facts, Side& side) {
    std::vector<std::string> key = facts.key;
    if (keys.contains("key")) key = texts_of(keys.at("key"));
    if (key.empty()) return "the key of the dimension is not known: write `key`";
    const std::string from = side.from();
    std::string by = engine::quoted_list(key);
    std::string filled;
    for (const std::string& one : key) filled += " and " + quote(one) + " is not null";
    const auto bad = [&](const std::string& sql, const char* what) -> std::optional<std::string> {
        const std::int64_t count = side.count(sql);
        if (count == 0) return std::nullopt;
        return fmt::format("{} {}", count, what);
    };
    if (auto found =
            bad("select count(*) from " + from + " where not (valid_from < valid_to)",
                "versions end before they begin"))
        return found;
    if (auto found =
            bad(overlaps_sql(from, "valid_from", "valid_to", key),
                "versions overlap the next of their key"))
        return found;
    if (auto found =
            bad("select count(*) from (select 1 from " + from + " where is_current" + filled +
                    " group by " + by + " having count(*) > 1) x",
                "keys have more than one current version"))
        return found;
    return bad(
        "select count(*) from " + from +
            " where is_current <> (valid_to = cast('infinity' as timestamptz))",
        "versions are current and ended, or neither"
    );
}

std::optional<std::string> small_classes(
    const Rule& rule, const json& keys, Side& side, std::int64_t total
) {
    if (total < 1000 && !keys.value("force", false))
        return fmt::format("{} rows are too few to judge (force: true asks for it)", total);
    privacy::Anonymity asked;
    asked.quasi = rule.columns;
    if (rule.kind == Kind::l_diversity) {
        asked.sensitive = keys.at("sensitive").get<std::string>();
        asked.l = keys.at("l").get<std::int64_t>();
    } else {
        asked.k = keys.at("k").get<std::int64_t>();
    }
    const auto report =
        privacy::measure([&](const std::string& sql) { return side.ask(sql); }, side.from(), asked);
    if (report.holds()) return std::nullopt;
    return report.told(asked);
}

/// Columns whose values look like personal data that may not be readable here.
std::optional<std::string> pii_scan(const Rule& rule, const TableFacts& facts, Side& side) {
    constexpr std::size_t sample = 10'000;
    std::vector<std::string> columns = rule.columns;
    if (columns.empty())
        for (const std::string& one : side.columns())
            if (!engine::is_provenance(one)) columns.push_back(one);
    std::string items;
    for (const std::string& column : columns)
        items += (items.empty() ? "" : ", ") + ("cast(" + quote(column) + " as varchar)");
    privacy::Scan scan(columns, sample);
    for (const auto& row : side.ask(
             "select " + items + " from " + side.from() + " limit " + std::to_string(5 * sample)
         ))
        for (std::size_t i = 0; i < row.size(); ++i)
            if (row[i]) scan.add(i, *row[i]);
    privacy::Scan::Settings how;
    how.guess_secrets = false;  // a pseudonym looks like one
    how.this_year = facts.this_year;
    how.keys = facts.key;
    std::string found;
    for (const privacy::Evidence& one : scan.findings(how))
        if (std::ranges::find(facts.allowed, one.pii_class) == facts.allowed.end())
            found += (found.empty() ? "" : "; ") + privacy::told(one);
    return found.empty() ? std::nullopt : std::optional(found);
}

/// Rows in their order: as they lie in the files, or as `order_by` says. A column without a value
/// says nothing of its order.
std::int64_t falls(const Rule& rule, const json& keys, Side& side) {
    std::vector<std::string> by;
    if (keys.contains("by")) by = texts_of(keys.at("by"));
    const std::string column = quote(rule.columns.front());
    std::string from = side.from();
    std::string order = "n_";
    if (keys.contains("order_by"))
        order = engine::quoted_list(texts_of(keys.at("order_by")));
    else
        from = "(select *, row_number() over () as n_ from " + from + ") as numbered_";
    return side.count(
        "select count(*) from (select " + column + " as now_, lag(" + column + ") over (" +
        (by.empty() ? "" : "partition by " + engine::quoted_list(by) + " ") + "order by " + order +
        ") as before_ from " + from + " where " + column + " is not null) x where now_ < before_"
    );
}

}  // namespace

std::optional<std::string> check_table(
    const Rule& rule, const TableFacts& facts, Side& side, Sides& sides, std::int64_t total
) {
    const json keys = json::parse(rule.keys);
    const json value = json::parse(rule.value);
    switch (rule.kind) {
        case Kind::not_null:
        case Kind::unique:
        case Kind::accepted_values:
        case Kind::range:
        case Kind::length:
        case Kind::regex:
        case Kind::castable:
        case Kind::foreign_key:
        case Kind::expr:
        case Kind::freshness:
            break;  // the scan's
        case Kind::row_count:
            return row_count(value, total);
        case Kind::schema:
            return schema(value, facts, side);
        case Kind::compare:
            return compare(keys, facts, side, sides);
        case Kind::monotonic: {
            const std::int64_t fallen = falls(rule, keys, side);
            if (fallen == 0) return std::nullopt;
            return fmt::format("{} rows have less than the row before", fallen);
        }
        case Kind::no_overlap: {
            std::vector<std::string> by;
            if (keys.contains("by")) by = texts_of(keys.at("by"));
            const std::int64_t overlaps =
                side.count(overlaps_sql(side.from(), rule.columns.at(0), rule.columns.at(1), by));
            if (overlaps == 0) return std::nullopt;
            return fmt::format("{} rows overlap the next", overlaps);
        }
        case Kind::scd2:
            return scd2(keys, facts, side);
        case Kind::k_anonymity:
        case Kind::l_diversity:
            return small_classes(rule, keys, side, total);
        case Kind::pii_scan:
            return pii_scan(rule, facts, side);
    }
    unreachable();
}

}  // namespace sluice::validate
