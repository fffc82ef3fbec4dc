// methods.hpp — the masking methods as vectorised functions of the engine. Pure functions of
// (value, rule, keys): the same on any worker and any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "operators/engine/database.hpp"
#include "operators/policy/policy.hpp"

namespace sluice::privacy {

struct Keys {
    Secret master;  // 32 bytes; empty if no rule needs it
    Secret salt;    // of sha256 and md5
    Secret raw;     // hex: the key itself, of rules with `raw_key`
    int version{1};
};

/// Values that were not what their method masks; counted over all threads.
struct Tally {
    std::atomic<std::int64_t> invalid{0};  // hidden whole
    std::atomic<std::int64_t> refused{0};  // the task must fail
};

struct Function {
    std::vector<engine::FunctionType> arguments;
    engine::FunctionType result{engine::FunctionType::text};
    std::function<void(const engine::Arguments&, engine::Results&)> body;
};

enum class Direction { mask, unmask };

/// The function of a rule; `domain` ties columns that must still join (the rule's own counts, else
/// the class). Text to text, but shift_date: the subject to days; noise: a row's text to a number
/// of
/// [-2^53, 2^53). None for methods that are SQL alone, and for token. `unmask` is there for ff1 and
/// siv; what cannot be undone becomes null.
std::optional<Function> function_of(
    const policy::Rule& rule,
    const std::string& domain,
    const Keys& keys,
    std::shared_ptr<Tally> tally,
    Direction direction = Direction::mask
);

/// "hmac|email|k1": what a key is derived for.
std::string key_purpose(const policy::Rule& rule, const std::string& domain, int version);

}  // namespace sluice::privacy
