-- 0022_cheaper_commits.sql — what a turn's commit need not pay for.
--
-- 1. commit_turn judges the moves of states itself, in the statements that make them, and refuses a
-- turn with an illegal one. The triggers stay for everyone else; the journal's session, which writes
-- states by commit_turn alone, does without them where it may (session_replication_role): they cost
-- a tenth of a small turn, since the server reads their conditions anew in every statement.
-- 2. The end of a run no longer writes every index of dag_run: none covers the state.
-- 3. Audit rows and the states of DAGs come as records, not as JSON.

-- ---- moves

-- The lists as the bits of a constant, in triggers and in functions that plans inline: no call and no
-- look-up unless a move is illegal. Run it again after changing a list.
create or replace procedure enforce_moves() language plpgsql as $$
declare
    task_bits text;
    run_bits text;
begin
    -- A row may keep its state.
    select string_agg(case when m.to_state is null and f <> t then '0' else '1' end, '' order by f, t)
      into task_bits
      from generate_series(0, 15) f cross join generate_series(0, 15) t
      left join task_move m on m.from_state = f and m.to_state = t;
    select string_agg(case when m.to_state is null and f <> t then '0' else '1' end, '' order by f, t)
      into run_bits
      from generate_series(0, 15) f cross join generate_series(0, 15) t
      left join run_move m on m.from_state = f and m.to_state = t;

    execute format(
        'create or replace function legal_task_move(from_state smallint, to_state smallint)
         returns boolean language sql immutable parallel safe
         return get_bit(B%L, from_state * 16 + to_state) = 1', task_bits);
    execute format(
        'create or replace function legal_run_move(from_state smallint, to_state smallint)
         returns boolean language sql immutable parallel safe
         return get_bit(B%L, from_state * 16 + to_state) = 1', run_bits);

    -- After the row: a trigger before an update locks the row first, enabled or not.
    execute format(
        'create or replace trigger legal_update after update of state on task_instance for each row
         when (get_bit(B%L, old.state * 16 + new.state) = 0) execute function refuse_move()', task_bits);
    execute format(
        'create or replace trigger legal_insert after insert on task_instance for each row
         when (get_bit(B%L, new.state) = 0) execute function refuse_move()', task_bits);
    execute format(
        'create or replace trigger legal_update after update of state on dag_run for each row
         when (get_bit(B%L, old.state * 16 + new.state) = 0) execute function refuse_move()', run_bits);
end $$;
call enforce_moves();

-- Why a turn did not change the rows that it names.
create function refuse_turn(what text, changed int, moves smallint[][]) returns void language plpgsql as $$
declare
    illegal text;
begin
    select string_agg(distinct format('%s -> %s', moves[i][1], moves[i][2]), ', ') into illegal
      from generate_subscripts(moves, 1) i
      where not case what when 'task_instance' then legal_task_move(moves[i][1], moves[i][2])
                          else legal_run_move(moves[i][1], moves[i][2]) end;
    if illegal is not null then
        raise exception 'illegal transition in %: %', what, illegal using errcode = '23514';
    end if;
    raise exception 'lost update: % of % rows of %', changed, cardinality(moves) / 2, what
        using errcode = 'SL002';
end $$;

-- ---- open runs

-- A recovery looks for open runs among those from `run_key` on, and in older_open_run for those before:
-- a partial index on the state would make the end of every run write all indexes (no heap-only
-- update). The journal moves the border when many runs lie behind it, and notes runs that are opened
-- again.
create table open_from (one boolean primary key default true check (one), run_key bigint not null);
insert into open_from select true, last_run + 1 from lease;
create table older_open_run (run_key bigint primary key);
insert into older_open_run select run_key from dag_run where state < 2;
drop index dag_run_open;

create view open_run as
    select r.* from dag_run r
        where r.run_key >= (select run_key from open_from) and r.state < 2
    union all
    select r.* from older_open_run o join dag_run r on r.run_key = o.run_key
        where r.run_key < (select run_key from open_from) and r.state < 2;

-- Moves the border behind the last run there is, if `at_least` runs lie in between. By the owner of
-- the lease only: its row, which every commit writes, is locked meanwhile.
create function raise_open_from(my_epoch bigint, at_least bigint) returns void language plpgsql as $$
declare
    new_from bigint;
begin
    select last_run + 1 into new_from from lease where epoch = my_epoch for update;
    if not found then
        raise exception 'epoch % is over', my_epoch using errcode = 'SL001';
    end if;
    if new_from < at_least + (select run_key from open_from) then
        return;
    end if;
    insert into older_open_run select r.run_key from dag_run r, open_from o
        where r.run_key >= o.run_key and r.run_key < new_from and r.state < 2
        on conflict do nothing;
    delete from older_open_run o
        where not exists (select from dag_run r where r.run_key = o.run_key and r.state < 2);
    update open_from set run_key = new_from;
end $$;

create function commit_x_reopened(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into older_open_run select d::bigint from json_array_elements_text(rows) d
        on conflict do nothing;
end $$;

-- ---- commit_turn

create type turn_audit as (
    at timestamptz,
    actor text,
    source text,
    request_id text,
    event text,
    dag_id text,
    run_id text,
    task_id text,
    extra json
);

create type turn_dag as (
    dag_id text,
    current_version bigint,
    is_paused boolean,
    is_stale boolean,
    last_automated_start timestamptz,
    last_automated_end timestamptz,
    next_run_after timestamptz,
    next_interval_start timestamptz,
    next_interval_end timestamptz,
    next_logical_date timestamptz
);

drop function commit_turn;
create function commit_turn(
    -- the turn: numbers are those after it
    my_epoch bigint, my_lease interval, turn_at timestamptz,
    seq_last bigint, run_last bigint, backfill_last bigint,
    -- rows; null = none
    new_runs turn_run[], changed_runs turn_run[],
    new_tasks turn_task[], changed_tasks turn_task[],
    log turn_log[], cleared turn_key[], audits turn_audit[], dags turn_dag[],
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
            where r.run_key = d.run_key and r.state = d.from_state
                and legal_run_move(d.from_state, d.state);
        get diagnostics changed = row_count;
        if changed <> cardinality(changed_runs) then
            perform refuse_turn('dag_run', changed,
                array(select array[d.from_state, d.state] from unnest(changed_runs) d));
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
                and t.state = d.from_state and legal_task_move(d.from_state, d.state);
        get diagnostics changed = row_count;
        if changed <> cardinality(changed_tasks) then
            perform refuse_turn('task_instance', changed,
                array(select array[d.from_state, d.state] from unnest(changed_tasks) d));
        end if;
    end if;
    if new_tasks is not null then
        insert into task_instance/*p*/ (run_key, task_no, map_index, state, try_number, max_tries,
            starts, attempts_since_clear, lost_in_a_row, scheduled_at, queued_at, start_date,
            end_date, next_try_at, error_class, error, note)
            select run_key, task_no, map_index, state, try_number, max_tries, starts,
                attempts_since_clear, lost_in_a_row, scheduled_at, queued_at, start_date, end_date,
                next_try_at, error_class, error, note
            from unnest(new_tasks)
            where legal_task_move(0::smallint, state);
        get diagnostics changed = row_count;
        if changed <> cardinality(new_tasks) then
            perform refuse_turn('task_instance', changed,
                array(select array[0::smallint, d.state] from unnest(new_tasks) d));
        end if;
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

    if audits is not null then
        insert into audit_log (at, actor, source, request_id, event, dag_id, run_id, task_id, extra)
            select at, actor, source, request_id, event, dag_id, run_id, task_id, d.extra
            from unnest(audits) d;
    end if;

    if dags is not null then
        insert into dag (dag_id, current_version, is_paused, is_stale, last_automated_start,
            last_automated_end, next_run_after, next_interval_start, next_interval_end,
            next_logical_date)
            select * from unnest(dags)
            on conflict (dag_id) do update set current_version = excluded.current_version,
                is_paused = excluded.is_paused, is_stale = excluded.is_stale,
                last_automated_start = excluded.last_automated_start,
                last_automated_end = excluded.last_automated_end,
                next_run_after = excluded.next_run_after,
                next_interval_start = excluded.next_interval_start,
                next_interval_end = excluded.next_interval_end,
                next_logical_date = excluded.next_logical_date;
    end if;

    if extra is not null then
        if extra -> 'attempts' is not null then
            insert into attempt/*p*/ select * from json_to_recordset(extra -> 'attempts') as d(
                run_key bigint, scheduled_at timestamptz, queued_at timestamptz,
                start_date timestamptz, end_date timestamptz, task_no int, map_index int,
                start_no int, try_number int, state smallint, error_class smallint, lost boolean,
                error text);
        end if;
        if extra -> 'xcoms' is not null then
            insert into xcom/*p*/ select * from json_to_recordset(extra -> 'xcoms') as d(
                run_key bigint, at timestamptz, task_no int, map_index int, key text, value json)
                on conflict (run_key, task_no, map_index, key)
                do update set value = excluded.value, at = excluded.at;
        end if;
        if extra -> 'rendered' is not null then
            insert into rendered/*p*/ select * from json_to_recordset(extra -> 'rendered') as d(
                run_key bigint, task_no int, map_index int, start_no int, fields json)
                on conflict (run_key, task_no, map_index, start_no)
                do update set fields = excluded.fields;
        end if;
        if extra -> 'rare' is not null then
            perform commit_rare(extra -> 'rare', turn_at);
        end if;
    end if;
    return seen.turn;
end $$;

-- What few turns have.
create or replace function commit_rare(rare json, turn_at timestamptz) returns void
language plpgsql as $$
declare
    o record;
    kind text;
    part json;
begin
    for kind, part in select key, value from json_each(rare) loop
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

-- The partitions' own copies.
create procedure make_commit_turn(n int) language plpgsql as $$
declare
    definition text;
begin
    select pg_get_functiondef('commit_turn'::regproc) into definition;
    definition := replace(definition, '/*p*/', '_p' || n);
    definition := replace(definition, '.commit_turn(', '.commit_turn_p' || n || '(');
    execute definition;
end $$;

create or replace procedure make_partition(new_lo bigint, new_hi bigint) language plpgsql as $$
declare
    n int;
    parent text;
    part text;
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
    call make_commit_turn(n);
    insert into run_partition values (n, new_lo, new_hi);
end $$;

do $$
declare
    n int;
begin
    for n in select number from run_partition loop
        execute 'drop function commit_turn_p' || n;
        call make_commit_turn(n);
    end loop;
end $$;
