#include <algorithm>
#include <cctype>
#include <string>

#include <nlohmann/json.hpp>

#include "operators/control/control.hpp"

namespace sluice::ops {

bool is_true(const nlohmann::json& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (value.is_structured()) return !value.empty();
    if (!value.is_string()) return false;
    std::string word;
    for (const char c : value.get_ref<const std::string&>())
        if (std::isspace(static_cast<unsigned char>(c)) == 0)
            word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return !(word.empty() || word == "false" || word == "0" || word == "none" || word == "null");
}

}  // namespace sluice::ops
