#include "operators/validate/compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/expression/expression.hpp"
#include "operators/validate/samples.hpp"

namespace sluice::validate {

namespace {

using engine::quote;
using nlohmann::json;

constexpr int differences_shown = 3;

expression::Expression aggregate(const std::string& text) {
    auto parsed = expression::parse(text);
    if (!parsed.value) throw Error(ErrorCode::invalid, parsed.problems.front().message);
    if (!parsed.value->aggregates())
        throw Error(ErrorCode::invalid, "\"" + text + "\" has no aggregate such as sum or count");
    return std::move(*parsed.value);
}

/// A number without what does not change it: "12.50" -> "12.5", "-0" -> "0".
std::string plain_number(std::string text) {
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
        items += (i > 0 ? ", " : "") + ("cast(" + aggregate(texts[i]).sql(side.dialect())) +
                 " as varchar)";
    Groups out;
    for (const auto& row : side.ask("select " + items + " from " + from + group)) {
        std::string key;
        for (std::size_t i = 0; i < by.size(); ++i)
            key += (i > 0 ? ", " : "") + row[i].value_or("null");
        out[key] = {row.begin() + static_cast<std::ptrdiff_t>(by.size()), row.end()};
    }
    return out;
}

/// One side of a comparison, with what may be shown of it.
struct Compared {
    Side& side;
    std::string from;
    const binding::Columns& columns;

    [[nodiscard]] bool shows(const std::string& aggregate_text) const {
        const auto visible = aggregate(aggregate_text).visible_columns();
        return std::ranges::all_of(visible, [this](const expression::ColumnName& column) {
            return may_show(columns, column.name);
        });
    }
};

std::vector<std::string> group_columns(const json& keys) {
    return keys.contains("group_by") ? texts_of(keys.at("group_by")) : std::vector<std::string>();
}

std::optional<std::string> aggregates_differ(
    const json& keys, const Compared& ours, const Compared& theirs, const std::string& other
) {
    std::vector<std::string> here;
    std::vector<std::string> there;
    const json& texts = keys.at("aggregates");
    if (texts.is_object()) {
        for (const auto& [mine, yours] : texts.items()) {
            here.push_back(mine);
            there.push_back(yours.get<std::string>());
        }
    } else {
        here = texts_of(texts);
        there = here;
    }
    const std::vector<std::string> by = group_columns(keys);
    const bool show_group = std::ranges::all_of(by, [&](const std::string& column) {
        return may_show(ours.columns, column);
    });
    const Groups a = aggregates(ours.side, ours.from, by, here);
    const Groups b = aggregates(theirs.side, theirs.from, by, there);
    const Tolerance tolerance = keys.contains("tolerance")
                                    ? tolerance_of(keys.at("tolerance")).value_or(Tolerance{})
                                    : Tolerance{};
    std::set<std::string> groups;
    for (const auto* side : {&a, &b})
        for (const auto& [group, values] : *side) groups.insert(group);
    const std::vector<std::optional<std::string>> nothing(here.size());
    std::string message;
    int different = 0;
    for (const std::string& group : groups) {
        const auto mine = a.find(group);
        const auto yours = b.find(group);
        for (std::size_t i = 0; i < here.size(); ++i) {
            const auto& x = mine == a.end() ? nothing[i] : mine->second[i];
            const auto& y = yours == b.end() ? nothing[i] : yours->second[i];
            if (same_value(x, y, tolerance) || ++different > differences_shown) continue;
            message += (message.empty() ? "" : "; ") + here[i];
            if (!by.empty()) message += " of " + (show_group ? group : "a group");
            message +=
                ours.shows(here[i]) && theirs.shows(there[i])
                    ? fmt::format(
                          " is {}, in {} it is {}", x.value_or("null"), other, y.value_or("null")
                      )
                    : " is another one in " + other;
        }
    }
    if (different == 0) return std::nullopt;
    if (different <= differences_shown) return message;
    return message + fmt::format("; and {} more differences", different - differences_shown);
}

/// The keys of a side as hashes of their text, so that two servers can be compared and no value
/// leaves either of them.
std::string key_hashes(const Compared& one, const std::vector<std::string>& columns) {
    std::string text;
    std::string present;
    for (const std::string& column : columns) {
        const std::string cell = "cast(" + quote(column) + " as varchar)";
        // The length in front: ("a|", "b") is another key than ("a", "|b").
        text += (text.empty() ? "" : " || ") +
                ("cast(length(" + cell + ") as varchar) || ':' || ") + cell;
        present += (present.empty() ? "" : " and ") + quote(column) + " is not null";
    }
    return "select distinct md5(" + text + ") as h_ from " + one.from + " where " + present;
}

/// Number and sum of hashes by their first two digits.
Groups fingerprints(const Compared& one, const std::vector<std::string>& columns) {
    const bool duckdb = one.side.dialect() == engine::Dialect::duckdb;
    const std::string number = duckdb ? "cast('0x' || substr(h_, 3, 8) as bigint)"
                                      : "('x' || substr(h_, 3, 8))::bit(32)::bigint";
    Groups out;
    for (const auto& row : one.side.ask(
             "select substr(h_, 1, 2), cast(count(*) as varchar), cast(sum(" + number +
             ") as varchar) from (" + key_hashes(one, columns) + ") as k_ group by 1"
         ))
        out[row[0].value_or("")] = {row[1], row[2]};
    return out;
}

std::optional<std::string> keys_differ(
    const json& keys, const Compared& ours, const Compared& theirs, const std::string& other
) {
    std::vector<std::string> here;
    std::vector<std::string> there;
    if (keys.at("key").is_object()) {
        for (const auto& [mine, yours] : keys.at("key").items()) {
            here.push_back(mine);
            there.push_back(yours.get<std::string>());
        }
    } else {
        here = texts_of(keys.at("key"));
        there = here;
    }
    const Groups a = fingerprints(ours, here);
    const Groups b = fingerprints(theirs, there);
    std::set<std::string> buckets;
    for (const auto* side : {&a, &b})
        for (const auto& [bucket, sums] : *side) buckets.insert(bucket);
    std::size_t lost = 0;
    std::size_t extra = 0;
    for (const std::string& bucket : buckets) {
        const auto mine = a.find(bucket);
        const auto yours = b.find(bucket);
        if (mine != a.end() && yours != b.end() && mine->second == yours->second) continue;
        // Only what differs is read key by key.
        const auto hashes = [&](const Compared& one, const std::vector<std::string>& columns) {
            std::set<std::string> out;
            for (const auto& row : one.side.ask(
                     "select h_ from (" + key_hashes(one, columns) +
                     ") as k_ where substr(h_, 1, 2) = '" + bucket + "'"
                 ))
                out.insert(row[0].value_or(""));
            return out;
        };
        const auto left = hashes(ours, here);
        const auto right = hashes(theirs, there);
        for (const std::string& hash : left) extra += right.contains(hash) ? 0U : 1U;
        for (const std::string& hash : right) lost += left.contains(hash) ? 0U : 1U;
    }
    if (lost == 0 && extra == 0) return std::nullopt;
    std::string names;
    for (const std::string& name : here) names += (names.empty() ? "" : ", ") + name;
    return fmt::format(
        "of the keys ({}) {} are not in {}, and {} of it are not here", names, extra, other, lost
    );
}

}  // namespace

bool same_value(
    const std::optional<std::string>& a,
    const std::optional<std::string>& b,
    const Tolerance& tolerance
) {
    if (!a || !b) return a.has_value() == b.has_value();
    if (*a == *b || plain_number(*a) == plain_number(*b)) return true;
    const bool none = tolerance.absolute <= 0 && tolerance.share <= 0;
    const auto digits = [](const std::string& text) {
        return text.find_first_of("eE") == std::string::npos;
    };
    // Digits that differ are another number, also where a double cannot tell.
    if (none && digits(*a) && digits(*b)) return false;
    char* end_a = nullptr;
    char* end_b = nullptr;
    const double x = std::strtod(a->c_str(), &end_a);
    const double y = std::strtod(b->c_str(), &end_b);
    if (*end_a != '\0' || *end_b != '\0') return false;
    return std::fabs(x - y) <= std::max(tolerance.absolute, tolerance.share * std::fabs(y));
}

std::optional<std::string> compare(
    const json& keys, const TableFacts& facts, Side& side, Sides& sides
) {
    const std::string name = keys.at("compare").get<std::string>();
    const std::unique_ptr<Side> other = sides.open(name);
    const binding::Columns their_columns = sides.columns(name);
    const bool all = keys.value("scope", "interval") == "all";
    const Compared ours{side, all ? side.from() : side.from_interval(), facts.columns};
    const Compared theirs{*other, all ? other->from() : other->from_interval(), their_columns};
    std::string message;
    if (keys.contains("aggregates"))
        if (const auto found = aggregates_differ(keys, ours, theirs, name)) message = *found;
    if (keys.contains("key"))
        if (const auto found = keys_differ(keys, ours, theirs, name))
            message += (message.empty() ? "" : "; ") + *found;
    return message.empty() ? std::nullopt : std::optional(message);
}

}  // namespace sluice::validate
