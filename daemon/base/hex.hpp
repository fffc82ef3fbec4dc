// hex.hpp — hex digits where their place is there already; hash.hpp has them as a string.
#pragma once

#include <string_view>

namespace sluice {

/// Writes two lower hex digits a byte.
void hex_into(char* out, std::string_view bytes);

}  // namespace sluice
