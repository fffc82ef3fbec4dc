-- 0023_task_metrics.sql — what data tasks measured, a row per task and interval: the summary of the task ("": rows_in,
-- rows_out, ...) and metrics of data sets (row_count, null_share: email, broken: range: qty). A re-run of the interval
-- replaces its row. Anomalies are judged by the rows of earlier intervals that passed.

create table task_metric (
    dag_id text not null,
    task_id text not null,
    map_index int not null,
    slice text not null,                   -- "start/end" of the data interval, else "run:<run_id>"
    interval_start timestamptz,
    interval_end timestamptz,
    run_key bigint not null,
    run_id text not null,
    start_no int not null,                 -- with run_key: the attempt
    try_number int not null,
    at timestamptz not null default clock_timestamp(),
    passed boolean not null,               -- the task succeeded
    metrics jsonb not null,                -- {data set or "": {metric: number}}
    primary key (dag_id, task_id, map_index, slice)
);
create index task_metric_interval on task_metric (dag_id, task_id, map_index, interval_start desc);
create index task_metric_run on task_metric (run_key);
