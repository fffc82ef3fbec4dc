-- 0013_deadlines_slices.sql — deadlines of runs and of their tasks: when they are due, since when they
-- have looked too far to reach, and that they were missed; and which slices of the lake are old when a
-- task has ended, mapped or not.

create table run_deadline (
    run_key bigint not null,
    task_no int not null,          -- -1 = of the run itself
    number int not null,           -- among the deadlines of the task or DAG
    due_at timestamptz,            -- null = too few past runs tell when
    predicted_at timestamptz,
    missed_at timestamptz,
    primary key (run_key, task_no, number)
) with (fillfactor = 80);

-- Those of open runs that were told of before.
insert into run_deadline (run_key, task_no, number, due_at, missed_at)
    select o.run_key, o.task_no, o.deadline, min(o.created_at), min(o.created_at)
    from outbox o join dag_run r on r.run_key = o.run_key
    where o.deadline >= 0 and r.state < 2 and o.created_at >= r.queued_at
    group by o.run_key, o.task_no, o.deadline;
drop index outbox_deadline;

create function commit_x_deadlines(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    delete from run_deadline d using json_array_elements_text(rows -> 'dropped') as gone(run_key)
        where d.run_key = gone.run_key::bigint;
    insert into run_deadline select * from json_to_recordset(rows -> 'rows') as d(
        run_key bigint, task_no int, number int, due_at timestamptz, predicted_at timestamptz,
        missed_at timestamptz)
        on conflict (run_key, task_no, number) do update set due_at = excluded.due_at,
            predicted_at = excluded.predicted_at, missed_at = excluded.missed_at;
end $$;

-- The slice of a mapped instance ends with '#' and its map index. A partition belongs to its writer's
-- last run; without partitions a slice belongs to an interval.
create index ledger_run on ledger (run_key, task_no) where state = 'committed';

create function commit_x_slices(rows json, turn_at timestamptz) returns void language plpgsql as $$
declare
    ended record;
    place record;
begin
    for ended in select * from json_to_recordset(rows) as d(run_key bigint, task_no int, length int)
    loop
        for place in select distinct l.dataset, l.partition, split_part(l.slice, '#', 1) as base
            from ledger l
            where l.run_key = ended.run_key and l.task_no = ended.task_no
                and l.state = 'committed' and (strpos(l.slice, '#') > 0) = (ended.length >= 0)
        loop
            update ledger l set state = 'superseded'
                where l.dataset = place.dataset and l.partition = place.partition
                    and l.state = 'committed'
                    and (l.partition <> '' or split_part(l.slice, '#', 1) = place.base)
                    and not (split_part(l.slice, '#', 1) = place.base
                        and (strpos(l.slice, '#') > 0) = (ended.length >= 0)
                        and (ended.length < 0
                            or split_part(l.slice, '#', 2)::int < ended.length));
        end loop;
    end loop;
end $$;
