-- 0009_waits.sql — tasks that have poked and wait (sensors, deferrals, questions to people): when the
-- first poke was, what wakes them and what the next poke is given. Written at the first "not yet" and
-- when the wait is over, never between.

create table task_wait (
    run_key bigint not null,
    task_no int not null,
    map_index int not null,
    kind smallint not null,        -- 0 reschedule, 1 deferred, 2 input
    first_at timestamptz not null,
    until timestamptz,
    event text not null,
    resume json not null,
    over boolean not null,         -- only rows of kind 2 stay, for their answers
    primary key (run_key, task_no, map_index)
) with (fillfactor = 70);
create index task_wait_open on task_wait (run_key) where not over;

create function commit_x_waits(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    delete from task_wait w using json_to_recordset(rows) as d(
            run_key bigint, task_no int, map_index int, kind smallint, over boolean)
        where d.over and d.kind <> 2 and w.run_key = d.run_key and w.task_no = d.task_no
            and w.map_index = d.map_index;
    insert into task_wait as w
        select run_key, task_no, map_index, kind, first_at, until, event,
            coalesce(resume, 'null'), over  -- a null in a record set is no JSON null
        from json_to_recordset(rows) as d(
            run_key bigint, task_no int, map_index int, kind smallint, first_at timestamptz,
            until timestamptz, event text, resume json, over boolean)
        where not (d.over and d.kind <> 2)
        on conflict (run_key, task_no, map_index) do update set kind = excluded.kind,
            first_at = excluded.first_at, until = excluded.until, event = excluded.event,
            resume = excluded.resume, over = excluded.over;
end $$;

-- A poke is a moment on a thread and no attempt of its own: its end is the task's end, straight from
-- the waiting state.
insert into task_move values (9, 4), (9, 8), (10, 4), (10, 8), (13, 0), (13, 8);
call enforce_moves();
