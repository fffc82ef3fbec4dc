#include "base/check.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"
#include "store/rows.hpp"
#include "store/where.hpp"

namespace sluice::store {
namespace {

#define SLUICE_TASK_ROW_COLUMNS                                                         \
    SLUICE_TASK_COLUMNS                                                                 \
    ", r.dag_id, r.run_id, coalesce(n.task_id, ''), r.version, coalesce(v.number, 0), " \
    "r.logical_date, r.run_after, r.state"
#define SLUICE_TASK_ROW_FROM "from task_instance t " SLUICE_TASK_ROW_JOINS
#define SLUICE_TASK_ROW_JOINS                      \
    "join dag_run r on r.run_key = t.run_key "     \
    "left join dag_version v on v.id = r.version " \
    "left join dag_task n on n.version_id = r.version and n.task_no = t.task_no"

TaskRow read_task_row(const Result& result, int row) {
    constexpr int c = task_columns;
    TaskRow task;
    task.instance = read_task(result, row);
    task.dag_id = result.text(row, c);
    task.run_id = result.text(row, c + 1);
    task.task_id = result.text(row, c + 2);
    task.version = VersionId{result.int8(row, c + 3)};
    task.version_number = result.int4(row, c + 4);
    task.logical_date = result.maybe_time(row, c + 5);
    task.run_after = result.time(row, c + 6);
    task.run_state = static_cast<RunState>(result.int2(row, c + 7));
    return task;
}

struct TaskOrderRow {
    TaskOrder order;
    std::string_view name;
    OrderColumn column;
};
constexpr TaskOrderRow task_orders[] = {
    {TaskOrder::run_key, "id", {"t.run_key", Nullable::no}},
    {TaskOrder::task_no, "task_no", {"t.task_no", Nullable::no}},
    {TaskOrder::task_id, "task_id", {"n.task_id", Nullable::yes}},
    {TaskOrder::task_id, "task_display_name", {"n.task_id", Nullable::yes}},
    {TaskOrder::state, "state", {"t.state", Nullable::no}},
    {TaskOrder::map_index, "map_index", {"t.map_index", Nullable::no}},
    {TaskOrder::try_number, "try_number", {"t.try_number", Nullable::no}},
    {TaskOrder::logical_date, "logical_date", {"r.logical_date", Nullable::yes}},
    {TaskOrder::run_after, "run_after", {"r.run_after", Nullable::no}},
    {TaskOrder::scheduled_at, "scheduled_when", {"t.scheduled_at", Nullable::yes}},
    {TaskOrder::queued_at, "queued_when", {"t.queued_at", Nullable::yes}},
    {TaskOrder::start_date, "start_date", {"t.start_date", Nullable::yes}},
    {TaskOrder::end_date, "end_date", {"t.end_date", Nullable::yes}},
    {TaskOrder::duration,
     "duration",
     {"(coalesce(t.end_date, clock_timestamp()) - t.start_date)", Nullable::yes}},
};

OrderColumn column_of_tasks(TaskOrder order) {
    for (const TaskOrderRow& row : task_orders) {
        if (row.order == order) return row.column;
    }
    unreachable();
}

Where where_of(const TaskFilter& filter) {
    Where where;
    where.add("r.dag_id = any($::text[])", filter.dag_ids);
    where.add("r.run_id = any($::text[])", filter.run_ids);
    if (filter.run) where.add("t.run_key = $::int8", filter.run->value);
    where.add("n.task_id = any($::text[])", filter.task_ids);
    where.add_text("n.task_id ilike $::text", filter.task_id_pattern);
    where.add_enums("t.state = any($::smallint[])", filter.states);
    where.add("t.map_index = any($::int[])", filter.map_indexes);
    where.add_range("r.logical_date", filter.logical_date);
    where.add_range("r.run_after", filter.run_after);
    where.add_range("t.start_date", filter.start_date);
    where.add_range("t.end_date", filter.end_date);
    return where;
}

Params& add_key(Params& params, const TaskKey& key) {
    return params.add(key.run.value).add_int(key.task).add_int(key.map_index);
}

template <class Row, class Read>
std::vector<Row> rows_of(ConnectionPool& pool, const Query& query, Params& params, Read read_row) {
    return read(pool, [&](Connection& connection) {
        const Result result = connection.run(query, params);
        std::vector<Row> rows;
        for (int i = 0; i < result.rows(); ++i) rows.push_back(read_row(result, i));
        return rows;
    });
}

}  // namespace

std::optional<TaskOrder> task_order_of(std::string_view name) {
    for (const TaskOrderRow& row : task_orders) {
        if (row.name == name) return row.order;
    }
    return std::nullopt;
}

Page<TaskRow> Queries::tasks(const TaskFilter& filter) {
    return read(pool_, [&](Connection& connection) {
        Where where = where_of(filter);
        where.add_not_deleted(connection, "r.dag_id");
        return read_page<TaskRow>(
            connection,
            SLUICE_TASK_ROW_COLUMNS,
            SLUICE_TASK_ROW_FROM,
            where,
            order_of(filter.order, column_of_tasks, "t.run_key, t.task_no, t.map_index"),
            filter.page,
            read_task_row
        );
    });
}

constexpr Query tasks_of_run_sql{
    "tasks_of_run",
    "select " SLUICE_TASK_ROW_COLUMNS " " SLUICE_TASK_ROW_FROM
    " where t.run_key = $1 order by t.task_no, t.map_index"
};
constexpr Query task_sql{
    "task",
    "select " SLUICE_TASK_ROW_COLUMNS " " SLUICE_TASK_ROW_FROM
    " where t.run_key = $1 and t.task_no = $2 and t.map_index = $3"
};

constexpr Query between_sql{
    "tasks_between",
    "select " SLUICE_TASK_ROW_COLUMNS " " SLUICE_TASK_ROW_FROM
    " where t.run_key = $1 and t.task_no = $2 and t.map_index between $3 and $4 "
    "order by t.map_index"
};
constexpr Query unmapped_sql{
    "unmapped_of",
    // One look into the index a task, as of those that have moved.
    "select " SLUICE_TASK_ROW_COLUMNS
    " from unnest($2::int4[]) as d(no) cross join lateral (select * from task_instance i "
    "where i.run_key = $1 and i.task_no = d.no and i.map_index = -1 limit 1) "
    "t " SLUICE_TASK_ROW_JOINS " order by t.task_no"
};

std::vector<TaskRow> Queries::tasks_between(RunKey run, TaskNo task, MapIndex lo, MapIndex hi) {
    Params params;
    params.add(run.value).add_int(task).add_int(lo).add_int(hi);
    return rows_of<TaskRow>(pool_, between_sql, params, read_task_row);
}

std::vector<TaskRow> Queries::unmapped_of(RunKey run, const std::vector<TaskNo>& tasks) {
    Params params;
    params.add(run.value).add(std::span<const std::int32_t>{tasks});
    return rows_of<TaskRow>(pool_, unmapped_sql, params, read_task_row);
}

std::vector<TaskRow> Queries::tasks_of(RunKey run) {
    Params params;
    params.add(run.value);
    return rows_of<TaskRow>(pool_, tasks_of_run_sql, params, read_task_row);
}

std::optional<TaskRow> Queries::task(const TaskKey& key) {
    Params params;
    add_key(params, key);
    auto rows = rows_of<TaskRow>(pool_, task_sql, params, read_task_row);
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

// ---- superseded attempts

#define SLUICE_ATTEMPT_SELECT                                                               \
    "select a.run_key, a.task_no, a.map_index, a.start_no, a.try_number, a.state, a.lost, " \
    "a.scheduled_at, a.queued_at, a.start_date, a.end_date, a.error_class, a.error, "       \
    "coalesce(n.task_id, '') from attempt a join dag_run r on r.run_key = a.run_key "       \
    "left join dag_task n on n.version_id = r.version and n.task_no = a.task_no "

constexpr Query attempts_sql{
    "attempts",
    SLUICE_ATTEMPT_SELECT
    "where a.run_key = $1 and a.task_no = $2 and a.map_index = $3 order by a.start_no"
};
constexpr Query attempts_of_run_sql{
    "attempts_of_run",
    SLUICE_ATTEMPT_SELECT "where a.run_key = $1 order by a.task_no, a.map_index, a.start_no"
};

namespace {
AttemptRow read_attempt(const Result& result, int i) {
    AttemptRow row;
    AttemptRecord& attempt = row.attempt;
    attempt.key = {RunKey{result.int8(i, 0)}, result.int4(i, 1), result.int4(i, 2)};
    attempt.start = result.int4(i, 3);
    attempt.try_number = result.int4(i, 4);
    attempt.state = static_cast<TaskState>(result.int2(i, 5));
    attempt.lost = result.boolean(i, 6);
    attempt.scheduled_at = result.maybe_time(i, 7);
    attempt.queued_at = result.maybe_time(i, 8);
    attempt.start_date = result.maybe_time(i, 9);
    attempt.end_date = result.maybe_time(i, 10);
    attempt.error_class = static_cast<ErrorClass>(result.int2(i, 11));
    attempt.error = result.text(i, 12);
    row.task_id = result.text(i, 13);
    return row;
}
}  // namespace

std::vector<AttemptRow> Queries::attempts(const TaskKey& key) {
    Params params;
    add_key(params, key);
    return rows_of<AttemptRow>(pool_, attempts_sql, params, read_attempt);
}

std::vector<AttemptRow> Queries::attempts_of(RunKey run) {
    Params params;
    params.add(run.value);
    return rows_of<AttemptRow>(pool_, attempts_of_run_sql, params, read_attempt);
}

// ---- XComs and rendered fields

#define SLUICE_XCOM_SELECT                                                                     \
    "select x.run_key, x.task_no, x.map_index, coalesce(n.task_id, ''), x.key, x.value, x.at " \
    "from xcom x join dag_run r on r.run_key = x.run_key "                                     \
    "left join dag_task n on n.version_id = r.version and n.task_no = x.task_no "

constexpr Query xcoms_sql{
    "xcoms",
    SLUICE_XCOM_SELECT "where x.run_key = $1 and x.task_no = $2 and x.map_index = $3 order by x.key"
};
constexpr Query xcoms_of_run_sql{
    "xcoms_of_run", SLUICE_XCOM_SELECT "where x.run_key = $1 order by x.task_no, x.map_index, x.key"
};
constexpr Query xcom_sql{
    "xcom",
    SLUICE_XCOM_SELECT "where x.run_key = $1 and x.task_no = $2 and x.map_index = $3 and x.key = $4"
};

namespace {
XcomRow read_xcom(const Result& result, int i) {
    return {
        {RunKey{result.int8(i, 0)}, result.int4(i, 1), result.int4(i, 2)},
        result.text(i, 3),
        result.text(i, 4),
        result.text(i, 5),
        result.time(i, 6)
    };
}
}  // namespace

std::vector<XcomRow> Queries::xcoms(const TaskKey& key) {
    Params params;
    add_key(params, key);
    return rows_of<XcomRow>(pool_, xcoms_sql, params, read_xcom);
}

constexpr Query xcom_lists_sql{"xcom_lists", R"(
    select key, json_agg(value order by map_index)::text from xcom
    where run_key = $1 and task_no = $2 and value::text <> 'null' group by key)"};

constexpr Query xcom_lists_of_sql{"xcom_lists_of", R"(
    select x.key, json_agg(x.value order by o.place)::text
    from unnest($3::int[]) with ordinality as o(map_index, place)
    join xcom x on x.run_key = $1 and x.task_no = $2 and x.map_index = o.map_index
    where x.value::text <> 'null' group by x.key)"};

std::map<std::string, std::string> Queries::xcom_lists(
    RunKey run, TaskNo task, const std::vector<MapIndex>* of
) {
    Params params;
    params.add(run.value).add_int(task);
    if (of != nullptr) params.add(std::span<const std::int32_t>{*of});
    return read(pool_, [&](Connection& connection) {
        const Result rows =
            connection.run(of != nullptr ? xcom_lists_of_sql : xcom_lists_sql, params);
        std::map<std::string, std::string> lists;
        for (int i = 0; i < rows.rows(); ++i) lists[rows.text(i, 0)] = rows.text(i, 1);
        return lists;
    });
}

std::vector<XcomRow> Queries::xcoms_of(RunKey run) {
    Params params;
    params.add(run.value);
    return rows_of<XcomRow>(pool_, xcoms_of_run_sql, params, read_xcom);
}

std::optional<XcomRow> Queries::xcom(const TaskKey& key, const std::string& name) {
    Params params;
    add_key(params, key).add(name);
    auto rows = rows_of<XcomRow>(pool_, xcom_sql, params, read_xcom);
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

constexpr Query rendered_sql{"rendered", R"(
    select fields from rendered
    where run_key = $1 and task_no = $2 and map_index = $3
        and ($4::int4 is null or start_no = $4)
    order by start_no desc limit 1)"};

std::optional<std::string> Queries::rendered(const TaskKey& key, std::optional<int> start) {
    Params params;
    add_key(params, key);
    if (start) {
        params.add_int(*start);
    } else {
        params.add_null();
    }
    auto rows = rows_of<std::string>(pool_, rendered_sql, params, [](const Result& r, int i) {
        return r.text(i, 0);
    });
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

}  // namespace sluice::store
