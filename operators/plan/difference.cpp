#include "operators/plan/difference.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "operators/engine/sql.hpp"

namespace sluice::plan {

using engine::quote;

namespace {

constexpr int shown = 3;
constexpr std::size_t cell_bytes = 40;

/// What a load adds to a table by itself: it says nothing of a person.
bool is_own(std::string_view column) {
    static constexpr std::array<std::string_view, 5> names{
        "valid_from", "valid_to", "is_current", "is_inferred", "is_deleted"
    };
    return column.ends_with("_sk") || std::ranges::find(names, column) != names.end();
}

bool shows(const DatasetSpec& dataset, const std::string& column) {
    const auto found = std::ranges::find(dataset.columns, column, &ColumnSpec::name);
    if (found == dataset.columns.end()) return is_own(column);
    return found->pii_class.empty();
}

std::string cell(
    const DatasetSpec& dataset, const std::string& column, const std::optional<std::string>& value
) {
    if (!value) return "null";
    if (!shows(dataset, column)) return "***";
    if (value->size() <= cell_bytes) return *value;
    std::size_t end = cell_bytes;
    while (end > 0 && (static_cast<unsigned char>((*value)[end]) & 0xC0U) == 0x80U) --end;
    return value->substr(0, end) + "…";
}

class Comparison {
public:
    Comparison(const Compared& compared, const DatasetSpec& dataset)
        : one_(compared), dataset_(dataset) {
        for (std::size_t i = 0; i < one_.columns.size(); ++i)
            list_ += (i > 0 ? ", " : "") + one_.comparable[i] + " as " + quote(one_.columns[i]);
    }

    Difference run() {
        Difference out;
        out.before = one_.before.empty() ? 0 : count("select count(*) from " + one_.before);
        out.after = count("select count(*) from " + one_.after);
        diff("plus_", one_.after, one_.before);
        diff("minus_", one_.before, one_.after);
        out.added = count("select count(*) from plus_");
        out.removed = count("select count(*) from minus_");
        if (!one_.key.empty() && out.added > 0 && out.removed > 0) {
            const std::string key = engine::quoted_list(one_.key);
            out.changed = count(
                "select count(*) from (select distinct " + key +
                " from plus_ intersect select "
                "distinct " +
                key + " from minus_) as both_"
            );
            out.added -= out.changed;
            out.removed -= out.changed;
        }
        sample(out);
        return out;
    }

private:
    std::int64_t count(const std::string& sql) const {
        const auto rows = one_.ask(sql);
        return rows.empty() ? 0 : std::stoll(rows[0][0].value_or("0"));
    }

    void diff(const std::string& name, const std::string& in, const std::string& but) const {
        one_.execute("drop table if exists " + name);
        std::string sql = "select " + list_ + " from " + (in.empty() ? but + " where false" : in);
        if (!in.empty() && !but.empty()) sql += " except all select " + list_ + " from " + but;
        one_.execute("create temp table " + name + " as " + sql);
    }

    /// "exists" of a row with the same key on the other side; a key may be null.
    [[nodiscard]] std::string other_side(const std::string& mine, const std::string& theirs) const {
        if (one_.key.empty()) return "false";
        std::string equal;
        for (const std::string& column : one_.key)
            equal += (equal.empty() ? "" : " and ") + theirs + "." + quote(column) +
                     " is not distinct from " + mine + "." + quote(column);
        return "exists (select 1 from " + theirs + " where " + equal + ")";
    }

    void sample(Difference& out) const {
        std::string texts;
        for (const std::string& column : one_.columns)
            texts += (texts.empty() ? "" : ", ") + ("cast(" + quote(column) + " as varchar)");
        const auto rows = [&](const std::string& mine, const std::string& theirs) {
            return one_.ask(
                "select " + texts + " from " + mine + " where not " + other_side(mine, theirs) +
                " order by " + texts + " limit " + std::to_string(shown)
            );
        };
        for (const Line& row : rows("plus_", "minus_")) out.samples.push_back("+ " + line(row));
        if (out.changed > 0) sample_changes(out);
        for (const Line& row : rows("minus_", "plus_")) out.samples.push_back("- " + line(row));
    }

    void sample_changes(Difference& out) const {
        std::string texts;
        std::string equal;
        for (const char* side : {"m_", "p_"})
            for (const std::string& column : one_.columns)
                texts += (texts.empty() ? "" : ", ") + ("cast(" + std::string(side) + ".") +
                         quote(column) + " as varchar)";
        for (const std::string& column : one_.key)
            equal += (equal.empty() ? "" : " and ") + ("m_." + quote(column)) +
                     " is not distinct from p_." + quote(column);
        const std::size_t width = one_.columns.size();
        for (const Line& row : one_.ask(
                 "select " + texts + " from minus_ as m_ join plus_ as p_ on " + equal +
                 " order by " + texts + " limit " + std::to_string(shown)
             )) {
            std::string text = "~";
            for (std::size_t i = 0; i < width; ++i) {
                const std::string& column = one_.columns[i];
                const bool is_key = std::ranges::find(one_.key, column) != one_.key.end();
                if (is_key)
                    text += " " + column + "=" + cell(dataset_, column, row[i]);
                else if (row[i] != row[width + i])
                    text += " " + column + ": " + cell(dataset_, column, row[i]) + " -> " +
                            cell(dataset_, column, row[width + i]);
            }
            out.samples.push_back(std::move(text));
        }
    }

    [[nodiscard]] std::string line(const Line& row) const {
        std::string text;
        for (std::size_t i = 0; i < row.size(); ++i)
            text += (i > 0 ? " " : "") + one_.columns[i] + "=" +
                    cell(dataset_, one_.columns[i], row[i]);
        return text;
    }

    const Compared& one_;
    const DatasetSpec& dataset_;
    std::string list_;
};

}  // namespace

Difference difference_of(const Compared& compared, const DatasetSpec& dataset) {
    return Comparison(compared, dataset).run();
}

std::vector<std::string> token_columns(
    const std::function<std::vector<Line>(const std::string& sql)>& ask,
    const std::string& relation,
    const std::vector<std::string>& columns
) {
    if (columns.empty()) return {};
    std::string items;
    for (const std::string& column : columns)
        items += (items.empty() ? "" : ", ") + ("max(case when length(" + quote(column)) +
                 ") = 30 and " + quote(column) + " like 'tok!_%' escape '!' then 1 else 0 end)";
    std::vector<std::string> found;
    const auto rows = ask("select " + items + " from " + relation);
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (!rows.empty() && rows[0][i] == "1") found.push_back(columns[i]);
    return found;
}

}  // namespace sluice::plan
