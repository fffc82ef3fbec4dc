// map_keys.hpp — what names the rows of a mapped instance in a warehouse: its item, not its number,
// so that a list that becomes shorter or changes its order moves nobody's rows. Thread-safe.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "map_values.hpp"

namespace sluice {

class MapKeys {
public:
    MapKeys(store::MapItems& items, std::shared_ptr<MapValues> values)
        : items_(items), values_(std::move(values)) {}

    /// JSON text in and out. {"what": "own"}: {"key": text, "items": how many instances there are,
    /// -1 = not all are known}. {"what": "gone", "keys": [...]}: {"gone": those of them that are of
    /// no instance}; of a nested mapping none before all its lists are known. Throws Error.
    std::string answer(const AttemptOrder& order, const std::string& question);

private:
    using Keys = std::shared_ptr<const std::vector<std::string>>;
    Keys keys(const AttemptOrder& order, MapNo map, MapIndex outer);
    std::string own(const AttemptOrder& order);
    /// Every instance's key; nullopt = some list is not known yet.
    std::optional<std::vector<std::string>> all(const AttemptOrder& order);

    store::MapItems& items_;
    std::shared_ptr<MapValues> values_;
    std::mutex mutex_;                                // guards all below: what was used last
    std::deque<std::pair<std::string, Keys>> known_;  // lists of a run
    std::deque<std::pair<std::pair<DagPtr, MapNo>, Keys>> literal_;  // keeps its address its own
};

}  // namespace sluice
