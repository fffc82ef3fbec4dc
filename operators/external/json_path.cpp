#include "operators/external/json_path.hpp"

#include <charconv>
#include <string>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(std::string_view path) {
    throw Error(
        ErrorCode::invalid,
        "\"" + std::string(path) + "\" is no path: use $, .name, ['name'] and [0]"
    );
}

const Json* member(const Json* value, std::string_view name) {
    if (value == nullptr || !value->is_object()) return nullptr;
    const auto found = value->find(std::string(name));
    return found == value->end() ? nullptr : &*found;
}

const Json* element(const Json* value, long index) {
    if (value == nullptr || !value->is_array()) return nullptr;
    const long size = static_cast<long>(value->size());
    if (index < 0) index += size;
    return index < 0 || index >= size ? nullptr : &(*value)[static_cast<std::size_t>(index)];
}

}  // namespace

const Json* find_path(const Json& value, std::string_view path) {
    if (!path.starts_with('$')) refuse(path);
    const Json* at = &value;
    std::string_view rest = path.substr(1);
    while (!rest.empty()) {
        if (rest.starts_with('.')) {
            rest.remove_prefix(1);
            const std::string_view name = rest.substr(0, rest.find_first_of(".["));
            if (name.empty()) refuse(path);
            at = member(at, name);
            rest.remove_prefix(name.size());
            continue;
        }
        const auto close = rest.find(']');
        if (!rest.starts_with('[') || close == std::string_view::npos) refuse(path);
        const std::string_view inner = rest.substr(1, close - 1);
        rest.remove_prefix(close + 1);
        const bool quoted = inner.size() >= 2 && (inner.front() == '\'' || inner.front() == '"') &&
                            inner.back() == inner.front();
        if (quoted) {
            at = member(at, inner.substr(1, inner.size() - 2));
            continue;
        }
        long index = 0;
        const auto [end, failed] =
            std::from_chars(inner.data(), inner.data() + inner.size(), index);
        if (failed != std::errc{} || end != inner.data() + inner.size()) refuse(path);
        at = element(at, index);
    }
    return at;
}

}  // namespace sluice::ops
