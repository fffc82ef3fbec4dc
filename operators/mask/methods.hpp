// methods.hpp — what each masking method makes of one text. Pure functions of (value, rule, keys):
// the same on any worker and any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.hpp"
#include "operators/policy/policy.hpp"

namespace sluice::mask {

struct Keys {
    Secret master;  // 32 bytes; empty if no rule needs it
    Secret salt;    // of sha256 and md5
};

struct Masked {
    std::string text;
    bool invalid{false};  // the value was not what the method masks (no address): hidden whole
};

using TextMask = std::function<Masked(std::string_view)>;

/// The function of a rule on text values; `domain` ties columns that must still join (the rule's
/// own, else the class). None for methods that are SQL alone: year, geo, nullify, constant, drop.
std::optional<TextMask> text_mask(
    const policy::Rule& rule, const std::string& domain, const Keys& keys
);

/// trim, lower, nfc, in the order given.
std::string normalized(const std::vector<std::string>& how, std::string_view value);

/// "4111-1111-1111-1234" -> "****-****-****-1234"
std::string partial(const policy::Rule& rule, std::string_view value);

}  // namespace sluice::mask
