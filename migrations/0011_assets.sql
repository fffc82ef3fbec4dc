-- 0011_assets.sql — updates of assets, how far each DAG has seen them, and which run took which.

create table asset_event (
    id bigint primary key,
    asset text not null,
    at timestamptz not null,
    extra json not null,
    source_dag_id text,
    source_run_id text,
    source_task_id text,
    source_map_index int,
    interval_start timestamptz,
    interval_end timestamptz,
    created_by text not null
);
create index on asset_event (asset, id);
create table asset_mark (
    dag_id text not null,
    asset text not null,
    seen bigint not null,
    primary key (dag_id, asset)
);
create table asset_use (
    run_key bigint not null,
    event_id bigint not null,
    primary key (run_key, event_id)
);
create index on asset_use (event_id);

create function commit_x_assets(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into asset_event select * from json_to_recordset(rows -> 'events') as d(
        id bigint, asset text, at timestamptz, extra json, source_dag_id text,
        source_run_id text, source_task_id text, source_map_index int,
        interval_start timestamptz, interval_end timestamptz, created_by text);
    insert into asset_mark select * from json_to_recordset(rows -> 'marks') as d(
        dag_id text, asset text, seen bigint)
        on conflict (dag_id, asset) do update set seen = excluded.seen;
    delete from asset_mark m using json_to_recordset(rows -> 'marks_gone') as d(
        dag_id text, asset text)
        where m.dag_id = d.dag_id and m.asset = d.asset;
    insert into asset_use select * from json_to_recordset(rows -> 'uses') as d(
        run_key bigint, event_id bigint);
end $$;
