// patience.hpp — how often and after which pause a server is asked again.
#pragma once

#include <cstdint>
#include <random>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "task/context.hpp"

namespace sluice::connect {

/// `extra` of a connection; an empty object if it is none.
nlohmann::json extra_of(const task::Connection& connection);

/// How many more tries the connection allows (`extra.retries`, else 5).
int retries_of(const task::Connection& connection);

/// Somewhere between nothing and twice as much as before, so that many tasks do not knock at once.
Duration backoff(int failures, std::mt19937_64& random);

}  // namespace sluice::connect
