#include "store/asset_rows.hpp"

namespace sluice::store {
namespace {

constexpr Query asset_marks_sql{
    "asset_marks", "select dag_id, asset, seen from asset_mark order by dag_id, asset"
};
constexpr Query unseen_asset_events_sql{
    "unseen_asset_events", "select " SLUICE_ASSET_EVENT_COLUMNS R"(
    from (select asset, min(seen) as seen from asset_mark group by asset) m
    join asset_event e on e.asset = m.asset and e.id > m.seen order by e.id)"
};
constexpr Query last_asset_event_sql{
    "last_asset_event", "select coalesce(max(id), 0) from asset_event"
};

}  // namespace

AssetEvent read_asset_event(const Result& result, int row) {
    AssetEvent event;
    event.id = result.int8(row, 0);
    event.asset = result.text(row, 1);
    event.at = result.time(row, 2);
    event.extra = result.text(row, 3);
    event.dag_id = result.text(row, 4);
    event.run_id = result.text(row, 5);
    event.task_id = result.text(row, 6);
    event.map_index = result.int4(row, 7);
    const auto start = result.maybe_time(row, 8);
    const auto end = result.maybe_time(row, 9);
    if (start && end) event.interval = Interval{*start, *end};
    event.user = result.text(row, 10);
    return event;
}

void read_assets(Connection& connection, Snapshot& snapshot) {
    const Result marks = connection.run(asset_marks_sql);
    for (int i = 0; i < marks.rows(); ++i)
        snapshot.asset_marks.push_back({marks.text(i, 0), marks.text(i, 1), marks.int8(i, 2), false}
        );
    const Result events = connection.run(unseen_asset_events_sql);
    for (int i = 0; i < events.rows(); ++i)
        snapshot.asset_events.push_back(read_asset_event(events, i));
    snapshot.last_asset_event = connection.run(last_asset_event_sql).int8(0, 0);
}

}  // namespace sluice::store
