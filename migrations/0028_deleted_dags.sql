-- 0028_deleted_dags.sql — DAGs that were deleted: out of every list at once, as their row is gone. What else there
-- is of them goes bit by bit (store/dag_removal); until then their line here keeps the id from being taken again.

create table deleted_dag (
    dag_id text primary key,
    number bigint not null,        -- of this deletion: none has had it before
    deleted_at timestamptz not null
);

-- Runs whose logs went before them: a later run of the same id may have its own at the same place.
alter table deleted_run add column without_logs boolean not null default false;

create function commit_x_deleted_dags(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    delete from deleted_dag g using json_to_recordset(rows -> 'removed') as d(dag_id text, number bigint)
        where g.dag_id = d.dag_id and g.number = d.number;
    insert into deleted_dag select d.dag_id, d.number, turn_at
        from json_to_recordset(rows -> 'deleted') as d(dag_id text, number bigint);
    delete from dag g using json_to_recordset(rows -> 'deleted') as d(dag_id text) where g.dag_id = d.dag_id;
    delete from dag_failures f using json_to_recordset(rows -> 'deleted') as d(dag_id text)
        where f.dag_id = d.dag_id;
end $$;
