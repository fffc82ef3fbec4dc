-- 0005_artefacts.sql — which artefacts (files of values over 64 KiB) a run's rows refer to, and
-- checkpoints of attempts.

-- Counted by run: a file may go when no run has it.
create table artefact (
    run_key bigint not null,
    hash text not null check (hash ~ '^[0-9a-f]{64}$'),
    bytes bigint not null,
    items bigint not null,
    type text not null,
    primary key (run_key, hash)
);
create index artefact_hash on artefact (hash);

create function commit_x_artefacts(rows json, turn_at timestamptz) returns void
    language plpgsql as $$
begin
    insert into artefact select distinct on (run_key, hash) * from json_to_recordset(rows) as d(
        run_key bigint, hash text, bytes bigint, items bigint, type text)
        on conflict (run_key, hash) do nothing;
end $$;

-- What an attempt wants the next one to know. Written while it runs, outside the turns of the loop.
create table checkpoint (
    run_key bigint not null,
    task_no int not null,
    map_index int not null,
    start_no int not null,
    at timestamptz not null,
    state json not null,
    primary key (run_key, task_no, map_index)
);

-- Tasks that succeeded or were cleared: the next attempt begins without one.
create function commit_x_checkpoints_dropped(rows json, turn_at timestamptz) returns void
    language plpgsql as $$
begin
    delete from checkpoint c using json_to_recordset(rows) as d(
        run_key bigint, task_no int, map_index int)
        where c.run_key = d.run_key and c.task_no = d.task_no and c.map_index = d.map_index;
end $$;
