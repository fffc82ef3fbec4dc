// sql_functions.hpp — the masking methods inside SQL of the lake: mask(value, 'class or column of
// the policy'), mask_hmac(value, 'domain'), ... With the same keys as rules, so that pseudonyms
// join.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "operators/engine/database.hpp"
#include "operators/policy/policy.hpp"
#include "operators/privacy/methods.hpp"
#include "task/context.hpp"

namespace sluice::privacy {

/// Whether a statement may use them: then they must be there.
bool mentions_mask(std::string_view sql);

/// At load: they bind, with keys that are none.
void add_check_functions(engine::Database& database, const policy::Policy& policy);
/// In a run: with the keys of the secret store.
void add_run_functions(
    task::TaskContext& context, engine::Database& database, const policy::Policy& policy
);

/// The outputs of a select statement that are masked: their expression is a call of one of these
/// functions, with options strong enough.
std::set<std::string> masked_outputs(engine::Database& database, const std::string& sql);

}  // namespace sluice::privacy
