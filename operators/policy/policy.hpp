// policy.hpp — a masking policy: what may stay readable where, and how the rest is masked. Read
// strictly from YAML or JSON; all problems at once. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"

namespace sluice {
class Problems;
}

namespace sluice::policy {

enum class Method : std::uint8_t {
    sha256,
    md5,
    hmac,
    partial,
    email,
    year,
    geo,
    nullify,
    constant,
    drop,
};
std::string_view name(Method method);

/// What is done to one column; options of other methods have their defaults.
struct Rule {
    Method method{Method::drop};
    std::vector<std::string> normalize;  // trim, lower, nfc; in order
    std::string domain;                  // of keys; "" = the class
    std::string salt;                    // name of a secret; sha256 and md5
    bool legacy{false};                  // md5
    bool mask_nulls{false};              // null becomes a constant

    std::string encoding{"hex"};  // hmac: hex, b64url, b32
    int length{0};                // hmac: characters of the result; 0 = all

    int keep_first{0};  // partial
    int keep_last{4};
    int min_masked{4};
    std::string fill{"*"};
    bool keep_format{true};

    std::string local{"first"};       // email: first, none, hmac
    std::string mail_domain{"keep"};  // keep, hmac, tld
    int stars{3};

    int digits{1};      // geo
    std::string value;  // constant
    /// One column in, several out; then the rest of the rule says nothing.
    std::vector<std::pair<std::string, Rule>> outputs;

    /// True if the method needs the master key.
    [[nodiscard]] bool keyed() const;
};

struct Policy {
    std::string key;                                        // name of the master secret
    std::map<std::string, std::vector<std::string>> allow;  // tier -> classes
    std::string indirect{"report"};
    std::map<std::string, Rule> classes;
    std::map<std::string, Rule> columns;  // "raw.customers.email" or "email"

    [[nodiscard]] std::vector<std::string> allowed(const std::string& tier) const;
};

/// `file` is its name, for problems; .yaml and .yml are YAML, the rest is JSON.
Parsed<Policy> read(std::string_view text, const std::string& file);

/// One rule: a method's name or an object. Problems go to `problems` under `pointer`.
std::optional<Rule> read_rule(
    const nlohmann::json& value, const std::string& pointer, Problems& problems
);

}  // namespace sluice::policy
