#include "model/catalogue.hpp"

#include <algorithm>
#include <utility>

namespace sluice {

Catalogue::Catalogue(std::vector<OperatorInfo> operators) : operators_(std::move(operators)) {
    std::ranges::sort(operators_, {}, &OperatorInfo::name);
}

const OperatorInfo* Catalogue::find(std::string_view name) const {
    const auto found = std::ranges::lower_bound(operators_, name, {}, &OperatorInfo::name);
    return found != operators_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace sluice
