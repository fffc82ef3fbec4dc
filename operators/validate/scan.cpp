#include "operators/validate/scan.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "operators/validate/samples.hpp"

namespace sluice::validate {

using engine::quote;
using nlohmann::json;

std::size_t Scan::add(std::string aggregate) {
    SLUICE_CHECK(sql_.empty());
    aggregates_.push_back(std::move(aggregate));
    return aggregates_.size() - 1;
}

std::size_t Scan::add(const Rule& rule) {
    const engine::Dialect dialect = side_.dialect();
    std::string where = where_sql(rule, dialect);
    if (!where.empty()) where = " and " + where;
    if (rule.kind == Kind::unique) return add(duplicates_sql(rule, dialect));
    if (rule.kind == Kind::foreign_key) {
        const json keys = json::parse(rule.keys);
        const std::string theirs =
            side_.beside(reference_of(keys.at("references").get<std::string>()).dataset);
        const Orphans orphans =
            orphans_of(rule, theirs, "f" + std::to_string(aggregates_.size()) + "_");
        joins_ += orphans.join;
        return add("count(*) filter (where " + orphans.condition + where + ")");
    }
    return add("count(*) filter (where " + *broken_sql(rule, dialect) + where + ")");
}

void Scan::run() {
    std::string items = "count(*)";
    for (const std::string& one : aggregates_) items += ", " + one;
    sql_ = "select " + items + " from (select * from " + side_.from() + ") as ours_" + joins_;
    const Answer answer = side_.ask(sql_);
    rows_ = std::stoll(answer.at(0).at(0).value_or("0"));
    answers_.assign(answer[0].begin() + 1, answer[0].end());
}

const std::optional<std::string>& Scan::text(std::size_t place) const { return answers_.at(place); }

std::int64_t Scan::count(std::size_t place) const {
    const auto& text = answers_.at(place);
    return text ? std::stoll(*text) : 0;
}

std::string samples_of(
    const Rule& rule,
    Side& side,
    const std::vector<std::string>& key,
    const binding::Columns& columns
) {
    const auto broken = broken_sql(rule, side.dialect());
    if (!broken) return "";
    std::vector<std::string> shown;
    for (const auto* names : {&key, &rule.columns})
        for (const std::string& name : *names)
            if (binding::find(columns, name) != nullptr &&
                std::ranges::find(shown, name) == shown.end())
                shown.push_back(name);
    if (shown.empty()) return "";
    std::string items;
    for (const std::string& name : shown)
        items += (items.empty() ? "" : ", ") + ("cast(" + quote(name) + " as varchar)");
    const std::string where = where_sql(rule, side.dialect());
    json samples = json::array();
    for (const auto& row : side.ask(
             "select " + items + " from " + side.from() + " where " + *broken +
             (where.empty() ? "" : " and " + where) + " limit " + std::to_string(samples_shown)
         )) {
        json sample = json::object();
        for (std::size_t i = 0; i < shown.size(); ++i)
            sample[shown[i]] = sample_value(
                row[i] ? engine::Value(*row[i]) : engine::Value(), may_show(columns, shown[i])
            );
        samples.push_back(std::move(sample));
    }
    return samples.dump();
}

}  // namespace sluice::validate
