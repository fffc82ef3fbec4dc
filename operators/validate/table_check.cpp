#include "operators/validate/table_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/json_text.hpp"
#include "operators/expression/expression.hpp"
#include "operators/privacy/anonymity.hpp"
#include "operators/privacy/scan.hpp"

namespace sluice::validate {

namespace {

using engine::quote;
using nlohmann::json;

std::string aggregate_sql(const std::string& text, engine::Dialect dialect) {
    const auto parsed = expression::parse(text);
    if (!parsed.value) throw Error(ErrorCode::invalid, parsed.problems.front().message);
    if (!parsed.value->aggregates())
        throw Error(ErrorCode::invalid, "\"" + text + "\" has no aggregate such as sum or count");
    return "cast(" + parsed.value->sql(dialect) + " as varchar)";
}

/// A number without what does not change it: "12.50" -> "12.5", "-0" -> "0".
std::string plain(std::string text) {
    if (text.find('.') != std::string::npos && text.find_first_of("eE") == std::string::npos) {
        while (text.back() == '0') text.pop_back();
        if (text.back() == '.') text.pop_back();
    }
    return text == "-0" ? "0" : text;
}

using Groups = std::map<std::string, std::vector<std::optional<std::string>>>;

/// Aggregates by group; without groups there is one, "".
Groups aggregates(
    Side& side,
    const std::string& from,
    const std::vector<std::string>& by,
    const std::vector<std::string>& texts
) {
    std::string items;
    std::string group;
    for (const std::string& column : by) {
        items += "cast(" + quote(column) + " as varchar), ";
        group += (group.empty() ? " group by " : ", ") + quote(column);
    }
    for (std::size_t i = 0; i < texts.size(); ++i)
        items += (i > 0 ? ", " : "") + aggregate_sql(texts[i], side.dialect());
    Groups out;
    for (const auto& row : side.ask("select " + items + " from " + from + group)) {
        std::string key;
        for (std::size_t i = 0; i < by.size(); ++i)
            key += (i > 0 ? ", " : "") + row[i].value_or("null");
        out[key] = {row.begin() + static_cast<std::ptrdiff_t>(by.size()), row.end()};
    }
    return out;
}

std::optional<std::string> compare(const json& keys, Side& side, Sides& sides) {
    const std::string other_name = keys.at("compare").get<std::string>();
    const std::unique_ptr<Side> other = sides.open(other_name);
    std::vector<std::string> here;
    std::vector<std::string> there;
    const json& aggregates_of = keys.at("aggregates");
    if (aggregates_of.is_object()) {
        for (const auto& [ours, theirs] : aggregates_of.items()) {
            here.push_back(ours);
            there.push_back(theirs.get<std::string>());
        }
    } else {
        here = texts_of(aggregates_of);
        there = here;
    }
    std::vector<std::string> by;
    if (keys.contains("group_by")) by = texts_of(keys.at("group_by"));
    const bool all = keys.value("scope", "interval") == "all";
    const Groups ours = aggregates(side, all ? side.from() : side.from_interval(), by, here);
    const Groups theirs =
        aggregates(*other, all ? other->from() : other->from_interval(), by, there);
    const double tolerance = keys.value("tolerance", 0.0);
    std::string message;
    int different = 0;
    std::set<std::string> groups;
    for (const auto& [group, values] : ours) groups.insert(group);
    for (const auto& [group, values] : theirs) groups.insert(group);
    const std::vector<std::optional<std::string>> nothing(here.size());
    for (const std::string& group : groups) {
        const auto mine = ours.find(group);
        const auto yours = theirs.find(group);
        const auto& a = mine == ours.end() ? nothing : mine->second;
        const auto& b = yours == theirs.end() ? nothing : yours->second;
        for (std::size_t i = 0; i < here.size(); ++i) {
            if (same_value(a[i], b[i], tolerance)) continue;
            if (++different > 3) continue;
            message += fmt::format(
                "{}{}{} is {}, in {} it is {}",
                message.empty() ? "" : "; ",
                here[i],
                group.empty() ? "" : " of " + group,
                a[i].value_or("null"),
                other_name,
                b[i].value_or("null")
            );
        }
    }
    if (different == 0) return std::nullopt;
    return different > 3 ? message + fmt::format("; and {} more differences", different - 3)
                         : message;
}

std::optional<std::string> row_count(const json& value, std::int64_t total) {
    if (value.contains("min") && total < value.at("min").get<std::int64_t>())
        return fmt::format("{} rows, fewer than {}", total, value.at("min").dump());
    if (value.contains("max") && total > value.at("max").get<std::int64_t>())
        return fmt::format("{} rows, more than {}", total, value.at("max").dump());
    return std::nullopt;
}

std::optional<std::string> freshness(
    const Rule& rule, const json& keys, const TableFacts& facts, Side& side
) {
    if (!facts.interval_end) return "this run has no data interval to be fresh for";
    const Instant limit =
        *facts.interval_end -
        parse_duration(keys.at("max_age").get<std::string>()).value_or(Duration{});
    const std::string column = quote(rule.columns.front());
    const std::int64_t fresh = side.count(
        "select count(*) from " + side.from() + " where " + column + " >= cast(" +
        engine::literal(format_offset(limit)) + " as timestamptz)"
    );
    if (fresh > 0) return std::nullopt;
    return rule.columns.front() + " has no value since " + format_offset(limit);
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

std::optional<std::string> broken_rows(
    const Rule& rule, const json& keys, Side& side, std::int64_t total
) {
    std::string sql;
    std::string where = where_sql(rule, side.dialect());
    if (!where.empty()) where = " and " + where;
    if (rule.kind == Kind::unique)
        sql = duplicates_sql(rule, side.from(), side.dialect());
    else if (rule.kind == Kind::foreign_key)
        sql = "select count(*) from (select * from " + side.from() + ") as ours_ where " +
              orphan_sql(
                  rule,
                  "ours_",
                  side.beside(reference_of(keys.at("references").get<std::string>()).dataset)
              ) +
              where;
    else
        sql = "select count(*) from " + side.from() + " where " +
              *broken_sql(rule, side.dialect()) + where;
    const std::int64_t bad = side.count(sql);
    const Limit limit = rule.max_bad.value_or(Limit{0, 0});
    if (!limit.exceeded(bad, total)) return std::nullopt;
    return fmt::format("{} of {} rows", bad, total);
}

}  // namespace

bool same_value(
    const std::optional<std::string>& a, const std::optional<std::string>& b, double tolerance
) {
    if (!a || !b) return a.has_value() == b.has_value();
    if (plain(*a) == plain(*b)) return true;
    if (tolerance <= 0 && a->find_first_of("eE.") == std::string::npos &&
        b->find_first_of("eE.") == std::string::npos)
        return false;
    char* end_a = nullptr;
    char* end_b = nullptr;
    const double x = std::strtod(a->c_str(), &end_a);
    const double y = std::strtod(b->c_str(), &end_b);
    if (*end_a != '\0' || *end_b != '\0') return false;
    return tolerance <= 0 ? x == y : std::fabs(x - y) <= tolerance;
}

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
            return broken_rows(rule, keys, side, total);
        case Kind::row_count:
            return row_count(value, total);
        case Kind::freshness:
            return freshness(rule, keys, facts, side);
        case Kind::schema:
            return schema(value, facts, side);
        case Kind::compare:
            return compare(keys, side, sides);
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
