// text.hpp — the masks that cut text: partial and email; and what is done to a text before it is
// masked. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operators/policy/policy.hpp"
#include "operators/privacy/crypto.hpp"

namespace sluice::privacy {

struct Masked {
    std::string text;
    bool invalid{false};  // the value was not what the method masks (no address): hidden whole
};

/// trim, lower, nfc, in the order given.
std::string normalized(const std::vector<std::string>& how, std::string_view value);

/// "4111-1111-1111-1234" -> "****-****-****-1234"
std::string masked_partial(const policy::Rule& rule, std::string_view value);

/// "ana.silva@example.com" -> "a***@example.com"; `key` where a part is hashed.
Masked masked_email(const policy::Rule& rule, const Hmac* key, std::string_view value);

}  // namespace sluice::privacy
