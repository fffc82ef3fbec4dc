// tokens.hpp — the tokens of one column, from the vault, as a table of the engine.
#pragma once

#include <string>
#include <vector>

#include "operators/engine/database.hpp"
#include "operators/policy/policy.hpp"
#include "task/context.hpp"

namespace sluice::mask {

struct TokenColumn {
    int number{};
    std::string input;    // SQL of the rows
    std::string value;    // SQL over them: the text to be kept
    std::string key;      // SQL: what has one token
    std::string subject;  // SQL: whose it is, never null; "" = not asked
    std::string domain;
    std::vector<std::string> normalize;
    bool convergent{true};
};

/// Makes a temporary table (_sluice_key, _sluice_subject, _sluice_token) of every value that is
/// there and returns its name. Works in bounded memory. In `dags test` nothing is written to the
/// vault: tokens are computed.
std::string make_tokens(
    task::TaskContext& context,
    engine::Database& database,
    const policy::Policy& policy,
    const TokenColumn& column
);

}  // namespace sluice::mask
