// detect.hpp — what kind of personal data a column holds, by its values (patterns with checksums)
// and its name. Pure functions; no value is kept or told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::privacy {

struct Evidence {
    std::string column;
    std::string pii_class;
    double share{};  // of the distinct values looked at, after checksums
    bool hint{};     // the column's name says so too
    std::int64_t values{};
};

struct Suspect {
    std::string column;
    std::vector<std::string> values;  // distinct, not null
    bool rising{false};               // counts up, or tells rows apart: digits are no card numbers
    bool guess_secrets{true};         // random-looking text counts as a secret
    int this_year{9999};              // who was born in the last ten years is no customer
};

/// The likeliest class: share, and 0.3 more if the name says so, reach `least`.
std::optional<Evidence> detect(const Suspect& suspect, double least);

/// "gift_note: email (97% of 812 values)"
std::string told(const Evidence& evidence);

// The patterns, for their tests.
bool looks_like_email(std::string_view value);
bool looks_like_phone(std::string_view value, bool hint);
bool looks_like_card(std::string_view value);
bool looks_like_iban(std::string_view value);
bool looks_like_national_id(std::string_view value, bool hint);
bool looks_like_ip(std::string_view value, bool hint);
bool looks_like_dob(std::string_view value, int latest_year);
bool looks_like_secret(std::string_view value, bool guess);
bool looks_like_place(std::string_view value);  // "52.5200, 13.4050"

}  // namespace sluice::privacy
