-- 0008_backfill_plan.sql — what a backfill's plan says beyond its dates: which tasks run, and how
-- long a run was expected to take.

create table backfill_plan (
    backfill_id bigint primary key,
    tasks json not null,  -- list of full ids; empty = all
    run_micros bigint     -- null = no run had succeeded yet
);

create function commit_x_times(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into backfill_plan select * from json_to_recordset(rows -> 'plans') as d(
        backfill_id bigint, tasks json, run_micros bigint)
        on conflict (backfill_id) do nothing;
end $$;
