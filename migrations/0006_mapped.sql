-- 0006_mapped.sql — mapped tasks: how many instances a mapping of a run has, of what items they are
-- made, and what instances without rows became together.

create table map_length (
    run_key bigint not null,
    map_no int not null,
    length int not null,      -- -1 = not known any more
    serial bigint not null,   -- of the order that found it out: whose items they are; 0 = literal ones
    shape json not null,
    primary key (run_key, map_no)
);

-- Written before its length is committed, by the one who renders the expand; a chunk is a list.
create table map_items (
    run_key bigint not null,
    map_no int not null,
    serial bigint not null,
    list int not null,
    chunk int not null,
    items json not null,
    primary key (run_key, map_no, serial, list, chunk)
);

-- Instances without rows that changed together. A row beats a range, a later range an earlier one.
create table map_range (
    run_key bigint not null,
    seq bigint not null,
    task_no int not null,
    map_lo int not null,
    map_hi int not null,
    state smallint not null,
    at timestamptz not null,
    note text not null,
    primary key (run_key, seq)
);

-- What map_index_template became.
create table map_name (
    run_key bigint not null,
    task_no int not null,
    map_index int not null,
    name text not null,
    primary key (run_key, task_no, map_index)
);

create function commit_x_mapped(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into map_length select * from json_to_recordset(rows -> 'lengths') as d(
        run_key bigint, map_no int, length int, serial bigint, shape json)
        on conflict (run_key, map_no) do update set length = excluded.length,
            serial = excluded.serial, shape = excluded.shape;
    delete from map_items i using json_to_recordset(rows -> 'lengths') as d(
        run_key bigint, map_no int, serial bigint)
        where i.run_key = d.run_key and i.map_no = d.map_no and i.serial < d.serial;
    insert into map_range select * from json_to_recordset(rows -> 'ranges') as d(
        run_key bigint, seq bigint, task_no int, map_lo int, map_hi int, state smallint,
        at timestamptz, note text);
    insert into map_name select * from json_to_recordset(rows -> 'names') as d(
        run_key bigint, task_no int, map_index int, name text)
        on conflict (run_key, task_no, map_index) do update set name = excluded.name;
end $$;
