#include "store/where.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace sluice::store {

void Where::append(std::string_view fragment) {
    ++count_;
    text_ += text_.empty() ? " where " : " and ";
    const std::size_t place = fragment.find('$');
    SLUICE_CHECK(place != std::string_view::npos);
    text_ += fragment.substr(0, place + 1);
    text_ += std::to_string(count_);
    text_ += fragment.substr(place + 1);
}

constexpr Query any_deleted_sql{"any_deleted", "select exists (select from deleted_dag)"};

// The condition costs plans and time, and there is nearly always nothing to leave out.
void Where::add_not_deleted(Connection& connection, std::string_view dag_id_column) {
    if (!connection.run(any_deleted_sql).boolean(0, 0)) return;
    text_ += text_.empty() ? " where " : " and ";
    text_ += dag_id_column;
    text_ += " <> all(array(select dag_id from deleted_dag))";
}

void Where::add_range(std::string_view column, const TimeRange& range) {
    const auto bound = [&](const std::optional<Instant>& at, const char* comparison) {
        if (at) add(std::string{column} + comparison + "$::timestamptz", *at);
    };
    bound(range.gte, " >= ");
    bound(range.gt, " > ");
    bound(range.lte, " <= ");
    bound(range.lt, " < ");
}

std::string Where::parameter(std::int64_t value) {
    params_.add(value);
    return "$" + std::to_string(++count_);
}

std::string limit_of(Where& where, const PageOf& page) {
    std::string text = " limit " + where.parameter(std::max<std::int64_t>(page.limit, 0));
    text += "::int8 offset " + where.parameter(std::max<std::int64_t>(page.offset, 0)) + "::int8";
    return text;
}

}  // namespace sluice::store
