#include "operators/extract/progress.hpp"

#include <algorithm>

#include "operators/lake/slice.hpp"

namespace sluice::extract {

using Json = nlohmann::json;

namespace {

std::string place_of(const std::string& partition, const std::string& slice) {
    return partition + '\n' + slice;
}

Json json_of(const std::optional<CursorBound>& bound) {
    if (!bound) return nullptr;
    return {{"value", bound->value}, {"keys", bound->keys}};
}

std::optional<CursorBound> bound_of(const Json& json) {
    if (json.is_null()) return std::nullopt;
    return CursorBound{
        json.at("value").get<std::string>(), json.at("keys").get<std::vector<std::string>>()
    };
}

}  // namespace

std::string own_place(task::TaskContext& context, const std::string& dataset) {
    const auto [partition, slice] = lake::own_slice(context, dataset);
    return place_of(partition, slice);
}

std::vector<ReadSlice> read_slices(task::TaskContext& context, const std::string& dataset) {
    task::InputQuery query;
    query.dataset = dataset;
    query.partitions = task::InputQuery::Partitions::all;
    query.with_read = true;
    const std::string own = own_place(context, dataset);
    std::vector<ReadSlice> slices;
    for (const task::InputSlice& slice : context.inputs(query)) {
        const std::string place = place_of(slice.partition, slice.slice);
        if (slice.read.empty() || place == own) continue;
        slices.push_back({place, Json::parse(slice.read)});
    }
    std::ranges::sort(slices, {}, &ReadSlice::place);
    return slices;
}

CursorWindow window_of(
    const std::vector<ReadSlice>& slices, const std::string& place, const std::string& column
) {
    CursorWindow window;
    for (const ReadSlice& slice : slices) {
        // Of another column: it says nothing about this one.
        if (slice.read.value("cursor", "") != column) continue;
        if (slice.place < place) {
            window.range.from = bound_of(slice.read.at("to"));
            continue;
        }
        window.bounded = true;
        window.range.to = bound_of(slice.read.at("from"));
        window.none = !window.range.to;
        break;
    }
    return window;
}

Json to_json(const std::string& column, const CursorRange& range) {
    return {{"cursor", column}, {"from", json_of(range.from)}, {"to", json_of(range.to)}};
}

FilesRead known_files(const std::vector<ReadSlice>& slices) {
    FilesRead known;
    for (const ReadSlice& slice : slices)
        if (slice.read.contains("files"))
            for (const auto& file : slice.read["files"].items())
                known[file.key()].push_back(file.value());
    return known;
}

}  // namespace sluice::extract
