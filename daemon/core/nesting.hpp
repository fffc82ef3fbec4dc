// nesting.hpp — a mapping inside a mapped group: each instance of the group has a list of its own.
// The lists become known at any time and in any order, so places are given out as they come: the
// first place of an outer instance has that instance's map index, what more its list needs follows
// at the end. No instance ever changes its number while the outer mapping stays.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace sluice::core {

struct Nest {
    /// Of which outer instance a place is, and which of its list.
    struct Place {
        MapIndex outer{};
        std::int32_t inner{};
    };
    struct Block {
        MapIndex base{};
        std::int32_t count{};
        Place first;
    };
    /// What is known of the list of an outer instance.
    struct Part {
        std::int32_t length{-1};   // -1 = not known
        std::int32_t places{1};    // a shorter list leaves some without use
        TaskNo asked_by{no_task};  // an order is out
        MapIndex asked_at{unmapped};
        std::int64_t serial{};  // of that order
        std::vector<std::pair<MapIndex, std::int32_t>> blocks;
    };

    std::vector<Part> parts;
    std::vector<Block> blocks;  // by base

    explicit Nest(std::int32_t outers) : parts(static_cast<std::size_t>(outers)) {}

    [[nodiscard]] Part& part(MapIndex outer) { return parts[static_cast<std::size_t>(outer)]; }
    [[nodiscard]] const Part& part(MapIndex outer) const {
        return parts[static_cast<std::size_t>(outer)];
    }
    [[nodiscard]] Place place(MapIndex index) const {
        if (static_cast<std::size_t>(index) < parts.size()) return {index, 0};
        const auto after = std::ranges::upper_bound(blocks, index, {}, &Block::base);
        const Block& block = *std::prev(after);
        return {block.first.outer, block.first.inner + index - block.base};
    }
    /// Calls `use` with the map index of every place of an outer instance, in the list's order.
    template <class Use>
    void each(MapIndex outer, const Use& use) const {
        use(outer);
        for (const auto& [base, count] : part(outer).blocks)
            for (MapIndex i = base; i < base + count; ++i) use(i);
    }
    /// In the order of `base`.
    void add(MapIndex outer, MapIndex base, std::int32_t count) {
        Part& of = part(outer);
        blocks.push_back({base, count, {outer, of.places}});
        of.blocks.emplace_back(base, count);
        of.places += count;
    }
};

}  // namespace sluice::core
