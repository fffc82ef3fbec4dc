#include "operators/lake/table_slice.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "operators/lake/slice.hpp"

namespace sluice::lake {

using Json = nlohmann::json;

TableSlice::TableSlice(task::TaskContext& context, bool whole) : context_(context) {
    task::TaskInfo info = context.info();
    const bool of_instance = info.map_index >= 0;
    info.map_index = -1;
    if (!whole) base_ = writer_slice(info);
    name_ = base_;
    if (!of_instance) return;
    const Json own = context_.ask({{"type", "map_keys"}, {"what", "own"}});
    items_ = own.at("items").get<std::int64_t>();
    name_ += "#" + own.at("key").get<std::string>();
}

std::vector<std::string> TableSlice::gone(const std::vector<std::string>& others, bool sure) const {
    std::vector<std::string> out;
    Json keys = Json::array();
    for (const std::string& slice : others) {
        if (!mapped() || slice == base_) {
            out.push_back(slice);
        } else {
            keys.push_back(slice.substr(base_.size() + 1));
        }
    }
    if (keys.empty() || items_ < 0 || (!sure && std::cmp_less(keys.size(), items_))) return out;
    const Json answer = context_.ask({{"type", "map_keys"}, {"what", "gone"}, {"keys", keys}});
    for (const Json& key : answer.at("gone")) out.push_back(base_ + "#" + key.get<std::string>());
    return out;
}

}  // namespace sluice::lake
