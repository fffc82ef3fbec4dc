-- Slices of a warehouse are named by the items of mapped instances: which instance a slice is of says
-- its map_index; of two of one index the later one is the instance's, the other item is no more.
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
                        and (ended.length < 0 or (l.map_index < ended.length
                            and not exists (select 1 from ledger n
                                where n.dataset = l.dataset and n.partition = l.partition
                                    and n.state = 'committed' and strpos(n.slice, '#') > 0
                                    and split_part(n.slice, '#', 1) = place.base
                                    and n.map_index = l.map_index and n.committed_at > l.committed_at)))
                        and not (ended.length >= 0 and l.map_index::text in
                            (select json_array_elements_text(coalesce(ended.gone, '[]')))));
        end loop;
    end loop;
end $$;
