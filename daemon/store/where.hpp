// where.hpp — the conditions of a filtered list: constant fragments, each with its own parameter.
// Included by .cpp files of this folder only.
#pragma once

#include <string>
#include <string_view>

#include "store/pq.hpp"
#include "store/queries.hpp"

namespace sluice::store {

/// Values never become text of the statement: a fragment's `$` is replaced by the number of its
/// parameter. Filtered lists are planned for the filters they have, so they are not prepared.
class Where {
public:
    template <class Value>
    void add(std::string_view fragment, const Value& value) {
        params_.add(value);
        append(fragment);
    }
    void add(std::string_view fragment, const std::vector<std::string>& values) {
        if (values.empty()) return;
        params_.add(std::span<const std::string>{values});
        append(fragment);
    }
    void add(std::string_view fragment, const std::vector<int>& values) {
        if (values.empty()) return;
        params_.add(std::span<const std::int32_t>{values});
        append(fragment);
    }
    /// States and other stored enumerations, as smallint[].
    template <class Enum>
    void add_enums(std::string_view fragment, const std::vector<Enum>& values) {
        if (values.empty()) return;
        std::vector<std::int16_t> numbers;
        for (const Enum value : values) numbers.push_back(static_cast<std::int16_t>(value));
        params_.add(std::span<const std::int16_t>{numbers});
        append(fragment);
    }
    void add_text(std::string_view fragment, const std::string& value) {
        if (!value.empty()) add(fragment, std::string_view{value});
    }
    void add_range(std::string_view column, const TimeRange& range);
    /// Leaves out the rows of DAGs that were deleted and are not removed yet.
    void add_not_deleted(Connection& connection, std::string_view dag_id_column);

    /// " where ... and ...", "" without conditions.
    [[nodiscard]] const std::string& text() const { return text_; }
    /// The conditions' parameters, and then those added here: "$5".
    std::string parameter(std::int64_t value);
    Params& params() { return params_; }

private:
    void append(std::string_view fragment);

    std::string text_;
    Params params_;
    int count_{0};
};

/// " limit $7 offset $8"
std::string limit_of(Where& where, const PageOf& page);

enum class Nullable { no, yes };
struct OrderColumn {
    std::string_view sql;
    Nullable nullable;
};

/// " order by a desc, b, <last>"; `column` gives the constant SQL of a key.
template <class Key, class Column>
std::string order_of(const std::vector<OrderBy<Key>>& order, Column column, std::string_view last) {
    std::string text = " order by ";
    for (const OrderBy<Key>& by : order) {
        const OrderColumn found = column(by.key);
        text += found.sql;
        // Said only where there are nulls: it keeps an index from giving the order.
        const bool nulls = found.nullable == Nullable::yes;
        text += by.descending ? (nulls ? " desc nulls last, " : " desc, ")
                              : (nulls ? " nulls first, " : ", ");
    }
    // The last word is the key's: pages never overlap.
    text += last;
    return text;
}

/// `select` has all columns; the same rows are counted for `total`.
template <class Row, class Read>
Page<Row> read_page(
    Connection& connection,
    const std::string& columns,
    const std::string& from,
    Where& where,
    const std::string& order,
    const PageOf& page,
    Read read_row
) {
    Page<Row> found;
    const Result count = connection.plan("select count(*) " + from + where.text(), where.params());
    found.total = count.int8(0, 0);
    if (page.limit == 0) return found;
    const std::string limit = limit_of(where, page);
    const Result rows = connection.plan(
        "select " + columns + " " + from + where.text() + order + limit, where.params()
    );
    for (int i = 0; i < rows.rows(); ++i) found.rows.push_back(read_row(rows, i));
    return found;
}

}  // namespace sluice::store
