#include "base/check.hpp"
#include "store/backfill_rows.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"
#include "store/rows.hpp"
#include "store/where.hpp"

namespace sluice::store {
namespace {

#define SLUICE_RUN_ROW_COLUMNS SLUICE_RUN_COLUMNS ", coalesce(v.number, 0)"
#define SLUICE_RUN_ROW_FROM "from dag_run r left join dag_version v on v.id = r.version"

RunRow read_run_row(const Result& result, int row) {
    return {read_run(result, row), result.int4(row, run_columns)};
}

struct RunOrderRow {
    RunOrder order;
    std::string_view name;  // Airflow's
    OrderColumn column;
};
constexpr RunOrderRow run_orders[] = {
    {RunOrder::run_key, "id", {"r.run_key", Nullable::no}},
    {RunOrder::dag_id, "dag_id", {"r.dag_id", Nullable::no}},
    {RunOrder::run_id, "dag_run_id", {"r.run_id", Nullable::no}},
    {RunOrder::run_id, "run_id", {"r.run_id", Nullable::no}},
    {RunOrder::state, "state", {"r.state", Nullable::no}},
    {RunOrder::run_type, "run_type", {"r.run_type", Nullable::no}},
    {RunOrder::logical_date, "logical_date", {"r.logical_date", Nullable::yes}},
    {RunOrder::logical_date, "execution_date", {"r.logical_date", Nullable::yes}},
    {RunOrder::data_interval_start, "data_interval_start", {"r.interval_start", Nullable::yes}},
    {RunOrder::data_interval_end, "data_interval_end", {"r.interval_end", Nullable::yes}},
    {RunOrder::run_after, "run_after", {"r.run_after", Nullable::no}},
    {RunOrder::queued_at, "queued_at", {"r.queued_at", Nullable::no}},
    {RunOrder::start_date, "start_date", {"r.start_date", Nullable::yes}},
    {RunOrder::end_date, "end_date", {"r.end_date", Nullable::yes}},
    {RunOrder::duration,
     "duration",
     {"(coalesce(r.end_date, clock_timestamp()) - r.start_date)", Nullable::yes}},
};

OrderColumn column_of_runs(RunOrder order) {
    for (const RunOrderRow& row : run_orders) {
        if (row.order == order) return row.column;
    }
    unreachable();
}

Where where_of(const RunFilter& filter) {
    Where where;
    where.add("r.dag_id = any($::text[])", filter.dag_ids);
    where.add("r.run_id = any($::text[])", filter.run_ids);
    where.add_text("r.dag_id ilike $::text", filter.dag_id_pattern);
    where.add_text("r.run_id ilike $::text", filter.run_id_pattern);
    where.add_text("r.triggering_user ilike $::text", filter.triggering_user_pattern);
    where.add_enums("r.state = any($::smallint[])", filter.states);
    where.add_enums("r.run_type = any($::smallint[])", filter.types);
    where.add("v.number = any($::int[])", filter.version_numbers);
    if (filter.backfill) where.add("r.backfill_id = $::int8", filter.backfill->value);
    where.add_range("r.logical_date", filter.logical_date);
    where.add_range("r.run_after", filter.run_after);
    where.add_range("r.queued_at", filter.queued_at);
    where.add_range("r.start_date", filter.start_date);
    where.add_range("r.end_date", filter.end_date);
    return where;
}

}  // namespace

std::optional<RunOrder> run_order_of(std::string_view name) {
    for (const RunOrderRow& row : run_orders) {
        if (row.name == name) return row.order;
    }
    return std::nullopt;
}

Page<RunRow> Queries::runs(const RunFilter& filter) {
    return read(pool_, [&](Connection& connection) {
        Where where = where_of(filter);
        where.add_not_deleted(connection, "r.dag_id");
        return read_page<RunRow>(
            connection,
            SLUICE_RUN_ROW_COLUMNS,
            SLUICE_RUN_ROW_FROM,
            where,
            order_of(filter.order, column_of_runs, "r.run_key"),
            filter.page,
            read_run_row
        );
    });
}

constexpr Query run_by_id_sql{
    "run_by_id",
    "select " SLUICE_RUN_ROW_COLUMNS " " SLUICE_RUN_ROW_FROM
    " where r.dag_id = $1 and r.run_id = $2 and not exists (select from deleted_dag where dag_id = "
    "$1)"
};
constexpr Query run_by_key_sql{
    "run_by_key", "select " SLUICE_RUN_ROW_COLUMNS " " SLUICE_RUN_ROW_FROM " where r.run_key = $1"
};

std::optional<RunRow> Queries::run(const std::string& dag_id, const std::string& run_id) {
    return read(pool_, [&](Connection& connection) -> std::optional<RunRow> {
        Params params;
        params.add(dag_id).add(run_id);
        const Result rows = connection.run(run_by_id_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return read_run_row(rows, 0);
    });
}

std::optional<RunRow> Queries::run(RunKey key) {
    return read(pool_, [&](Connection& connection) -> std::optional<RunRow> {
        Params params;
        params.add(key.value);
        const Result rows = connection.run(run_by_key_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return read_run_row(rows, 0);
    });
}

constexpr Query grid_runs_sql{
    "grid_runs", "select " SLUICE_RUN_ROW_COLUMNS " " SLUICE_RUN_ROW_FROM R"(
    where r.dag_id = $1 and ($2::timestamptz is null or r.run_after <= $2)
    order by r.run_after desc, r.run_key desc limit $3)"
};
constexpr Query grid_cells_sql{"grid_cells", R"(
    select t.run_key, t.task_no, t.map_index, t.state, t.try_number from task_instance t
    where t.run_key = any($1) and t.map_index < 0 order by t.run_key, t.task_no)"};

std::vector<GridRun> Queries::grid(
    const std::string& dag_id, int runs, std::optional<Instant> run_after_lte
) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(dag_id).add(run_after_lte).add(std::int64_t{runs});
        const Result rows = connection.run(grid_runs_sql, params);
        std::vector<GridRun> grid;
        std::map<std::int64_t, std::size_t> places;
        std::vector<std::int64_t> keys;
        for (int i = 0; i < rows.rows(); ++i) {
            grid.push_back({read_run_row(rows, i), {}});
            keys.push_back(grid.back().run.run.key.value);
            places[keys.back()] = grid.size() - 1;
        }
        if (keys.empty()) return grid;
        Params of_runs;
        of_runs.add(std::span<const std::int64_t>{keys});
        const Result cells = connection.run(grid_cells_sql, of_runs);
        for (int i = 0; i < cells.rows(); ++i) {
            grid[places[cells.int8(i, 0)]].cells.push_back(
                {cells.int4(i, 1),
                 cells.int4(i, 2),
                 static_cast<TaskState>(cells.int2(i, 3)),
                 cells.int4(i, 4)}
            );
        }
        return grid;
    });
}

constexpr Query latest_runs_sql{"latest_runs", "select " SLUICE_RUN_ROW_COLUMNS R"(
    from unnest($1::text[]) d(dag_id)
    cross join lateral (
        select * from dag_run l where l.dag_id = d.dag_id
        order by l.run_after desc, l.run_key desc limit $2) r
    left join dag_version v on v.id = r.version
    order by r.dag_id, r.run_after desc, r.run_key desc)"};

std::map<std::string, std::vector<RunRow>> Queries::latest_runs(
    const std::vector<std::string>& dag_ids, int runs
) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(std::span<const std::string>{dag_ids}).add(std::int64_t{runs});
        const Result rows = connection.run(latest_runs_sql, params);
        std::map<std::string, std::vector<RunRow>> latest;
        for (int i = 0; i < rows.rows(); ++i) {
            RunRow run = read_run_row(rows, i);
            latest[run.run.dag_id].push_back(std::move(run));
        }
        return latest;
    });
}

constexpr Query dag_counts_sql{"dag_counts", R"(
    select dag_id, state, count(*) from dag_run where dag_id = any($1::text[])
    group by dag_id, state)"};

std::map<std::string, DagCounts> Queries::dag_counts(const std::vector<std::string>& dag_ids) {
    std::map<std::string, DagCounts> counts;
    for (auto& [dag_id, runs] : latest_runs(dag_ids, 1)) {
        counts[dag_id].latest = std::move(runs.front());
    }
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(std::span<const std::string>{dag_ids});
        const Result rows = connection.run(dag_counts_sql, params);
        for (int i = 0; i < rows.rows(); ++i) {
            const auto state = static_cast<RunState>(rows.int2(i, 1));
            counts[rows.text(i, 0)].runs[state] = rows.int8(i, 2);
        }
        return counts;
    });
}

// ---- backfills

#define SLUICE_BACKFILL_ROW_COLUMNS \
    SLUICE_BACKFILL_COLUMNS         \
    ", (select count(*) from backfill_date d where d.backfill_id = b.id and d.action = 'skip')"

constexpr Query backfill_sql{"backfill", "select " SLUICE_BACKFILL_ROW_COLUMNS R"( from backfill b
    where b.id = $1 and not exists (select from deleted_dag g where g.dag_id = b.dag_id))"};
constexpr Query backfill_counts_sql{"backfill_counts", R"(
    select backfill_id, state, count(*) from dag_run where backfill_id = any($1)
    group by backfill_id, state)"};

// A run that is run again by a later backfill belongs to that one from then on.
constexpr Query backfill_taken_sql{"backfill_taken", R"(
    select d.backfill_id, count(*)
    from backfill b
    join backfill_date d on d.backfill_id = b.id and d.action <> 'skip'
    join dag_run r on r.run_key = d.run_key and r.backfill_id > b.id
    where b.id = any($1) and b.completed_at is not null
    group by d.backfill_id)"};

namespace {

BackfillRow read_backfill_row(const Result& result, int row) {
    BackfillRow found;
    found.backfill = read_backfill(result, row);
    found.skipped = result.int8(row, backfill_columns);
    return found;
}

Params ids_of(const std::vector<BackfillRow>& rows) {
    std::vector<std::int64_t> ids;
    for (const BackfillRow& row : rows) ids.push_back(row.backfill.id.value);
    Params params;
    params.add(std::span<const std::int64_t>{ids});
    return params;
}

void count_runs(Connection& connection, std::vector<BackfillRow>& rows) {
    Params params = ids_of(rows);
    const Result counts = connection.run(backfill_counts_sql, params);
    for (int i = 0; i < counts.rows(); ++i) {
        for (BackfillRow& row : rows) {
            if (row.backfill.id.value != counts.int8(i, 0)) continue;
            row.by_state[static_cast<RunState>(counts.int2(i, 1))] = counts.int8(i, 2);
            row.runs += counts.int8(i, 2);
        }
    }
}

void count_taken_over(Connection& connection, std::vector<BackfillRow>& rows) {
    Params params = ids_of(rows);
    const Result counts = connection.run(backfill_taken_sql, params);
    for (int i = 0; i < counts.rows(); ++i)
        for (BackfillRow& row : rows)
            if (row.backfill.id.value == counts.int8(i, 0)) row.taken_over = counts.int8(i, 1);
}

void add_plans(Connection& connection, std::vector<BackfillRow>& rows) {
    std::vector<Backfill*> backfills;
    for (BackfillRow& row : rows) backfills.push_back(&row.backfill);
    fill_plans(connection, backfills);
}

}  // namespace

Page<BackfillRow> Queries::backfills(const std::string& dag_id, PageOf page) {
    return read(pool_, [&](Connection& connection) {
        Where where;
        where.add_text("b.dag_id = $::text", dag_id);
        where.add_not_deleted(connection, "b.dag_id");
        auto found = read_page<BackfillRow>(
            connection,
            SLUICE_BACKFILL_ROW_COLUMNS,
            "from backfill b",
            where,
            " order by b.id desc",
            page,
            read_backfill_row
        );
        count_runs(connection, found.rows);
        count_taken_over(connection, found.rows);
        add_plans(connection, found.rows);
        return found;
    });
}

std::optional<BackfillRow> Queries::backfill(BackfillId id) {
    return read(pool_, [&](Connection& connection) -> std::optional<BackfillRow> {
        Params params;
        params.add(id.value);
        const Result rows = connection.run(backfill_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        std::vector<BackfillRow> found{read_backfill_row(rows, 0)};
        count_runs(connection, found);
        count_taken_over(connection, found);
        add_plans(connection, found);
        return std::move(found.front());
    });
}

constexpr Query backfill_dates_sql{"backfill_dates", R"(
    select ordinal, logical_date, interval_start, interval_end, run_after, action, reason, run_key
    from backfill_date where backfill_id = $1 order by ordinal)"};

std::vector<BackfillDate> Queries::backfill_dates(BackfillId id) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(id.value);
        const Result rows = connection.run(backfill_dates_sql, params);
        std::vector<BackfillDate> dates;
        for (int i = 0; i < rows.rows(); ++i) {
            BackfillDate date;
            date.backfill = id;
            date.ordinal = rows.int4(i, 0);
            date.logical_date = rows.time(i, 1);
            date.data_interval = {rows.time(i, 2), rows.time(i, 3)};
            date.run_after = rows.time(i, 4);
            date.action = rows.text(i, 5);
            date.reason = rows.text(i, 6);
            if (!rows.is_null(i, 7)) date.run = RunKey{rows.int8(i, 7)};
            dates.push_back(std::move(date));
        }
        return dates;
    });
}

}  // namespace sluice::store
