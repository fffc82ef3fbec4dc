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
class Fields;
class Problems;
}  // namespace sluice

namespace sluice::policy {

enum class Method : std::uint8_t {
    sha256,
    md5,
    hmac,
    partial,
    email,
    token,
    ff1,
    siv,
    shift_date,
    bucket,
    round,
    year,
    geo,
    noise,
    fake,
    nullify,
    constant,
    drop,
};
std::string_view name(Method method);

struct RuleOutput;

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

    std::string alphabet{"0123456789"};  // ff1: its characters
    bool fold_case{false};               // capitals count as small letters
    std::string luhn;                    // break, repair, none; "" = by the class
    std::string raw_key;                 // ff1, hmac: name of a secret used as the key itself
    std::optional<std::string> tweak;    // ff1: bytes, in place of the characters kept
    bool hide_invalid{false};            // ff1: what is too short is hidden, else it fails the task

    std::string subject;           // shift_date: the column that tells whose date it is
    int days{30};                  // shift_date: at most so many, either way
    std::vector<std::string> row;  // noise, token: columns that tell the row
    double step{1};                // bucket: width; round: to multiples of it
    std::vector<double> bounds;    // bucket
    std::string unit;              // bucket of dates: day ... decade
    double scale{0};               // noise: at most so much, either way
    bool relative{false};          // noise: `scale` is a share of the value
    std::string dictionary;        // fake
    std::string locale{"en"};      // fake
    bool convergent{true};         // token
    /// One column in, several out; then the rest of the rule says nothing.
    std::vector<RuleOutput> outputs;

    /// True if the method needs the master key.
    [[nodiscard]] bool keyed() const;
    /// True if it, or one of its outputs, uses the method.
    [[nodiscard]] bool uses(Method one) const;
    /// Columns beside its own that the method reads.
    [[nodiscard]] std::vector<std::string> beside() const;
};

struct RuleOutput {
    std::string column;
    Rule rule;
};

struct Policy {
    std::string key;                                        // name of the master secret
    int key_version{1};                                     // goes into every derived key
    int rekey_from{0};                                      // the version before; 0 = none
    bool key_prefix{false};                                 // pseudonyms begin with "kN:"
    std::string vault{"vault"};                             // connection of the token vault
    std::map<std::string, std::vector<std::string>> allow;  // tier -> classes
    std::string indirect{"report"};
    std::map<std::string, Rule> classes;
    std::map<std::string, Rule> columns;  // "raw.customers.email" or "email"

    [[nodiscard]] std::vector<std::string> allowed(const std::string& tier) const;
};

/// `file` is its name, for problems; .yaml and .yml are YAML, the rest is JSON.
Parsed<Policy> read(std::string_view text, const std::string& file);

/// Fills in the options of `rule.method` and says what is wrong with them.
void read_options(Fields& fields, Rule& rule, const std::string& pointer, Problems& problems);

/// One rule: a method's name or an object. Problems go to `problems` under `pointer`.
std::optional<Rule> read_rule(
    const nlohmann::json& value, const std::string& pointer, Problems& problems
);

}  // namespace sluice::policy
