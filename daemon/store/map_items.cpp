#include "store/map_items.hpp"

#include <algorithm>
#include <span>

#include "store/pooled.hpp"

namespace sluice::store {
namespace {

constexpr Query put_sql{"put_map_items", R"(
    insert into map_items (run_key, map_no, serial, list, chunk, items)
    select $1, $2, $3, l, c, i::json from unnest($4::int[], $5::int[], $6::text[]) as d(l, c, i)
    on conflict (run_key, map_no, serial, list, chunk) do update set items = excluded.items)"};
constexpr Query chunk_sql{"map_chunk", R"(
    select items from map_items
    where run_key = $1 and map_no = $2 and serial = $3 and list = $4 and chunk = $5)"};
constexpr Query length_sql{"map_length", R"(
    select length, serial, shape from map_length where run_key = $1 and map_no = $2)"};

}  // namespace

void MemoryMapItems::put(
    RunKey run, MapNo map, std::int64_t serial, const std::vector<Chunk>& chunks
) {
    const std::lock_guard lock(mutex_);
    for (const auto& part : chunks) chunks_[{run, map, serial, part.list, part.chunk}] = part.items;
}

std::string MemoryMapItems::chunk(RunKey run, MapNo map, std::int64_t serial, int list, int chunk) {
    const std::lock_guard lock(mutex_);
    const auto found = chunks_.find({run, map, serial, list, chunk});
    return found == chunks_.end() ? std::string{} : found->second;
}

void PgMapItems::put(RunKey run, MapNo map, std::int64_t serial, const std::vector<Chunk>& chunks) {
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
            params.add(run.value).add_int(map).add(serial);
            params.add(std::span<const std::int32_t>{lists});
            params.add(std::span<const std::int32_t>{numbers});
            params.add(std::span<const std::string>{items});
            connection.run(put_sql, params);
        }
    });
}

std::string PgMapItems::chunk(RunKey run, MapNo map, std::int64_t serial, int list, int chunk) {
    return read(pool_, [&](Connection& connection) -> std::string {
        Params params;
        params.add(run.value).add_int(map).add(serial).add_int(list).add_int(chunk);
        const Result rows = connection.run(chunk_sql, params);
        return rows.rows() == 0 ? std::string{} : rows.text(0, 0);
    });
}

std::optional<MapLength> PgMapItems::length(RunKey run, MapNo map) {
    return read(pool_, [&](Connection& connection) -> std::optional<MapLength> {
        Params params;
        params.add(run.value).add_int(map);
        const Result rows = connection.run(length_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return MapLength{run, map, rows.int4(0, 0), rows.int8(0, 1), rows.text(0, 2)};
    });
}

}  // namespace sluice::store
