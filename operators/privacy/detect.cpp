#include "operators/privacy/detect.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <re2/re2.h>

#include "operators/privacy/dictionaries.hpp"
#include "operators/privacy/national_ids.hpp"

namespace sluice::privacy {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool fits(std::string_view value, const re2::RE2& pattern) {
    return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), pattern);
}

/// Digits without the separators that people write; "" if anything else is in it.
std::string bare_digits(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (is_digit(c))
            out += c;
        else if (c != ' ' && c != '-' && c != '.' && c != '/')
            return "";
    }
    return out;
}

std::string compact_upper(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == ' ' || c == '-' || c == '.') continue;
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return out;
}

bool passes_luhn(std::string_view digits) {
    int sum = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const int digit = digits[digits.size() - 1 - i] - '0';
        sum += i % 2 == 0 ? digit : digit < 5 ? digit * 2 : digit * 2 - 9;
    }
    return sum % 10 == 0;
}

/// The words of a column's name that tell its class: whole words of snake_case.
bool hinted(const std::string& column, const char* words) {
    std::string lower;
    for (const char c : column)
        lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const re2::RE2 pattern("(^|.*[^a-z])(" + std::string(words) + ")([^a-z].*|$)");
    return re2::RE2::FullMatch(lower, pattern);
}

bool looks_like_name(std::string_view value) {
    const std::string_view first = value.substr(0, value.find(' '));
    return first.size() >= 2 && value.find_first_of("0123456789@") == std::string_view::npos &&
           is_first_name(first);
}

bool looks_like_address(std::string_view value) {
    static const re2::RE2 pattern(
        R"((?i)(\d+\w?\s+.*|.*\b(street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|court|ct|square|strasse|str|platz|weg|allee|rue|calle|rua|via|avenida)\b.*\d+.*|.*(straße|strasse|str\.|weg|platz|allee)\s*\d+.*))"
    );
    return value.find_first_of("0123456789") != std::string_view::npos && fits(value, pattern);
}

bool looks_like_degrees(std::string_view value) {
    static const re2::RE2 pattern(R"(-?\d{1,3}\.\d{4,})");
    return fits(value, pattern);
}

double entropy(std::string_view text) {
    std::map<char, double> counts;
    for (const char c : text) ++counts[c];
    double out = 0;
    for (const auto& [c, count] : counts) {
        const double p = count / static_cast<double>(text.size());
        out -= p * std::log2(p);
    }
    return out;
}

struct Detector {
    const char* pii_class;
    const char* hint;  // words of a column's name
    bool hint_needed;
    bool (*match)(std::string_view value, bool hint, const Suspect& suspect);
    double least;  // 0 = the caller's
};

constexpr std::array detectors{
    Detector{
        "secret",
        "password|passwd|secret|token|api_?key|private_?key|credential",
        false,
        [](std::string_view value, bool hint, const Suspect& suspect) {
            return looks_like_secret(value, hint || suspect.guess_secrets);
        },
        0
    },
    Detector{
        "iban",
        "iban|account",
        false,
        [](std::string_view value, bool, const Suspect&) { return looks_like_iban(value); },
        0
    },
    Detector{
        "email",
        "e?mail|email_address",
        false,
        [](std::string_view value, bool, const Suspect&) { return looks_like_email(value); },
        0
    },
    Detector{
        "national_id",
        "ssn|social|national|nino|nhs|cpf|cnpj|aadhaar|nif|nir|tax|steuer|passport",
        false,
        [](std::string_view value, bool hint, const Suspect& suspect) {
            return (!suspect.rising || hint) && looks_like_national_id(value, hint);
        },
        0
    },
    Detector{
        "card",
        "card|pan|credit",
        false,
        [](std::string_view value, bool hint, const Suspect& suspect) {
            return (!suspect.rising || hint) && looks_like_card(value);
        },
        0
    },
    Detector{
        "ip",
        "ip|ip_?addr|ip_?address|mac|host",
        false,
        [](std::string_view value, bool hint, const Suspect&) {
            return looks_like_ip(value, hint);
        },
        0
    },
    Detector{
        "geo",
        "lat|lon|lng|latitude|longitude|geo|location|position|coordinates?",
        false,
        [](std::string_view value, bool hint, const Suspect&) {
            return looks_like_place(value) || (hint && looks_like_degrees(value));
        },
        0
    },
    Detector{
        "phone",
        "phone|tel|telephone|mobile|cell|fax",
        false,
        [](std::string_view value, bool hint, const Suspect&) {
            return looks_like_phone(value, hint);
        },
        0
    },
    Detector{
        "dob",
        "dob|birth|born|birth_?date|birthday|date_of_birth",
        true,
        [](std::string_view value, bool, const Suspect& suspect) {
            return looks_like_dob(value, suspect.this_year - 10);
        },
        0
    },
    Detector{
        "name",
        "name|first_?name|last_?name|full_?name|surname|person|contact",
        false,
        [](std::string_view value, bool, const Suspect&) { return looks_like_name(value); },
        0.5
    },
    Detector{
        "address",
        "address|street|addr",
        true,
        [](std::string_view value, bool, const Suspect&) { return looks_like_address(value); },
        0
    },
};

}  // namespace

bool looks_like_email(std::string_view value) {
    // No '*': that is a masked one.
    static const re2::RE2 pattern(
        R"(\s*([A-Za-z0-9!#$%&'+/=?^_`{|}~.-]{1,64}|"[^"]{1,62}")@([A-Za-z0-9\x{80}-\x{10ffff}]([A-Za-z0-9\x{80}-\x{10ffff}-]{0,61}[A-Za-z0-9\x{80}-\x{10ffff}])?\.)+([A-Za-z\x{80}-\x{10ffff}]{2,63}|xn--[A-Za-z0-9-]{2,59})\s*)"
    );
    return value.size() <= 320 && fits(value, pattern);
}

bool looks_like_phone(std::string_view value, bool hint) {
    static const re2::RE2 international(R"(\s*\+\d([ ().-]{0,2}\d){7,14}\s*)");
    if (fits(value, international)) return true;
    static const re2::RE2 national(R"(\s*\(?\d{2,5}\)?([ ./-]+\(?\d{2,5}\)?){1,4}\s*)");
    const auto digits = std::ranges::count_if(value, is_digit);
    return hint && digits >= 7 && digits <= 15 && fits(value, national);
}

bool looks_like_card(std::string_view value) {
    const std::string digits = bare_digits(value);
    if (digits.size() < 12 || digits.size() > 19 || !passes_luhn(digits)) return false;
    const int two = (digits[0] - '0') * 10 + (digits[1] - '0');
    const int four = two * 100 + (digits[2] - '0') * 10 + (digits[3] - '0');
    const bool issuer = digits[0] == '4' || (two >= 50 && two <= 58) || two == 34 || two == 37 ||
                        two == 36 || two == 38 || two == 39 || two == 35 || two == 60 ||
                        two == 62 || two == 64 || two == 65 || two == 63 || two == 67 ||
                        (four >= 2221 && four <= 2720) || (four >= 3000 && four <= 3059);
    return issuer && digits.find_first_not_of(digits[0]) != std::string::npos;
}

bool looks_like_iban(std::string_view value) {
    static const std::map<std::string, std::size_t, std::less<>> lengths{
        {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16},
        {"BG", 22}, {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28},
        {"CZ", 24}, {"DE", 22}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24},
        {"FI", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18},
        {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23},
        {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32},
        {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"MC", 27}, {"MD", 24}, {"ME", 22},
        {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15}, {"PK", 24},
        {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
        {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28},
        {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}
    };
    const std::string text = compact_upper(value);
    if (text.size() < 15) return false;
    const auto length = lengths.find(text.substr(0, 2));
    if (length == lengths.end() || text.size() != length->second) return false;
    int rest = 0;
    for (const char c : text.substr(4) + text.substr(0, 4)) {
        if (is_digit(c))
            rest = (rest * 10 + (c - '0')) % 97;
        else if (c >= 'A' && c <= 'Z')
            rest = (rest * 100 + (c - 'A' + 10)) % 97;
        else
            return false;
    }
    return rest == 1;
}

bool looks_like_national_id(std::string_view value, bool hint) {
    if (is_us_ssn(value, hint)) return true;
    const std::string text = compact_upper(value);
    if (is_uk_nino(text) || is_es_nif(text) || is_fr_nir(text)) return true;
    const std::string digits = bare_digits(value);
    // One in ten numbers of this length passes the check by chance: only where the name says so.
    if (hint && is_uk_nhs(digits)) return true;
    return is_br_cpf(digits) || is_br_cnpj(digits) || is_in_aadhaar(digits) ||
           is_de_steuer_id(digits);
}

bool looks_like_ip(std::string_view value, bool hint) {
    static const re2::RE2 four(R"((\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3}))");
    static const re2::RE2 mac(R"(([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})");
    static const re2::RE2 six(
        R"(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(([0-9A-Fa-f]{1,4}:){0,6}[0-9A-Fa-f]{1,4})?::(([0-9A-Fa-f]{1,4}:){0,6}[0-9A-Fa-f]{1,4})?)"
    );
    std::array<int, 4> octets{};
    if (re2::RE2::FullMatch(
            re2::StringPiece(value.data(), value.size()),
            four,
            &octets[0],
            &octets[1],
            &octets[2],
            &octets[3]
        )) {
        if (std::ranges::any_of(octets, [](int one) { return one > 255; })) return false;
        // 4.15.0.20 may be a version.
        return hint || std::ranges::any_of(octets, [](int one) { return one > 30; });
    }
    return fits(value, mac) || (value.size() > 3 && fits(value, six));
}

bool looks_like_dob(std::string_view value, int latest_year) {
    static const re2::RE2 iso(R"((\d{4})-(\d{2})-(\d{2})([ T].*)?)");
    static const re2::RE2 written(R"(\d{1,2}[./-]\d{1,2}[./-](\d{4}))");
    int year = 0;
    const re2::StringPiece text(value.data(), value.size());
    if (!re2::RE2::FullMatch(text, iso, &year) && !re2::RE2::FullMatch(text, written, &year))
        return false;
    return year >= 1900 && year <= latest_year;
}

bool looks_like_secret(std::string_view value, bool guess) {
    static const re2::RE2 known(
        R"(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+|(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*|(AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}|gh[pousr]_\w{36,}|xox[baprs]-[\w-]{10,}|sk_(live|test)_\w{16,}|glpat-[\w-]{20,})"
    );
    if (fits(value, known)) return true;
    if (!guess || value.size() < 20 || value.find(' ') != std::string_view::npos) return false;
    const bool upper = std::ranges::any_of(value, [](char c) { return c >= 'A' && c <= 'Z'; });
    const bool lower = std::ranges::any_of(value, [](char c) { return c >= 'a' && c <= 'z'; });
    return upper && lower && std::ranges::any_of(value, is_digit) && entropy(value) > 4.0;
}

bool looks_like_place(std::string_view value) {
    static const re2::RE2 pair(R"(\(?(-?\d{1,2}\.\d{4,})\s*[,; ]\s*(-?\d{1,3}\.\d{4,})\)?)");
    double lat = 0;
    double lon = 0;
    return re2::RE2::FullMatch(re2::StringPiece(value.data(), value.size()), pair, &lat, &lon) &&
           std::fabs(lat) <= 90 && std::fabs(lon) <= 180;
}

std::optional<Evidence> detect(const Suspect& suspect, double least) {
    if (suspect.values.empty()) return std::nullopt;
    std::optional<Evidence> best;
    double best_score = 0;
    for (const Detector& detector : detectors) {
        const bool hint = hinted(suspect.column, detector.hint);
        if (detector.hint_needed && !hint) continue;
        const auto matches = std::ranges::count_if(suspect.values, [&](const std::string& value) {
            return detector.match(value, hint, suspect);
        });
        if (matches == 0) continue;
        const auto values = static_cast<std::int64_t>(suspect.values.size());
        const double share = static_cast<double>(matches) / static_cast<double>(values);
        const double score = share + (hint ? 0.3 : 0);
        const double wanted = detector.least > 0 ? std::min(detector.least, least) : least;
        if (score < wanted || score <= best_score) continue;
        best_score = score;
        best = Evidence{suspect.column, detector.pii_class, share, hint, values};
    }
    return best;
}

std::string told(const Evidence& evidence) {
    return fmt::format(
        "{}: {} ({:.0f}% of {} values{})",
        evidence.column,
        evidence.pii_class,
        evidence.share * 100,
        evidence.values,
        evidence.hint ? ", and by its name" : ""
    );
}

}  // namespace sluice::privacy
