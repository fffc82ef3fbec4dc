-- 0010_callbacks.sql — callbacks of tasks and runs, and of deadlines, as rows of the outbox: written
-- in the commit of the transition that they speak of, delivered after it.

alter table outbox
    add column run_key bigint,
    add column task_no int not null default -1,      -- -1 = of the run itself
    add column map_index int not null default -1,
    add column event text not null default '',       -- on_success, on_failure, ..., deadline
    add column deadline int not null default -1,     -- which deadline of the run or task
    add column gave_up boolean not null default false;
create index outbox_run on outbox (run_key) where run_key is not null;
-- A deadline comes due once, whatever else happens.
create index outbox_deadline on outbox (run_key, task_no, deadline) where deadline >= 0;

create function commit_x_outbox(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into outbox (created_at, kind, target, payload, next_try_at, run_key, task_no, map_index,
        event, deadline)
        select turn_at, d.kind, '', d.payload, turn_at, d.run_key, d.task_no, d.map_index, d.event,
            d.deadline
        from json_to_recordset(rows) as d(kind text, payload json, run_key bigint, task_no int,
            map_index int, event text, deadline int);
end $$;
