// one_value.hpp — for tests: a masking function on a few values. Not for product code.
#pragma once

#include <string>

#include "operators/privacy/methods.hpp"
#include "operators/privacy/values.hpp"

namespace sluice::privacy {

inline std::string masked_value(
    const policy::Rule& rule,
    const std::string& domain,
    const Keys& keys,
    std::string_view value,
    Direction direction = Direction::mask
) {
    Values values({std::string(value)});
    function_of(rule, domain, keys, std::make_shared<Tally>(), direction)->body(values, values);
    return values.texts[0].value_or("null");
}

}  // namespace sluice::privacy
