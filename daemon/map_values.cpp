#include "map_values.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace sluice {

using nlohmann::json;

namespace {

constexpr std::size_t kept = 64;

template <class List, class Entry>
void keep(List& list, Entry entry) {
    list.push_front(std::move(entry));
    if (list.size() > kept) list.pop_back();
}

}  // namespace

void MapValues::put(const ExpandOrder& order, const Expansion& expansion) {
    std::vector<store::MapItems::Chunk> chunks;
    for (std::size_t list = 0; list < expansion.items.size(); ++list) {
        const json& items = expansion.items[list];
        for (std::size_t from = 0; items.is_array() && from < items.size();
             from += store::MapItems::chunk_size) {
            const auto end = std::min(items.size(), from + store::MapItems::chunk_size);
            const auto at = [&](std::size_t i) {
                return items.begin() + static_cast<json::difference_type>(i);
            };
            json part = json::array();
            part.insert(part.end(), at(from), at(end));
            chunks.push_back(
                {static_cast<int>(list),
                 static_cast<int>(from / store::MapItems::chunk_size),
                 part.dump(-1, ' ', false, json::error_handler_t::replace)}
            );
        }
    }
    items_.put({order.run_key, order.map, order.outer, order.serial}, chunks);
}

std::shared_ptr<const Expansion> MapValues::literal(const DagPtr& dag, MapNo map) {
    {
        const std::lock_guard lock(mutex_);
        for (const auto& known : literals_)
            if (known.dag == dag && known.map == map) return known.expansion;
    }
    const auto& mapping = dag->mappings[static_cast<std::size_t>(map)];
    auto made = std::make_shared<const Expansion>(expand(json::parse(mapping.expand)));
    const std::lock_guard lock(mutex_);
    keep(literals_, Literal{dag, map, made});
    return made;
}

std::string MapValues::chunk(RunKey run, const MapLength& length, int list, int number) {
    const auto name = fmt::format(
        "{} {} {} {} {} {}", run.value, length.map, length.outer, length.serial, list, number
    );
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [known, items] : chunks_)
            if (known == name) return items;
    }
    auto items = items_.chunk({run, length.map, length.outer, length.serial}, list, number);
    const std::lock_guard lock(mutex_);
    keep(chunks_, std::pair{name, items});
    return items;
}

MapPlace place_of(store::MapItems& items, const AttemptOrder& order) {
    const TaskKey& key = order.key.task;
    if (order.outer != unmapped) return {order.outer, order.inner};
    if (key.map_index == unmapped) return {};
    const MapNo map = order.dag->tasks[static_cast<std::size_t>(key.task)].mapping;
    for (const auto& list : items.lists(key.run, map))
        if (const auto inner = store::place_in(list, key.map_index); inner >= 0)
            return {list.outer, inner};
    return {};
}

std::string MapValues::value(const AttemptOrder& order, MapNo map, MapIndex outer, MapIndex index) {
    const RunKey run = order.key.task.run;
    if (index < 0) throw Error(ErrorCode::not_found, "the items of this mapped instance are gone");
    if (order.dag->mappings[static_cast<std::size_t>(map)].length) {
        const auto expansion = literal(order.dag, map);
        const auto item = [&](std::size_t list, std::int64_t at) {
            return expansion->items[list].at(static_cast<std::size_t>(at));
        };
        return map_value(expansion->shape, index, item).dump();
    }
    const auto length = items_.length(run, map, outer);
    if (!length || length->length <= index)
        throw Error(ErrorCode::not_found, "the items of this mapped instance are gone");
    const auto item = [&](std::size_t list, std::int64_t at) {
        constexpr auto size = store::MapItems::chunk_size;
        const auto text = chunk(run, *length, static_cast<int>(list), static_cast<int>(at / size));
        const json items = json::parse(text, nullptr, false);
        const auto place = static_cast<std::size_t>(at % size);
        if (!items.is_array() || items.size() <= place)
            throw Error(ErrorCode::not_found, "the items of this mapped instance are gone");
        return items[place];
    };
    return map_value(ExpandShape::read(length->shape), index, item).dump();
}

std::vector<std::string> MapValues::list(const AttemptOrder& order, MapNo map, MapIndex outer) {
    const RunKey run = order.key.task.run;
    std::vector<std::string> values;
    const auto fill = [&](const ExpandShape& shape, const auto& item) {
        for (std::int32_t index = 0; index < shape.length; ++index)
            values.push_back(map_value(shape, index, item).dump());
    };
    if (order.dag->mappings[static_cast<std::size_t>(map)].length) {
        const auto expansion = literal(order.dag, map);
        fill(expansion->shape, [&](std::size_t list, std::int64_t at) {
            return expansion->items[list].at(static_cast<std::size_t>(at));
        });
        return values;
    }
    const auto length = items_.length(run, map, outer);
    if (!length || length->length < 0)
        throw Error(ErrorCode::not_found, "the items of this mapping are gone");
    std::map<std::size_t, std::pair<int, json>>
        parsed;  // the chunk that was used last of each list
    fill(ExpandShape::read(length->shape), [&](std::size_t list, std::int64_t at) {
        constexpr auto size = store::MapItems::chunk_size;
        const int number = static_cast<int>(at / size);
        auto& [held, items] = parsed.try_emplace(list, -1, json()).first->second;
        if (held != number) {
            items =
                json::parse(chunk(run, *length, static_cast<int>(list), number), nullptr, false);
            held = number;
        }
        const auto place = static_cast<std::size_t>(at % size);
        if (!items.is_array() || items.size() <= place)
            throw Error(ErrorCode::not_found, "the items of this mapping are gone");
        return items[place];
    });
    return values;
}

std::string MapValues::of(const AttemptOrder& order) {
    const TaskKey& key = order.key.task;
    const MapNo map = order.dag->tasks[static_cast<std::size_t>(key.task)].mapping;
    const MapNo outer = order.dag->mappings[static_cast<std::size_t>(map)].outer;
    if (outer == no_map) return value(order, map, unmapped, key.map_index);
    // What the outer instance has is there too; a name that both have is the inner one's.
    const MapPlace place = place_of(items_, order);
    auto all = json::parse(value(order, outer, unmapped, place.outer));
    if (key.map_index != unmapped)
        all.update(json::parse(value(order, map, place.outer, place.inner)));
    return all.dump();
}

}  // namespace sluice
