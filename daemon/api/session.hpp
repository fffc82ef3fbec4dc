// session.hpp — logging in and out: tokens for programs, cookies for the dashboard.
#pragma once

#include "api/services.hpp"

namespace sluice::api {

Rows session_endpoints();
/// What the dashboard begins with (`Boot` of its contract).
Json boot_view(Services& services, const Caller& caller);

}  // namespace sluice::api
