-- 0021_lake.sql — what the lake operator removes: a generation's row stays, with when, by whom and why; its files go
-- after that, so that a crash in between leaves a row whose files are still to be removed. And legal holds.

alter table ledger
    add column deleted_at timestamptz,
    add column deleted_by text,            -- "dag_id.task_id run_id"
    add column delete_reason text,
    add column files_removed_at timestamptz;

create table lake_hold (
    id bigint generated always as identity primary key,
    dataset text not null,                 -- a name or a glob: "raw.*"
    reason text not null,
    placed_by text not null,
    placed_at timestamptz not null default clock_timestamp(),
    lifted_by text,
    lifted_at timestamptz
);
