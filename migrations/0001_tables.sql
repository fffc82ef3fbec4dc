-- 0001_tables.sql — the run state. Sized for millions of runs: everything that grows with tasks is
-- partitioned by range of run_key, keys begin with it, and no index covers a column that changes
-- with every transition (task_instance updates stay heap-only).

-- The one row that says who owns this database, and how far its decisions have come.
create table lease (
    one boolean primary key default true check (one),
    epoch bigint not null default 0,          -- rises with every take-over: the fencing token
    turn bigint not null default 0,           -- committed turns of the loop, ever
    holder text not null default '',
    address text not null default '',
    expires timestamptz not null default '-infinity',
    last_seq bigint not null default 0,
    last_run bigint not null default 0,
    last_backfill bigint not null default 0,
    last_at timestamptz not null default '-infinity'  -- the latest decision's time
) with (fillfactor = 10);
insert into lease default values;

-- One row a take-over. first_turn tells where the epoch before it ended.
create table lease_epoch (
    epoch bigint primary key,
    holder text not null,
    address text not null,
    first_turn bigint not null,
    taken_at timestamptz not null
);

create table dag (
    dag_id text primary key,
    current_version bigint not null,
    is_paused boolean not null,
    is_stale boolean not null,
    last_automated_start timestamptz,
    last_automated_end timestamptz,
    next_run_after timestamptz,
    next_interval_start timestamptz,
    next_interval_end timestamptz,
    next_logical_date timestamptz
) with (fillfactor = 70);

create table dag_version (
    id bigint generated always as identity primary key,
    dag_id text not null,
    number int not null,
    format int not null,
    hash text not null,
    fileloc text not null,
    source text not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (dag_id, number)
);

-- The files a version names, by content: versions share what did not change.
create table file_content (
    hash text primary key,
    content bytea not null
);
create table dag_version_file (
    version_id bigint not null,
    path text not null,
    hash text not null,
    primary key (version_id, path)
);

-- Names of task numbers. A version with the same task list shares no rows: they are few and small.
create table dag_task (
    version_id bigint not null,
    task_no int not null,
    task_id text not null,
    primary key (version_id, task_no)
);
create index on dag_task (task_id);

create table dag_run (
    run_key bigint primary key,
    version bigint not null,
    logical_date timestamptz,
    interval_start timestamptz,
    interval_end timestamptz,
    run_after timestamptz not null,
    queued_at timestamptz not null,
    start_date timestamptz,
    end_date timestamptz,
    backfill_id bigint,
    backfill_ordinal int not null,
    clear_number int not null,
    state smallint not null,
    run_type smallint not null,
    triggered_by smallint not null,
    dag_id text not null,
    run_id text not null check (octet_length(run_id) between 1 and 250),
    triggering_user text not null,
    note text not null,
    reason text not null,
    conf json not null check (octet_length(conf::text) <= 65536),
    unique (dag_id, run_id)
) with (fillfactor = 70);
create index dag_run_logical_date on dag_run (dag_id, logical_date, run_key);
create index dag_run_run_after on dag_run (dag_id, run_after, run_key);
create index dag_run_newest on dag_run (run_after, run_key);
create index dag_run_open on dag_run (run_key) where state < 2;  -- recovery
create index dag_run_backfill on dag_run (backfill_id) where backfill_id is not null;
create index dag_run_version on dag_run (version);

-- A row exists from the moment an instance first leaves `none`.
create table task_instance (
    run_key bigint not null,
    scheduled_at timestamptz,
    queued_at timestamptz,
    start_date timestamptz,
    end_date timestamptz,
    next_try_at timestamptz,
    task_no int not null,
    map_index int not null,
    try_number int not null,
    max_tries int not null,
    starts int not null,
    attempts_since_clear int not null,
    lost_in_a_row int not null,
    state smallint not null,
    error_class smallint not null,
    error text not null,
    note text not null,
    primary key (run_key, task_no, map_index)
) partition by range (run_key);

-- Superseded attempts; the live one is in task_instance.
create table attempt (
    run_key bigint not null,
    scheduled_at timestamptz,
    queued_at timestamptz,
    start_date timestamptz,
    end_date timestamptz,
    task_no int not null,
    map_index int not null,
    start_no int not null,
    try_number int not null,
    state smallint not null,
    error_class smallint not null,
    lost boolean not null,
    error text not null,
    primary key (run_key, task_no, map_index, start_no)
) partition by range (run_key);

-- The append-only log. task_no -1 speaks of the run itself (then the states are run states, from
-- -1 at its birth); map_lo..map_hi is a range of map indexes that moved together.
create table transition (
    seq bigint not null,
    run_key bigint not null,
    at timestamptz not null,
    task_no int not null,
    map_lo int not null,
    map_hi int not null,
    try_number int not null,
    from_state smallint not null,
    to_state smallint not null,
    cause text not null,
    actor text not null
) partition by range (run_key);
create index on transition using brin (run_key, seq)
    with (pages_per_range = 16, autosummarize = on);

-- Values over 64 KiB are refused here: they belong in artefacts.
create table xcom (
    run_key bigint not null,
    at timestamptz not null,
    task_no int not null,
    map_index int not null,
    key text not null check (octet_length(key) between 1 and 512),
    value json not null check (octet_length(value::text) <= 65536),
    primary key (run_key, task_no, map_index, key)
) partition by range (run_key);

create table rendered (
    run_key bigint not null,
    task_no int not null,
    map_index int not null,
    start_no int not null,
    fields json not null,
    primary key (run_key, task_no, map_index, start_no)
) partition by range (run_key);

-- Which partitions exist; made ahead of the run keys that need them.
create table run_partition (
    number int primary key,
    lo bigint not null unique,
    hi bigint not null unique check (hi > lo)
);

create table pool (
    name text primary key,
    slots bigint not null check (slots >= -1),
    description text not null,
    include_deferred boolean not null
);

create table backfill (
    id bigint primary key,
    dag_id text not null,
    from_date timestamptz not null,
    to_date timestamptz not null,
    reprocess smallint not null check (reprocess between 0 and 2),
    max_active_runs int not null,
    run_backwards boolean not null,
    is_paused boolean not null,
    conf json not null,
    created_by text not null,
    created_at timestamptz not null,
    completed_at timestamptz,
    updated_at timestamptz not null
) with (fillfactor = 70);
create index on backfill (dag_id, id);

-- The plan of a backfill: what is done about each date, and why.
create table backfill_date (
    backfill_id bigint not null,
    ordinal int not null,
    logical_date timestamptz not null,
    interval_start timestamptz not null,
    interval_end timestamptz not null,
    run_after timestamptz not null,
    action text not null check (action in ('create', 'clear', 'skip')),
    reason text not null,
    run_key bigint,
    primary key (backfill_id, ordinal)
);

-- Lake slices: who may write which generation, and which one is live.
create table ledger (
    dataset text not null,
    partition text not null,       -- '' for a data set without partitions
    slice text not null,           -- '' for a whole partition
    generation bigint not null,    -- rises with every claim of the slice: the fencing token
    dag_id text not null,
    task_id text not null,
    map_index int not null,
    interval_start timestamptz,
    interval_end timestamptz,
    run_id text not null,
    attempt int not null,          -- try number
    run_key bigint not null,
    start_no int not null,         -- with run_key, task_no and map_index: the attempt
    task_no int not null,
    state text not null check (state in ('writing', 'committed', 'superseded', 'deleted')),
    rows bigint,
    bytes bigint,
    content_hash bytea,            -- sum of per-row hashes mod 2^128: free of order
    files json,
    input json,                    -- [{dataset, partition, slice, generation}]: what was read
    code_hash bytea,
    committed_at timestamptz,
    primary key (dataset, partition, slice, generation)
);
create unique index one_live on ledger (dataset, partition, slice) where state = 'committed';

create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    source text not null,
    request_id text not null,
    event text not null,
    dag_id text not null,
    run_id text not null,
    task_id text not null,
    extra json not null
);
create index on audit_log (dag_id, id) where dag_id <> '';
create index on audit_log using brin (at);

-- Answers of commands that carried an idempotency key.
create table idempotency_key (
    actor text not null,
    key text not null,
    at timestamptz not null,
    answer json not null,
    primary key (actor, key)
);

-- What must leave Sluice other than a task: delivered at least once, with this id.
create table outbox (
    id bigint generated always as identity primary key,
    created_at timestamptz not null,
    kind text not null,
    target text not null,
    payload json not null,
    tries int not null default 0,
    next_try_at timestamptz not null,
    delivered_at timestamptz,
    error text not null default ''
);
create index on outbox (next_try_at) where delivered_at is null;

create table user_account (
    name text primary key,
    password_hash text not null,
    role text not null,
    email text not null,
    active boolean not null,
    created_at timestamptz not null
);

create table signing_key (
    id text primary key,
    key bytea not null,
    created_at timestamptz not null
);

create table variable (
    key text primary key,
    value text not null,
    description text not null
);

create table connection (
    conn_id text primary key,
    conn_type text not null,
    description text not null,
    host text not null,
    port int,
    login text not null,
    password text not null,
    schema text not null,
    extra json not null
);
