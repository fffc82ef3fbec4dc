// url.hpp — addresses that a server sends back: resolved as a browser would, and compared.
#pragma once

#include <optional>
#include <string>

namespace sluice::ops {

/// `reference` ("https://...", "/v1/x", "?page=2") seen from `base`; none if it is no address.
std::optional<std::string> resolve_url(const std::string& base, const std::string& reference);
/// Same protocol, host and port: what may see the same credentials.
bool same_origin(const std::string& a, const std::string& b);

/// The address of rel="next" in a Link header (RFC 8288); none if there is none.
std::optional<std::string> next_link(const std::string& header);

}  // namespace sluice::ops
