-- 0018_versions.sql — runs that go on with another version: its form in a run's task numbers is a row
-- of dag_version beside the version itself, and instances may be removed from any state.

alter table dag_version add column is_form boolean not null default false;
alter table dag_version drop constraint dag_version_dag_id_number_key;
create unique index dag_version_number on dag_version (dag_id, number) where not is_form;
create unique index dag_version_form on dag_version (dag_id, hash) where is_form;

insert into task_move values
    (1, 12), (3, 12), (4, 12), (5, 12), (6, 12), (7, 12), (8, 12), (9, 12), (10, 12), (11, 12),
    (13, 12);
call enforce_moves();

-- What is still to be cleared of a run, when that takes several turns: until it is done the run
-- starts nothing, and a daemon that comes back goes on with it.
create table run_clearing (
    run_key bigint primary key,
    rest json not null,   -- list of [task_no, map_lo, map_hi]
    tasks json not null,  -- list of task_no: all that it is about
    only_failed boolean not null,
    only_running boolean not null,
    actor text not null
);

create function commit_x_clearing(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into run_clearing select d.run_key, d.rest, d.tasks, d.only_failed, d.only_running, d.actor
        from json_to_recordset(rows) as d(run_key bigint, rest json, tasks json,
            only_failed boolean, only_running boolean, actor text, over boolean)
        where not d.over
        on conflict (run_key) do update set rest = excluded.rest;
    delete from run_clearing c
        using json_to_recordset(rows) as d(run_key bigint, over boolean)
        where d.over and c.run_key = d.run_key;
end $$;

-- Runs that were deleted: out of every list at once, as their row is gone; what else there is of
-- them goes bit by bit, and then their line here.
create table deleted_run (
    run_key bigint primary key,
    dag_id text not null,
    run_id text not null
);

create function commit_x_deleted(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into deleted_run select r.run_key, r.dag_id, r.run_id
        from dag_run r join json_array_elements_text(rows) as d(run_key)
            on r.run_key = d.run_key::bigint;
    delete from dag_run r using json_array_elements_text(rows) as d(run_key)
        where r.run_key = d.run_key::bigint;
end $$;
