// base64.hpp — RFC 4648's base64 with padding, as headers of HTTP and mail want it.
#pragma once

#include <string>
#include <string_view>

namespace sluice::connect {

std::string base64(std::string_view bytes);

}  // namespace sluice::connect
