// map_values.hpp — what `map` is for a mapped instance: the items of its mapping, literal ones from
// the DAG, others as they were kept when the mapping was expanded. Thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "model/attempt.hpp"
#include "model/expansion.hpp"
#include "store/map_items.hpp"

namespace sluice {

/// Whose list an instance of a nested mapping is of, and which of it; `inner` -1 = of none.
struct MapPlace {
    MapIndex outer{unmapped};
    std::int32_t inner{-1};
};
MapPlace place_of(store::MapItems& items, const AttemptOrder& order);

class MapValues {
public:
    explicit MapValues(store::MapItems& items) : items_(items) {}

    void put(const ExpandOrder& order, const Expansion& expansion);
    /// JSON object. Throws Error.
    std::string of(const AttemptOrder& order);
    /// What every instance of one list has, in its order: JSON objects.
    std::vector<std::string> list(const AttemptOrder& order, MapNo map, MapIndex outer);

private:
    /// The value in one mapping, or in the list of an outer instance.
    std::string value(const AttemptOrder& order, MapNo map, MapIndex outer, MapIndex index);
    struct Literal {
        DagPtr dag;  // keeps its address its own
        MapNo map{no_map};
        std::shared_ptr<const Expansion> expansion;
    };
    std::shared_ptr<const Expansion> literal(const DagPtr& dag, MapNo map);
    std::string chunk(RunKey run, const MapLength& length, int list, int number);

    store::MapItems& items_;
    std::mutex mutex_;  // guards all below: what was used last
    std::deque<Literal> literals_;
    std::deque<std::pair<std::string, std::string>> chunks_;
};

}  // namespace sluice
