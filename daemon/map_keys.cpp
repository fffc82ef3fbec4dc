#include "map_keys.hpp"

#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice {

using nlohmann::json;

namespace {

constexpr std::size_t lists_kept = 16;
/// It stands in every row of the instance.
constexpr std::size_t longest_key = 80;

std::string key_of(const std::string& value) {
    return value.size() <= longest_key ? value : "sha256:" + sha256_hex(value).substr(0, 32);
}

MapNo mapping_of(const AttemptOrder& order) {
    return order.dag->tasks[static_cast<std::size_t>(order.key.task.task)].mapping;
}

MapNo outer_of(const AttemptOrder& order) {
    return order.dag->mappings[static_cast<std::size_t>(mapping_of(order))].outer;
}

const std::string& at(const std::vector<std::string>& keys, MapIndex index) {
    if (index < 0 || static_cast<std::size_t>(index) >= keys.size())
        throw Error(ErrorCode::not_found, "the items of this mapped instance are gone");
    return keys[static_cast<std::size_t>(index)];
}

}  // namespace

MapKeys::Keys MapKeys::keys(const AttemptOrder& order, MapNo map, MapIndex outer) {
    const bool literal = order.dag->mappings[static_cast<std::size_t>(map)].length.has_value();
    const RunKey run = order.key.task.run;
    std::string name;
    if (!literal) {
        const auto length = items_.length(run, map, outer);
        name = fmt::format("{} {} {} {}", run.value, map, outer, length ? length->serial : -1);
    }
    const std::pair<DagPtr, MapNo> written{order.dag, map};
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [known, keys] : literal_)
            if (literal && known == written) return keys;
        for (const auto& [known, keys] : known_)
            if (!literal && known == name) return keys;
    }
    auto made = std::make_shared<std::vector<std::string>>();
    std::map<std::string, int> seen;  // items may be equal
    for (const std::string& value : values_->list(order, map, outer)) {
        auto key = key_of(value);
        if (const int before = seen[key]++; before > 0) key += fmt::format("~{}", before + 1);
        made->push_back(std::move(key));
    }
    const std::lock_guard lock(mutex_);
    if (literal) {
        literal_.emplace_front(written, made);
        if (literal_.size() > lists_kept) literal_.pop_back();
    } else {
        known_.emplace_front(name, made);
        if (known_.size() > lists_kept) known_.pop_back();
    }
    return made;
}

std::string MapKeys::own(const AttemptOrder& order) {
    const MapNo outer = outer_of(order);
    if (outer == no_map)
        return at(*keys(order, mapping_of(order), unmapped), order.key.task.map_index);
    const MapPlace place = place_of(items_, order);
    return at(*keys(order, outer, unmapped), place.outer) + "/" +
           at(*keys(order, mapping_of(order), place.outer), place.inner);
}

std::optional<std::vector<std::string>> MapKeys::all(const AttemptOrder& order) {
    const MapNo outer = outer_of(order);
    if (outer == no_map) return *keys(order, mapping_of(order), unmapped);
    const Keys around = keys(order, outer, unmapped);
    std::vector<std::string> out;
    std::size_t lists = 0;
    for (const auto& list : items_.lists(order.key.task.run, mapping_of(order))) {
        if (list.length < 0) continue;
        ++lists;
        for (const auto& key : *keys(order, mapping_of(order), list.outer))
            out.push_back(at(*around, list.outer) + "/" + key);
    }
    if (lists < around->size()) return std::nullopt;
    return out;
}

std::string MapKeys::answer(const AttemptOrder& order, const std::string& question) {
    const json asked = json::parse(question);
    if (order.key.task.map_index == unmapped)
        throw Error(ErrorCode::invalid, "the task is not mapped");
    const auto known = all(order);
    if (asked.at("what") == "own") {
        const auto count = known ? static_cast<std::int64_t>(known->size()) : std::int64_t{-1};
        return json{{"key", own(order)}, {"items", count}}.dump();
    }
    json gone = json::array();
    if (known) {
        const std::set<std::string> there(known->begin(), known->end());
        for (const auto& key : asked.at("keys"))
            if (!there.contains(key.get<std::string>())) gone.push_back(key);
    }
    return json{{"gone", std::move(gone)}}.dump();
}

}  // namespace sluice
