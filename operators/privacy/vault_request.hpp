// vault_request.hpp — the vault as the daemon asks for it: one question and one answer, in JSON.
#pragma once

#include <functional>
#include <string>

#include "base/secret.hpp"
#include "task/context.hpp"

namespace sluice::privacy {

/// {"action": detokenize | erase | rotate | verify | unmask, "conn_id", "key", "domain", "actor",
/// "reason", and what the action needs}. Throws Error, without values.
std::string vault_request(
    const std::string& question,
    const std::function<task::Connection(const std::string& conn_id)>& connection,
    const std::function<Secret(const std::string& name)>& secret
);

}  // namespace sluice::privacy
