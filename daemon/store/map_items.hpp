// map_items.hpp — the items that mapped instances are made of, kept outside of turns: written
// before the length of a mapping is committed, read by the attempts. Thread-safe.
#pragma once

#include <compare>
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

    /// Whose items: of a mapping, or of one list of a mapping inside a mapped group.
    struct Key {
        RunKey run;
        MapNo map{no_map};
        MapIndex outer{unmapped};
        std::int64_t serial{};
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    virtual void put(const Key& key, const std::vector<Chunk>& chunks) = 0;
    /// JSON list; "" = there is no such chunk.
    virtual std::string chunk(const Key& key, int list, int chunk) = 0;
    /// As it is committed: of the mapping, or of the list of an outer instance.
    virtual std::optional<MapLength> length(RunKey run, MapNo map, MapIndex outer = unmapped) = 0;
    /// The lists of a mapping inside a mapped group, by outer instance.
    virtual std::vector<MapLength> lists(RunKey run, MapNo map) = 0;
};

/// Which of its list an instance with this map index is; -1 = none.
std::int32_t place_in(const MapLength& list, MapIndex index);
/// The map indexes of the list's instances, in its order.
std::vector<MapIndex> indexes_of(const MapLength& list);

/// Kept in memory: `dags test`.
class MemoryMapItems final : public MapItems {
public:
    /// All that is committed of a mapping.
    using Lengths = std::function<std::vector<MapLength>(RunKey, MapNo)>;
    explicit MemoryMapItems(Lengths lengths) : lengths_(std::move(lengths)) {}
    void put(const Key& key, const std::vector<Chunk>& chunks) override;
    std::string chunk(const Key& key, int list, int chunk) override;
    std::optional<MapLength> length(RunKey run, MapNo map, MapIndex outer) override;
    std::vector<MapLength> lists(RunKey run, MapNo map) override;

private:
    Lengths lengths_;
    std::mutex mutex_;
    std::map<std::tuple<Key, int, int>, std::string> chunks_;
};

class PgMapItems final : public MapItems {
public:
    explicit PgMapItems(ConnectionPool& pool) : pool_(pool) {}
    void put(const Key& key, const std::vector<Chunk>& chunks) override;
    std::string chunk(const Key& key, int list, int chunk) override;
    std::optional<MapLength> length(RunKey run, MapNo map, MapIndex outer) override;
    std::vector<MapLength> lists(RunKey run, MapNo map) override;

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
