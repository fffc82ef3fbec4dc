#include "store/task_metrics.hpp"

#include "store/pooled.hpp"

namespace sluice::store {

namespace {

std::string slice_of(const MetricRow& row) {
    if (!row.interval) return "run:" + row.run_id;
    return format_offset(row.interval->start) + '/' + format_offset(row.interval->end);
}

std::vector<MetricRow> metric_rows(const Result& found) {
    std::vector<MetricRow> rows;
    for (int i = 0; i < found.rows(); ++i) {
        MetricRow row;
        row.dag_id = found.text(i, 0);
        row.task_id = found.text(i, 1);
        row.map_index = found.int4(i, 2);
        const auto begin = found.maybe_time(i, 3);
        const auto end = found.maybe_time(i, 4);
        if (begin && end) row.interval = Interval{*begin, *end};
        row.run = RunKey{found.int8(i, 5)};
        row.run_id = found.text(i, 6);
        row.start = found.int4(i, 7);
        row.try_number = found.int4(i, 8);
        row.passed = found.boolean(i, 9);
        row.metrics = found.text(i, 10);
        row.at = found.time(i, 11);
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace

constexpr Query put_metrics_sql{"put_metrics", R"(
    insert into task_metric as m (dag_id, task_id, map_index, slice, interval_start, interval_end,
        run_key, run_id, start_no, try_number, passed, metrics)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb)
    on conflict (dag_id, task_id, map_index, slice) do update set
        interval_start = excluded.interval_start, interval_end = excluded.interval_end,
        run_key = excluded.run_key, run_id = excluded.run_id, start_no = excluded.start_no,
        try_number = excluded.try_number, at = excluded.at, passed = excluded.passed,
        metrics = excluded.metrics
    where m.run_key <> excluded.run_key or m.start_no <= excluded.start_no)"};

void TaskMetrics::put(const MetricRow& row) {
    change(pool_, [&](Connection& connection) {
        std::optional<Instant> begin;
        std::optional<Instant> end;
        if (row.interval) {
            begin = row.interval->start;
            end = row.interval->end;
        }
        Params params;
        params.add(row.dag_id).add(row.task_id).add_int(row.map_index).add(slice_of(row));
        params.add(begin).add(end).add(row.run.value).add(row.run_id).add_int(row.start);
        params.add_int(row.try_number).add(row.passed).add(row.metrics);
        connection.run(put_metrics_sql, params);
    });
}

constexpr Query metric_history_sql{"metric_history", R"(
    select interval_start, (metrics -> $5::text ->> $6::text)::float8::text from task_metric
    where dag_id = $1 and task_id = $2 and map_index = $3 and interval_start < $4 and passed
        and metrics -> $5::text ->> $6::text is not null
    order by interval_start desc limit $7)"};

std::vector<std::pair<Instant, double>> TaskMetrics::history(const MetricQuery& query) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(query.dag_id).add(query.task_id).add_int(query.map_index).add(query.before);
        params.add(query.dataset).add(query.metric).add(query.limit);
        const Result found = connection.run(metric_history_sql, params);
        std::vector<std::pair<Instant, double>> points;
        for (int i = 0; i < found.rows(); ++i)
            points.emplace_back(found.time(i, 0), std::stod(found.text(i, 1)));
        return points;
    });
}

constexpr Query metrics_of_run_sql{"metrics_of_run", R"(
    select dag_id, task_id, map_index, interval_start, interval_end, run_key, run_id, start_no,
        try_number, passed, metrics::text, at
    from task_metric where run_key = $1 order by task_id, map_index)"};

std::vector<MetricRow> TaskMetrics::of_run(RunKey run) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value);
        return metric_rows(connection.run(metrics_of_run_sql, params));
    });
}

constexpr Query metrics_of_task_sql{"metrics_of_task", R"(
    select dag_id, task_id, map_index, interval_start, interval_end, run_key, run_id, start_no,
        try_number, passed, metrics::text, at
    from task_metric where dag_id = $1 and ($2::text = '' or task_id = $2::text)
    order by interval_start desc nulls last, at desc, task_id, map_index limit $3)"};

std::vector<MetricRow> TaskMetrics::of_task(
    const std::string& dag_id, const std::string& task_id, std::int64_t limit
) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(dag_id).add(task_id).add(limit);
        return metric_rows(connection.run(metrics_of_task_sql, params));
    });
}

}  // namespace sluice::store
