-- 0015_rare_in_one_pass.sql — commit_rare reads its rows once and runs the statements of the kinds
-- that the turn has. A turn with one audit row ran ten, and each looked through the whole text.
create or replace function commit_rare(rare json, turn_at timestamptz) returns void
language plpgsql as $$
declare
    o record;
    kind text;
    part json;
begin
    for kind, part in select key, value from json_each(rare) loop
        if kind = 'audits' then
            insert into audit_log (at, actor, source, request_id, event, dag_id, run_id, task_id,
            extra)
                select * from json_to_recordset(part) as d(
                    at timestamptz, actor text, source text, request_id text, event text,
                    dag_id text,
                    run_id text, task_id text, extra json);
        elsif kind = 'dags' then
            insert into dag select * from json_to_recordset(part) as d(
                dag_id text, current_version bigint, is_paused boolean, is_stale boolean,
                last_automated_start timestamptz, last_automated_end timestamptz,
                next_run_after timestamptz, next_interval_start timestamptz,
                next_interval_end timestamptz, next_logical_date timestamptz)
                on conflict (dag_id) do update set current_version = excluded.current_version,
                    is_paused = excluded.is_paused, is_stale = excluded.is_stale,
                    last_automated_start = excluded.last_automated_start,
                    last_automated_end = excluded.last_automated_end,
                    next_run_after = excluded.next_run_after,
                    next_interval_start = excluded.next_interval_start,
                    next_interval_end = excluded.next_interval_end,
                    next_logical_date = excluded.next_logical_date;
        elsif kind = 'outputs' then
            for o in select * from json_to_recordset(part) as d(
                run_key bigint, task_no int, map_index int, start_no int, dataset text,
                partition text,
                slice text, generation bigint, rows bigint, bytes bigint, content_hash text,
                files json,
                input json, code_hash text)
            loop
                -- A zombie's generation is not the newest: its commit is refused, it overwrites
                -- nothing.
                if exists (select from ledger l where l.dataset = o.dataset
                    and l.partition = o.partition
                        and l.slice = o.slice and l.generation > o.generation) then
                    raise exception 'generation % of % % % was superseded', o.generation, o.dataset,
                        o.partition, o.slice using errcode = 'SL002';
                end if;
                update ledger l set state = 'superseded'
                    where l.dataset = o.dataset and l.partition = o.partition and l.slice = o.slice
                        and l.generation < o.generation and l.state in ('writing', 'committed');
                update ledger l set state = 'committed', rows = o.rows, bytes = o.bytes,
                    content_hash = decode(o.content_hash, 'hex'), files = o.files, input = o.input,
                    code_hash = decode(o.code_hash, 'hex'), committed_at = turn_at
                    where l.dataset = o.dataset and l.partition = o.partition and l.slice = o.slice
                        and l.generation = o.generation and l.state = 'writing'
                        and l.run_key = o.run_key and l.task_no = o.task_no
                        and l.map_index = o.map_index and l.start_no = o.start_no;
                if not found then
                    raise exception 'generation % of % % % was not claimed by this attempt',
                        o.generation, o.dataset, o.partition, o.slice using errcode = 'SL002';
                end if;
            end loop;
        elsif kind = 'backfills' then
            insert into backfill select * from json_to_recordset(part) as d(
                id bigint, dag_id text, from_date timestamptz, to_date timestamptz,
                reprocess smallint,
                max_active_runs int, run_backwards boolean, is_paused boolean, conf json,
                created_by text,
                created_at timestamptz, completed_at timestamptz, updated_at timestamptz)
                on conflict (id) do update set is_paused = excluded.is_paused,
                    max_active_runs = excluded.max_active_runs,
                    completed_at = excluded.completed_at,
                    updated_at = excluded.updated_at;
        elsif kind = 'dates' then
            insert into backfill_date select * from json_to_recordset(part) as d(
                backfill_id bigint, ordinal int, logical_date timestamptz,
                interval_start timestamptz,
                interval_end timestamptz, run_after timestamptz, action text, reason text,
                run_key bigint);
        elsif kind = 'pools' then
            insert into pool select * from json_to_recordset(part) as d(
                name text, slots bigint, description text, include_deferred boolean)
                on conflict (name) do update set slots = excluded.slots,
                    description = excluded.description,
                    include_deferred = excluded.include_deferred;
        elsif kind = 'pools_removed' then
            delete from pool p using json_array_elements_text(part) as d(name)
                where p.name = d.name;
        elsif starts_with(kind, 'x_') then
            execute format('select commit_%s($1, $2)', kind) using part, turn_at;
        end if;
    end loop;
end $$;
