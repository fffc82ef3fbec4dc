-- 0024_nested_mappings.sql — mappings inside mapped groups: each instance of the group (`outer_index`) has a
-- list of its own, with items of its own; -1 = the mapping as a whole, or one that is in no mapped group.

alter table map_length
    add column outer_index int not null default -1,
    -- Where the list's places are after the first, which has the map index outer_index: [[first, count], ...]
    add column blocks json not null default '[]',
    drop constraint map_length_pkey,
    add primary key (run_key, map_no, outer_index);

alter table map_items
    add column outer_index int not null default -1,
    drop constraint map_items_pkey,
    add primary key (run_key, map_no, outer_index, serial, list, chunk);

create or replace function commit_x_mapped(rows json, turn_at timestamptz) returns void language plpgsql as $$
begin
    insert into map_length (run_key, map_no, length, serial, shape, outer_index, blocks)
        -- A daemon of the version before, which has the lease still, knows of no nesting.
        select run_key, map_no, length, serial, shape, coalesce(outer_index, -1), coalesce(blocks, '[]')
            from json_to_recordset(rows -> 'lengths') as d(
                run_key bigint, map_no int, length int, serial bigint, shape json, outer_index int,
                blocks json)
        on conflict (run_key, map_no, outer_index) do update set length = excluded.length,
            serial = excluded.serial, shape = excluded.shape, blocks = excluded.blocks;
    delete from map_items i using json_to_recordset(rows -> 'lengths') as d(
        run_key bigint, map_no int, serial bigint, outer_index int)
        where i.run_key = d.run_key and i.map_no = d.map_no and i.outer_index = coalesce(d.outer_index, -1)
            and i.serial < d.serial;
    insert into map_range select * from json_to_recordset(rows -> 'ranges') as d(
        run_key bigint, seq bigint, task_no int, map_lo int, map_hi int, state smallint,
        at timestamptz, note text);
    insert into map_name select * from json_to_recordset(rows -> 'names') as d(
        run_key bigint, task_no int, map_index int, name text)
        on conflict (run_key, task_no, map_index) do update set name = excluded.name;
end $$;

-- As in 0013; and the slices of instances that the lists of a nested mapping no longer have are old.
create or replace function commit_x_slices(rows json, turn_at timestamptz) returns void language plpgsql as $$
declare
    ended record;
    place record;
begin
    for ended in select * from json_to_recordset(rows) as d(
        run_key bigint, task_no int, length int, gone json)
    loop
        for place in select distinct l.dataset, l.partition, split_part(l.slice, '#', 1) as base
            from ledger l
            where l.run_key = ended.run_key and l.task_no = ended.task_no
                and l.state = 'committed' and (strpos(l.slice, '#') > 0) = (ended.length >= 0)
        loop
            update ledger l set state = 'superseded'
                where l.dataset = place.dataset and l.partition = place.partition
                    and l.state = 'committed'
                    and (l.partition <> '' or split_part(l.slice, '#', 1) = place.base)
                    and not (split_part(l.slice, '#', 1) = place.base
                        and (strpos(l.slice, '#') > 0) = (ended.length >= 0)
                        and (ended.length < 0
                            or split_part(l.slice, '#', 2)::int < ended.length)
                        and not (ended.length >= 0 and split_part(l.slice, '#', 2) in
                            (select json_array_elements_text(coalesce(ended.gone, '[]')))));
        end loop;
    end loop;
end $$;
