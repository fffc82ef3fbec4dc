// map_items.hpp — the items that mapped instances are made of, kept outside of turns: written
// before the length of a mapping is committed, read by the attempts. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "model/turn.hpp"
#include "store/connection_pool.hpp"

namespace sluice::store {

class MapItems {
public:
    /// Items of a chunk.
    static constexpr std::int64_t chunk_size = 1024;
    struct Chunk {
        int list{};
        int chunk{};
        std::string items;  // JSON list
    };

    MapItems() = default;
    MapItems(const MapItems&) = delete;
    MapItems& operator=(const MapItems&) = delete;
    virtual ~MapItems() = default;

    virtual void put(
        RunKey run, MapNo map, std::int64_t serial, const std::vector<Chunk>& chunks
    ) = 0;
    /// JSON list; "" = there is no such chunk.
    virtual std::string chunk(RunKey run, MapNo map, std::int64_t serial, int list, int chunk) = 0;
    /// As it is committed.
    virtual std::optional<MapLength> length(RunKey run, MapNo map) = 0;
};

/// Kept in memory: `dags test`.
class MemoryMapItems final : public MapItems {
public:
    using Length = std::function<std::optional<MapLength>(RunKey, MapNo)>;
    explicit MemoryMapItems(Length length) : length_(std::move(length)) {}
    void put(RunKey run, MapNo map, std::int64_t serial, const std::vector<Chunk>& chunks) override;
    std::string chunk(RunKey run, MapNo map, std::int64_t serial, int list, int chunk) override;
    std::optional<MapLength> length(RunKey run, MapNo map) override { return length_(run, map); }

private:
    using Key = std::tuple<RunKey, MapNo, std::int64_t, int, int>;
    Length length_;
    std::mutex mutex_;
    std::map<Key, std::string> chunks_;
};

class PgMapItems final : public MapItems {
public:
    explicit PgMapItems(ConnectionPool& pool) : pool_(pool) {}
    void put(RunKey run, MapNo map, std::int64_t serial, const std::vector<Chunk>& chunks) override;
    std::string chunk(RunKey run, MapNo map, std::int64_t serial, int list, int chunk) override;
    std::optional<MapLength> length(RunKey run, MapNo map) override;

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
