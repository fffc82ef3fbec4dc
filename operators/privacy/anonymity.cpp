#include "operators/privacy/anonymity.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "operators/engine/sql.hpp"

namespace sluice::privacy {

namespace {

using engine::quote;

std::int64_t count_of(const std::optional<std::string>& cell) {
    return cell ? std::strtoll(cell->c_str(), nullptr, 10) : 0;
}

/// True of a class (its rows c_, its values l_) that does not hold.
std::string bad_sql(const Anonymity& asked) {
    std::string out = asked.k > 0 ? "c_ < " + std::to_string(asked.k) : "";
    if (asked.l > 0) out += (out.empty() ? "" : " or ") + ("l_ < " + std::to_string(asked.l));
    return "(" + out + ")";
}

}  // namespace

AnonymityReport measure(const Ask& ask, const std::string& from, const Anonymity& asked) {
    const std::string by = engine::quoted_list(asked.quasi);
    const std::string values =
        asked.sensitive.empty() ? "0" : "count(distinct " + quote(asked.sensitive) + ")";
    const std::string bad = bad_sql(asked);
    const Rows rows =
        ask("select cast(coalesce(sum(c_), 0) as varchar), cast(coalesce(min(c_), 0) as varchar), "
            "cast(coalesce(min(l_), 0) as varchar), "
            "cast(coalesce(sum(case when " +
            bad +
            " then 1 else 0 end), 0) as varchar), "
            "cast(coalesce(sum(case when " +
            bad +
            " then c_ else 0 end), 0) as varchar) "
            "from (select count(*) as c_, " +
            values + " as l_ from " + from + " group by " + by + ") x_");
    AnonymityReport out;
    out.total = count_of(rows.at(0).at(0));
    out.smallest = count_of(rows.at(0).at(1));
    out.least_values = count_of(rows.at(0).at(2));
    out.classes = count_of(rows.at(0).at(3));
    out.rows = count_of(rows.at(0).at(4));
    if (out.holds()) return out;
    std::int64_t most = -1;
    for (const std::string& column : asked.quasi) {
        const Rows rare =
            ask("select cast(count(*) as varchar) from (select 1 from " + from + " group by " +
                quote(column) + " having count(*) < " +
                std::to_string(std::max<std::int64_t>(asked.k, 2)) + ") x_");
        if (count_of(rare.at(0).at(0)) <= most) continue;
        most = count_of(rare.at(0).at(0));
        out.worst = column;
    }
    return out;
}

std::string AnonymityReport::told(const Anonymity& asked) const {
    std::string out = fmt::format(
        "{} classes of {} with {} of {} rows ({:.2f}%) are too ",
        classes,
        fmt::join(asked.quasi, ", "),
        rows,
        total,
        total == 0 ? 0.0 : 100.0 * static_cast<double>(rows) / static_cast<double>(total)
    );
    out += asked.l > 0 ? asked.k > 0 ? "small or too poor" : "poor" : "small";
    if (asked.k > 0) out += fmt::format("; the smallest has {} (k is {})", smallest, asked.k);
    if (asked.l > 0)
        out += fmt::format(
            "; the poorest has {} values of {} (l is {})", least_values, asked.sensitive, asked.l
        );
    return out + "; " + worst + " tells most rows apart";
}

std::string suppressed_sql(
    const std::string& from, const std::vector<std::string>& columns, const Anonymity& asked
) {
    const std::string by = engine::quoted_list(asked.quasi);
    const std::string values =
        asked.sensitive.empty()
            ? "0"
            : "count(distinct " + quote(asked.sensitive) + ") over (partition by " + by + ")";
    std::string items;
    for (const std::string& column : columns) {
        const bool quasi = std::ranges::find(asked.quasi, column) != asked.quasi.end();
        items += quasi ? "case when not suppressed_ then " + quote(column) + " end as " +
                             quote(column) + ", "
                       : quote(column) + ", ";
    }
    return "select " + items + "suppressed_ from (select *, " + bad_sql(asked) +
           " as suppressed_ from (select *, count(*) over (partition by " + by + ") as c_, " +
           values + " as l_ from " + from + "))";
}

}  // namespace sluice::privacy
