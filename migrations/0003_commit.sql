-- 0003_commit.sql — commit_turn: all rows of one turn of the loop in one call, and the partitions
-- it writes to.
--
-- SQLSTATE SL001 = the lease is another's now (deposed); SL002 = a guarded row had changed, or the
-- numbers of the turn do not follow those recorded (refused).
--
-- Where /*p*/ stands, make_partition puts the partition's suffix: each partition has its own
-- commit_turn, which touches its tables directly. The one without suffix goes through the
-- partitioned tables and serves turns that touch several partitions.

-- The rows of a turn come as arrays of these. One array of records costs the server one scan; one
-- array a column, unnested side by side, costs one a column (decisions.md 2).
create type turn_task as (
    from_state smallint,
    run_key bigint,
    task_no int,
    map_index int,
    state smallint,
    try_number int,
    max_tries int,
    starts int,
    attempts_since_clear int,
    lost_in_a_row int,
    scheduled_at timestamptz,
    queued_at timestamptz,
    start_date timestamptz,
    end_date timestamptz,
    next_try_at timestamptz,
    error_class smallint,
    error text,
    note text
);
create type turn_log as (
    seq bigint,
    run_key bigint,
    at timestamptz,
    task_no int,
    map_lo int,
    map_hi int,
    try_number int,
    from_state smallint,
    to_state smallint,
    cause text,
    actor text
);
create type turn_run as (
    from_state smallint,
    run_key bigint,
    dag_id text,
    version bigint,
    run_id text,
    run_type smallint,
    triggered_by smallint,
    triggering_user text,
    state smallint,
    logical_date timestamptz,
    interval_start timestamptz,
    interval_end timestamptz,
    run_after timestamptz,
    queued_at timestamptz,
    start_date timestamptz,
    end_date timestamptz,
    conf json,
    note text,
    reason text,
    backfill_id bigint,
    backfill_ordinal int,
    clear_number int
);
create type turn_key as (run_key bigint, task_no int, map_index int);

create function commit_turn(
    -- the turn: numbers are those after it
    my_epoch bigint, my_lease interval, turn_at timestamptz,
    seq_last bigint, run_last bigint, backfill_last bigint,
    -- rows; null = none
    new_runs turn_run[], changed_runs turn_run[],
    new_tasks turn_task[], changed_tasks turn_task[],
    log turn_log[], cleared turn_key[],
    -- everything rarer
    extra json
) returns bigint language plpgsql as $$
declare
    seen record;
    seq_count int := coalesce(cardinality(log), 0);
    changed int;
begin
    update lease set turn = turn + 1, expires = clock_timestamp() + my_lease,
        last_seq = last_seq + seq_count, last_run = greatest(last_run, run_last),
        last_backfill = greatest(last_backfill, backfill_last), last_at = greatest(last_at, turn_at)
        where epoch = my_epoch
        returning turn, last_seq into seen;
    if not found then
        raise exception 'epoch % is over', my_epoch using errcode = 'SL001';
    end if;
    if seq_count > 0 and seen.last_seq <> seq_last then
        raise exception 'seq % does not follow', seq_last using errcode = 'SL002';
    end if;

    if changed_runs is not null then
        update dag_run r set version = d.version, run_type = d.run_type,
            triggered_by = d.triggered_by, triggering_user = d.triggering_user, state = d.state,
            logical_date = d.logical_date, interval_start = d.interval_start,
            interval_end = d.interval_end, run_after = d.run_after, queued_at = d.queued_at,
            start_date = d.start_date, end_date = d.end_date, conf = d.conf, note = d.note,
            reason = d.reason, backfill_id = d.backfill_id,
            backfill_ordinal = d.backfill_ordinal, clear_number = d.clear_number
            from unnest(changed_runs) d
            where r.run_key = d.run_key and r.state = d.from_state;
        get diagnostics changed = row_count;
        if changed <> cardinality(changed_runs) then
            raise exception 'lost update: % of % runs', changed, cardinality(changed_runs)
                using errcode = 'SL002';
        end if;
    end if;
    if new_runs is not null then
        insert into dag_run (run_key, version, logical_date, interval_start, interval_end,
            run_after, queued_at, start_date, end_date, backfill_id, backfill_ordinal,
            clear_number, state, run_type, triggered_by, dag_id, run_id, triggering_user, note,
            reason, conf)
            select run_key, version, logical_date, interval_start, interval_end, run_after,
                queued_at, start_date, end_date, backfill_id, backfill_ordinal, clear_number,
                state, run_type, triggered_by, dag_id, run_id, triggering_user, note, reason, conf
            from unnest(new_runs);
    end if;

    if changed_tasks is not null then
        update task_instance/*p*/ t set state = d.state, try_number = d.try_number,
            max_tries = d.max_tries, starts = d.starts,
            attempts_since_clear = d.attempts_since_clear, lost_in_a_row = d.lost_in_a_row,
            scheduled_at = d.scheduled_at, queued_at = d.queued_at, start_date = d.start_date,
            end_date = d.end_date, next_try_at = d.next_try_at, error_class = d.error_class,
            error = d.error, note = d.note
            from unnest(changed_tasks) d
            where t.run_key = d.run_key and t.task_no = d.task_no and t.map_index = d.map_index
                and t.state = d.from_state;
        get diagnostics changed = row_count;
        if changed <> cardinality(changed_tasks) then
            raise exception 'lost update: % of % task instances', changed,
                cardinality(changed_tasks) using errcode = 'SL002';
        end if;
    end if;
    if new_tasks is not null then
        insert into task_instance/*p*/ (run_key, task_no, map_index, state, try_number, max_tries,
            starts, attempts_since_clear, lost_in_a_row, scheduled_at, queued_at, start_date,
            end_date, next_try_at, error_class, error, note)
            select run_key, task_no, map_index, state, try_number, max_tries, starts,
                attempts_since_clear, lost_in_a_row, scheduled_at, queued_at, start_date, end_date,
                next_try_at, error_class, error, note
            from unnest(new_tasks);
    end if;

    if log is not null then
        insert into transition/*p*/ (seq, run_key, at, task_no, map_lo, map_hi, try_number,
            from_state, to_state, cause, actor)
            select seq, run_key, at, task_no, map_lo, map_hi, try_number, from_state, to_state,
                cause, actor
            from unnest(log);
    end if;

    if cleared is not null then
        delete from xcom/*p*/ x using unnest(cleared) d
            where x.run_key = d.run_key and x.task_no = d.task_no and x.map_index = d.map_index;
    end if;

    if extra is not null then
        insert into attempt/*p*/ select * from json_to_recordset(extra -> 'attempts') as d(
            run_key bigint, scheduled_at timestamptz, queued_at timestamptz,
            start_date timestamptz, end_date timestamptz, task_no int, map_index int,
            start_no int, try_number int, state smallint, error_class smallint, lost boolean,
            error text);
        insert into xcom/*p*/ select * from json_to_recordset(extra -> 'xcoms') as d(
            run_key bigint, at timestamptz, task_no int, map_index int, key text, value json)
            on conflict (run_key, task_no, map_index, key)
            do update set value = excluded.value, at = excluded.at;
        insert into rendered/*p*/ select * from json_to_recordset(extra -> 'rendered') as d(
            run_key bigint, task_no int, map_index int, start_no int, fields json)
            on conflict (run_key, task_no, map_index, start_no)
            do update set fields = excluded.fields;
        if extra -> 'rare' is not null then
            perform commit_rare(extra -> 'rare', turn_at);
        end if;
    end if;
    return seen.turn;
end $$;

-- What few turns have: outputs, backfills, DAG states, pools, audit rows.
create function commit_rare(rare json, turn_at timestamptz) returns void language plpgsql as $$
declare
    o record;
begin
    for o in select * from json_to_recordset(rare -> 'outputs') as d(
        run_key bigint, task_no int, map_index int, start_no int, dataset text, partition text,
        slice text, generation bigint, rows bigint, bytes bigint, content_hash text, files json,
        input json, code_hash text)
    loop
        -- A zombie's generation is not the newest: its commit is refused, it overwrites nothing.
        if exists (select from ledger l where l.dataset = o.dataset and l.partition = o.partition
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

    insert into backfill select * from json_to_recordset(rare -> 'backfills') as d(
        id bigint, dag_id text, from_date timestamptz, to_date timestamptz, reprocess smallint,
        max_active_runs int, run_backwards boolean, is_paused boolean, conf json, created_by text,
        created_at timestamptz, completed_at timestamptz, updated_at timestamptz)
        on conflict (id) do update set is_paused = excluded.is_paused,
            max_active_runs = excluded.max_active_runs, completed_at = excluded.completed_at,
            updated_at = excluded.updated_at;
    insert into backfill_date select * from json_to_recordset(rare -> 'dates') as d(
        backfill_id bigint, ordinal int, logical_date timestamptz, interval_start timestamptz,
        interval_end timestamptz, run_after timestamptz, action text, reason text,
        run_key bigint);

    insert into dag select * from json_to_recordset(rare -> 'dags') as d(
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

    insert into pool select * from json_to_recordset(rare -> 'pools') as d(
        name text, slots bigint, description text, include_deferred boolean)
        on conflict (name) do update set slots = excluded.slots,
            description = excluded.description, include_deferred = excluded.include_deferred;
    delete from pool p using json_array_elements_text(rare -> 'pools_removed') as d(name)
        where p.name = d.name;

    insert into audit_log (at, actor, source, request_id, event, dag_id, run_id, task_id, extra)
        select * from json_to_recordset(rare -> 'audits') as d(
            at timestamptz, actor text, source text, request_id text, event text, dag_id text,
            run_id text, task_id text, extra json);
end $$;

-- Makes the partition [lo, hi) of every partitioned table and its commit_turn. The tables are made
-- on their own and then attached, which stops neither readers nor writers of the others.
create procedure make_partition(new_lo bigint, new_hi bigint) language plpgsql as $$
declare
    n int;
    parent text;
    part text;
    definition text;
begin
    select coalesce(max(number) + 1, 0) into n from run_partition;
    foreach parent in array array['task_instance', 'attempt', 'transition', 'xcom', 'rendered']
    loop
        part := parent || '_p' || n;
        execute format('create table %I (like %I including defaults including constraints)%s',
            part, parent, case parent when 'task_instance' then ' with (fillfactor = 50)' else '' end);
        execute format('alter table %I add constraint bounds check (run_key >= %s and run_key < %s)',
            part, new_lo, new_hi);
        execute format('alter table %I attach partition %I for values from (%s) to (%s)',
            parent, part, new_lo, new_hi);
        -- Attaching has made this constraint a second, implied one.
        execute format('alter table %I drop constraint bounds', part);
    end loop;
    select pg_get_functiondef('commit_turn'::regproc) into definition;
    definition := replace(definition, '/*p*/', '_p' || n);
    definition := replace(definition, '.commit_turn(', '.commit_turn_p' || n || '(');
    execute definition;
    insert into run_partition values (n, new_lo, new_hi);
end $$;
