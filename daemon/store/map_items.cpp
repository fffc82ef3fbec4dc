#include "store/map_items.hpp"

#include <algorithm>
#include <span>

#include "store/mapped_rows.hpp"
#include "store/pooled.hpp"

namespace sluice::store {
namespace {

constexpr Query put_sql{"put_map_items", R"(
    insert into map_items (run_key, map_no, outer_index, serial, list, chunk, items)
    select $1, $2, $3, $4, l, c, i::json from unnest($5::int[], $6::int[], $7::text[]) as d(l, c, i)
    on conflict (run_key, map_no, outer_index, serial, list, chunk)
        do update set items = excluded.items)"};
constexpr Query chunk_sql{"map_chunk", R"(
    select items from map_items
    where run_key = $1 and map_no = $2 and outer_index = $3 and serial = $4 and list = $5
        and chunk = $6)"};
constexpr Query length_sql{"map_length", "select " SLUICE_MAP_LENGTH R"( from map_length
    where run_key = $1 and map_no = $2 and outer_index = $3)"};
constexpr Query lists_sql{"map_lists", "select " SLUICE_MAP_LENGTH R"( from map_length
    where run_key = $1 and map_no = $2 and outer_index >= 0 order by outer_index)"};

}  // namespace

std::int32_t place_in(const MapLength& list, MapIndex index) {
    if (index == list.outer) return 0;
    std::int32_t before = 1;
    for (const auto& [base, count] : list.blocks) {
        if (base <= index && index < base + count) return before + index - base;
        before += count;
    }
    return -1;
}

std::vector<MapIndex> indexes_of(const MapLength& list) {
    std::vector<MapIndex> indexes;
    const auto add = [&](MapIndex index) {
        if (static_cast<std::int32_t>(indexes.size()) < list.length) indexes.push_back(index);
    };
    add(list.outer);
    for (const auto& [base, count] : list.blocks)
        for (MapIndex i = base; i < base + count; ++i) add(i);
    return indexes;
}

void MemoryMapItems::put(const Key& key, const std::vector<Chunk>& chunks) {
    const std::lock_guard lock(mutex_);
    for (const auto& part : chunks) chunks_[{key, part.list, part.chunk}] = part.items;
}

std::string MemoryMapItems::chunk(const Key& key, int list, int chunk) {
    const std::lock_guard lock(mutex_);
    const auto found = chunks_.find({key, list, chunk});
    return found == chunks_.end() ? std::string{} : found->second;
}

std::optional<MapLength> MemoryMapItems::length(RunKey run, MapNo map, MapIndex outer) {
    for (auto& row : lengths_(run, map))
        if (row.outer == outer) return std::move(row);
    return std::nullopt;
}

std::vector<MapLength> MemoryMapItems::lists(RunKey run, MapNo map) {
    auto rows = lengths_(run, map);
    std::erase_if(rows, [](const MapLength& row) { return row.outer == unmapped; });
    return rows;
}

void PgMapItems::put(const Key& key, const std::vector<Chunk>& chunks) {
    constexpr std::size_t at_once = 256;
    change(pool_, [&](Connection& connection) {
        for (std::size_t from = 0; from < chunks.size(); from += at_once) {
            std::vector<std::int32_t> lists;
            std::vector<std::int32_t> numbers;
            std::vector<std::string> items;
            for (std::size_t i = from; i < std::min(from + at_once, chunks.size()); ++i) {
                lists.push_back(chunks[i].list);
                numbers.push_back(chunks[i].chunk);
                items.push_back(chunks[i].items);
            }
            Params params;
            params.add(key.run.value).add_int(key.map).add_int(key.outer).add(key.serial);
            params.add(std::span<const std::int32_t>{lists});
            params.add(std::span<const std::int32_t>{numbers});
            params.add(std::span<const std::string>{items});
            connection.run(put_sql, params);
        }
    });
}

std::string PgMapItems::chunk(const Key& key, int list, int chunk) {
    return read(pool_, [&](Connection& connection) -> std::string {
        Params params;
        params.add(key.run.value).add_int(key.map).add_int(key.outer).add(key.serial);
        params.add_int(list).add_int(chunk);
        const Result rows = connection.run(chunk_sql, params);
        return rows.rows() == 0 ? std::string{} : rows.text(0, 0);
    });
}

std::optional<MapLength> PgMapItems::length(RunKey run, MapNo map, MapIndex outer) {
    return read(pool_, [&](Connection& connection) -> std::optional<MapLength> {
        Params params;
        params.add(run.value).add_int(map).add_int(outer);
        const Result rows = connection.run(length_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return read_map_length(rows, 0);
    });
}

std::vector<MapLength> PgMapItems::lists(RunKey run, MapNo map) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value).add_int(map);
        const Result rows = connection.run(lists_sql, params);
        std::vector<MapLength> found;
        for (int i = 0; i < rows.rows(); ++i) found.push_back(read_map_length(rows, i));
        return found;
    });
}

}  // namespace sluice::store
