// incoming.hpp — what came over the wire as a Request, and the small texts that go with it. Knows
// nothing of Beast. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "http/message.hpp"

namespace sluice::http {

/// Path and query of a request target, absolute or not. The path stays empty where the target is
/// not one that this server serves.
void set_target(Request& request, std::string_view target);
void add_header(Request& request, std::string_view name, std::string_view value);
/// The caller's X-Request-Id or correlation-id where it is plain, else a new one.
std::string request_id_of(const Request& request);

/// Now, as the header Date wants it.
std::string http_date();

}  // namespace sluice::http
