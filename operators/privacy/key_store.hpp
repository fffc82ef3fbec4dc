// key_store.hpp — the keys of a policy's rules, from the secret store.
#pragma once

#include "operators/policy/policy.hpp"
#include "operators/privacy/methods.hpp"
#include "task/context.hpp"

namespace sluice::privacy {

/// The master key of the policy's version: the secret NAME.vN if there is one, else NAME, in whose
/// derived keys N stands. Throws Error.
Secret master_of(task::TaskContext& context, const policy::Policy& policy);

/// What one rule needs; nothing is asked of the store that it does not need.
Keys keys_of(task::TaskContext& context, const policy::Policy& policy, const policy::Rule& rule);

}  // namespace sluice::privacy
