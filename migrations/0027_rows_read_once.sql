-- 0027_rows_read_once.sql — a turn's rarer rows are read once.
--
-- 1. `extra -> 'kind'` reads the whole text to find a kind: a turn with rare rows read it seven times. The
-- kinds now stand side by side and are taken apart in one pass.
-- 2. The dates of a backfill, ten thousand at once, come as records: as JSON they were a fifth of the
-- server's time for its creation.

create type turn_date as (
    backfill_id bigint,
    ordinal int,
    logical_date timestamptz,
    interval_start timestamptz,
    interval_end timestamptz,
    run_after timestamptz,
    action text,
    reason text,
    run_key bigint
);

drop function commit_rare(json, timestamptz);

-- What few turns have.
create function commit_rare(kind text, part json, turn_at timestamptz) returns void
language plpgsql as $$
declare
    o record;
begin
    if kind = 'outputs' then
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
end $$;

-- The partitions' own copies. The function is looked up at each call: a session that has migrated further
-- back keeps the number of the one that is replaced here.
create or replace procedure make_commit_turn(n int) language plpgsql as $$
declare
    definition text := pg_get_functiondef(to_regproc('commit_turn'));
begin
    definition := replace(definition, '/*p*/', '_p' || n);
    definition := replace(definition, '.commit_turn(', '.commit_turn_p' || n || '(');
    execute definition;
end $$;

-- commit_turn of 0026 with these parts changed, and the partitions' own copies of it.
do $$
declare
    before text := pg_get_functiondef('commit_turn'::regproc);
    after text;
    n int;
    rarer constant text := $new$if dates is not null then
        insert into backfill_date select d.* from unnest(dates) d;
    end if;

    if extra is not null then
        for kind, part in select key, value from json_each(extra) loop
            if kind = 'attempts' then
                insert into attempt/*p*/ select * from json_to_recordset(part) as d(
                    run_key bigint, scheduled_at timestamptz, queued_at timestamptz,
                    start_date timestamptz, end_date timestamptz, task_no int, map_index int,
                    start_no int, try_number int, state smallint, error_class smallint, lost boolean,
                    error text);
            elsif kind = 'xcoms' then
                insert into xcom/*p*/ select * from json_to_recordset(part) as d(
                    run_key bigint, at timestamptz, task_no int, map_index int, key text, value json)
                    on conflict (run_key, task_no, map_index, key)
                    do update set value = excluded.value, at = excluded.at;
            elsif kind = 'rendered' then
                insert into rendered/*p*/ select * from json_to_recordset(part) as d(
                    run_key bigint, task_no int, map_index int, start_no int, fields json)
                    on conflict (run_key, task_no, map_index, start_no)
                    do update set fields = excluded.fields;
            else
                perform commit_rare(kind, part, turn_at);
            end if;
        end loop;
    end if;
    $new$;
begin
    after := replace(before, 'dags turn_dag[], extra json)', 'dags turn_dag[], dates turn_date[], extra json)');
    if after = before then
        raise exception 'commit_turn has other parameters';
    end if;
    before := after;
    after := replace(before, '    changed int;', E'    changed int;\n    kind text;\n    part json;');
    if after = before then
        raise exception 'commit_turn declares other variables';
    end if;
    before := after;
    after := regexp_replace(before, 'if extra is not null then.*(return seen\.turn;)', rarer || '\1');
    if after = before then
        raise exception 'commit_turn has no rarer rows';
    end if;
    drop function commit_turn;
    execute after;
    for n in select number from run_partition loop
        execute 'drop function if exists commit_turn_p' || n;
        call make_commit_turn(n);
    end loop;
end $$;
