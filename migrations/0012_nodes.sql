-- 0012_nodes.sql — several daemons on one database: who stands by, and how they learn of commits.

-- Daemons that stand by. While one was seen lately, every commit of the owner tells `sluice_turn`.
create table standby (
    node_id text primary key,       -- as `holder` in lease and lease_epoch
    address text not null,
    seen_at timestamptz not null
) with (fillfactor = 50);

-- Sessions that were closed before they expired: they are closed on every node.
create table closed_session (
    id text primary key,
    expires_at timestamptz not null
);

-- {"seq": the last transition of the turn, "dags": whether a DAG's state changed}
create function commit_x_told(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    perform pg_notify('sluice_turn', rows::text);
end $$;
