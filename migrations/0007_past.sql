-- 0007_past.sql — what a run must remember beyond its instances: the way each branch took, and how
-- a run is going to end while its teardowns still work; and how often a DAG has failed in a row.

create table branch_choice (
    run_key bigint not null,
    task_no int not null,
    map_index int not null,
    skip_all_below boolean not null,
    chosen json not null,  -- list of full ids
    primary key (run_key, task_no, map_index)
);
create table run_ending (
    run_key bigint primary key,
    state smallint not null,
    stop boolean not null,
    reason text not null
);
create table dag_failures (
    dag_id text primary key,
    count int not null
);

create function commit_x_past(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into branch_choice select * from json_to_recordset(rows -> 'branches') as d(
        run_key bigint, task_no int, map_index int, skip_all_below boolean, chosen json)
        on conflict (run_key, task_no, map_index) do update set
            skip_all_below = excluded.skip_all_below, chosen = excluded.chosen;
    delete from branch_choice b using json_to_recordset(rows -> 'branches_gone') as d(
        run_key bigint, task_no int, map_index int)
        where b.run_key = d.run_key and b.task_no = d.task_no and b.map_index = d.map_index;
    insert into run_ending select * from json_to_recordset(rows -> 'endings') as d(
        run_key bigint, state smallint, stop boolean, reason text)
        on conflict (run_key) do update set state = excluded.state, stop = excluded.stop,
            reason = excluded.reason;
    delete from run_ending e using json_array_elements_text(rows -> 'endings_gone') as d(run_key)
        where e.run_key = d.run_key::bigint;
    insert into dag_failures select * from json_to_recordset(rows -> 'failures') as d(
        dag_id text, count int)
        on conflict (dag_id) do update set count = excluded.count;
end $$;
