#include "operators/extract/file_version.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace sluice::extract {

using Json = nlohmann::json;

bool is_known(
    const FilesRead& known,
    const connect::PlacedFile& file,
    const std::function<std::string()>& sha256,
    Json& left
) {
    Json now{{"size", file.bytes}, {"written", file.written}};
    const auto found = known.find(file.name);
    const auto any = [&](const auto& same) {
        return found != known.end() && std::ranges::any_of(found->second, same);
    };
    if (any([&](const Json& version) {
            return version.at("size") == now["size"] && version.at("written") == now["written"];
        }))
        return true;
    now["sha256"] = sha256();
    if (any([&](const Json& version) { return version.at("sha256") == now["sha256"]; }))
        return true;
    left[file.name] = std::move(now);
    return false;
}

}  // namespace sluice::extract
