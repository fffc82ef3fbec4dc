-- 0026_rows_with_room.sql — a minute's tick and its runs' ends write fewer pages and indexes.
--
-- 1. The runs of a tick lie side by side and end together. At a fill factor of 70 a page has room for
-- every third row's new version only; the others went to another page and into all indexes.
-- 2. The states of DAGs that are there are updated: `on conflict` locks each row before it writes.
-- 3. A row's checks are read from their stored text in every statement that writes to the table. The
-- lease, which every commit writes, is one row that nobody adds to: it does without.

alter table dag_run set (fillfactor = 50);
alter table dag set (fillfactor = 50);
alter table lease drop constraint lease_one_check;

create function commit_dags(dags turn_dag[]) returns void language plpgsql as $$
declare
    changed int;
begin
    update dag g set current_version = d.current_version, is_paused = d.is_paused,
        is_stale = d.is_stale, last_automated_start = d.last_automated_start,
        last_automated_end = d.last_automated_end, next_run_after = d.next_run_after,
        next_interval_start = d.next_interval_start, next_interval_end = d.next_interval_end,
        next_logical_date = d.next_logical_date
        from unnest(dags) d
        where g.dag_id = d.dag_id;
    get diagnostics changed = row_count;
    if changed < cardinality(dags) then
        insert into dag (dag_id, current_version, is_paused, is_stale, last_automated_start,
            last_automated_end, next_run_after, next_interval_start, next_interval_end,
            next_logical_date)
            select d.* from unnest(dags) d where not exists (select from dag g where g.dag_id = d.dag_id);
    end if;
end $$;

-- commit_turn of 0022 with these parts changed, and the partitions' own copies of it.
do $$
declare
    definition text := pg_get_functiondef('commit_turn'::regproc);
    changed text;
    n int;
begin
    changed := regexp_replace(definition,
        'insert into dag \(.*?next_logical_date = excluded\.next_logical_date;',
        'perform commit_dags(dags);');
    if changed = definition then
        raise exception 'commit_turn has no upsert of dag';
    end if;
    execute changed;
    for n in select number from run_partition loop
        call make_commit_turn(n);
    end loop;
end $$;
