#include "store/asset_rows.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"
#include "store/rows.hpp"
#include "store/where.hpp"

namespace sluice::store {

Page<AssetEvent> Queries::asset_events(const AssetEventFilter& filter) {
    return read(pool_, [&](Connection& connection) {
        Where where;
        where.add_text("e.asset = $", filter.asset);
        where.add_text("e.source_dag_id = $", filter.dag_id);
        where.add_text("e.source_run_id = $", filter.run_id);
        where.add_text("e.source_task_id = $", filter.task_id);
        if (filter.map_index) where.add("e.source_map_index = $::int8", *filter.map_index);
        where.add_range("e.at", filter.at);
        if (filter.taken_by)
            where.add(
                "e.id in (select event_id from asset_use where run_key = $::int8)",
                filter.taken_by->value
            );
        const std::string from = " from asset_event e" + where.text();
        const Result count = connection.plan("select count(*)" + from, where.params());
        Page<AssetEvent> page;
        page.total = count.int8(0, 0);
        const std::string order = filter.newest_first ? " order by e.id desc" : " order by e.id";
        const std::string sql =
            "select " SLUICE_ASSET_EVENT_COLUMNS + from + order + limit_of(where, filter.page);
        const Result rows = connection.plan(sql, where.params());
        for (int i = 0; i < rows.rows(); ++i) page.rows.push_back(read_asset_event(rows, i));
        return page;
    });
}

constexpr Query asset_takers_sql{"asset_takers", "select " SLUICE_RUN_COLUMNS R"(, u.event_id
    from asset_use u join dag_run r on r.run_key = u.run_key
    where u.event_id = any($1) order by u.event_id, u.run_key)"};

std::vector<AssetTaker> Queries::asset_takers(const std::vector<AssetEvent>& events) {
    if (events.empty()) return {};
    return read(pool_, [&](Connection& connection) {
        std::vector<std::int64_t> ids;
        for (const auto& event : events) ids.push_back(event.id);
        Params params;
        params.add(std::span<const std::int64_t>{ids});
        const Result rows = connection.run(asset_takers_sql, params);
        std::vector<AssetTaker> takers;
        for (int i = 0; i < rows.rows(); ++i)
            takers.push_back({rows.int8(i, run_columns), read_run(rows, i)});
        return takers;
    });
}

constexpr Query asset_activity_sql{"asset_activity", "select " SLUICE_ASSET_EVENT_COLUMNS R"(, a.n
    from (select asset, count(*) as n, max(id) as last from asset_event group by asset) a
    join asset_event e on e.id = a.last order by e.asset)"};

std::vector<AssetActivity> Queries::asset_activity() {
    return read(pool_, [&](Connection& connection) {
        const Result rows = connection.run(asset_activity_sql);
        std::vector<AssetActivity> out;
        for (int i = 0; i < rows.rows(); ++i) {
            AssetEvent last = read_asset_event(rows, i);
            const std::string asset = last.asset;
            out.push_back({asset, rows.int8(i, 11), std::move(last)});
        }
        return out;
    });
}

}  // namespace sluice::store
