// The options of each masking method, and what section 6 refuses of them whatever the column.
#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/fields.hpp"
#include "operators/policy/policy.hpp"

namespace sluice::policy {

namespace {

using nlohmann::json;

class Options {
public:
    Options(Fields& fields, Rule& rule, const std::string& pointer, Problems& problems)
        : fields_(fields), rule_(rule), pointer_(pointer), problems_(problems) {}

    void plain() {
        rule_.salt = fields_.string("salt").value_or("");
        if (rule_.method == Method::md5) rule_.legacy = fields_.boolean("legacy").value_or(false);
    }
    void hmac() {
        rule_.encoding = fields_.choice("encoding", {"hex", "b64url", "b32"}).value_or("hex");
        rule_.length = static_cast<int>(fields_.integer("length", 1, 64).value_or(0));
        rule_.raw_key = fields_.string("raw_key").value_or("");
        // Fewer than 64 bits would let two values share a pseudonym: by chance at a million.
        const int bits = rule_.encoding == "hex" ? 4 : rule_.encoding == "b64url" ? 6 : 5;
        if (rule_.length != 0 && rule_.length * bits < 64)
            error(
                "E-MASK-LENGTH",
                "/length",
                "a pseudonym shorter than 64 bits is not safe from collisions",
                "16 characters of hex are the least"
            );
    }
    void partial() {
        keep(4);
        rule_.min_masked = static_cast<int>(fields_.integer("min_masked", 0, 64).value_or(4));
        rule_.fill = fields_.string("char").value_or("*");
        rule_.keep_format = fields_.choice("format", {"keep", "flat"}).value_or("keep") == "keep";
        if (rule_.fill.empty()) error("E-MASK-CHAR", "", "char must not be empty");
    }
    void email() {
        rule_.local = fields_.choice("local", {"first", "none", "hmac"}).value_or("first");
        rule_.mail_domain = fields_.choice("domain", {"keep", "hmac", "tld"}).value_or("keep");
        rule_.stars = static_cast<int>(fields_.integer("stars", 1, 20).value_or(3));
    }
    void ff1() {
        keep(0);
        const std::string alphabet =
            fields_.choice("alphabet", {"digits", "alnum36", "alpha26", "custom"})
                .value_or("digits");
        const std::string digits = "0123456789";
        const std::string letters = "abcdefghijklmnopqrstuvwxyz";
        const auto characters = fields_.string("characters");
        if (alphabet == "digits") rule_.alphabet = digits;
        if (alphabet == "alnum36") rule_.alphabet = digits + letters;
        if (alphabet == "alpha26") rule_.alphabet = letters;
        rule_.fold_case = alphabet == "alnum36" || alphabet == "alpha26";
        if (alphabet == "custom") custom(characters.value_or(""));
        if (characters && alphabet != "custom")
            error("E-MASK-RULE", "/characters", "characters go with alphabet: custom");
        rule_.luhn = fields_.choice("luhn", {"break", "repair", "none"}).value_or("");
        if (!rule_.luhn.empty() && rule_.luhn != "none" && alphabet != "digits")
            error("E-MASK-RULE", "/luhn", "only numbers of digits have a check digit");
        rule_.hide_invalid =
            fields_.choice("on_invalid", {"fail", "hide"}).value_or("fail") == "hide";
        rule_.raw_key = fields_.string("raw_key").value_or("");
        if (const auto tweak = fields_.string("tweak")) tweak_of(*tweak);
    }
    void shift_date() {
        rule_.subject = fields_.required_string("subject");
        rule_.days = static_cast<int>(fields_.integer("days", 1, 36'500).value_or(30));
        if (rule_.days < 7)
            error("E-MASK-WEAK", "/days", "a shift of less than 7 days either way hides no date");
    }
    void bucket() {
        const auto width = fields_.number("width");
        rule_.unit = fields_.choice("unit", {"day", "week", "month", "quarter", "year", "decade"})
                         .value_or("");
        if (const json* bounds = fields_.array("bounds")) bounds_of(*bounds);
        const int ways = static_cast<int>(width.has_value()) +
                         static_cast<int>(!rule_.unit.empty()) +
                         static_cast<int>(!rule_.bounds.empty());
        if (ways != 1)
            error(
                "E-MASK-RULE",
                "",
                "a bucket has one of width (numbers), bounds (numbers) and unit (dates)"
            );
        if (width) rule_.step = *width;
        if (width && *width <= 0) error("E-MASK-RULE", "/width", "the width is more than 0");
    }
    void round() {
        rule_.step = fields_.number("to").value_or(1);
        if (rule_.step <= 0)
            error("E-MASK-RULE", "/to", "it is rounded to multiples of more than 0");
    }
    void noise() {
        if (const json* scale = fields_.required("scale")) scale_of(*scale);
        rule_.row = fields_.names("row").value_or(std::vector<std::string>{});
        if (rule_.row.empty())
            error(
                "E-MASK-RULE", "", "noise needs row: the columns that tell a row from the others"
            );
    }
    void fake() {
        rule_.dictionary =
            fields_.choice("dictionary", {"first_name", "last_name", "full_name", "city"})
                .value_or("");
        if (rule_.dictionary.empty() && !fields_.has("dictionary"))
            error("E-REQUIRED", "", "fake needs a dictionary", "dictionary: full_name");
        rule_.locale = fields_.choice("locale", {"en", "de", "es", "fr", "pt"}).value_or("en");
    }
    void token() {
        rule_.convergent = fields_.boolean("convergent").value_or(true);
        rule_.row = fields_.names("row").value_or(std::vector<std::string>{});
        if (rule_.convergent != rule_.row.empty())
            error(
                "E-MASK-RULE",
                "",
                rule_.convergent
                    ? "row goes with convergent: false"
                    : "tokens that do not converge need row, so that a second run finds them again"
            );
        rule_.subject = fields_.string("subject").value_or("");
    }
    void constant() {
        const json* value = fields_.required("value");
        if (value != nullptr)
            rule_.value = value->is_string() ? value->get<std::string>() : value->dump();
    }

private:
    void error(
        const char* code, const std::string& at, std::string message, std::string hint = {}
    ) {
        problems_.error(code, pointer_ + at, std::move(message), std::move(hint));
    }
    void keep(int last) {
        rule_.keep_last = static_cast<int>(fields_.integer("keep_last", 0, 64).value_or(last));
        rule_.keep_first = static_cast<int>(fields_.integer("keep_first", 0, 64).value_or(0));
    }
    void custom(const std::string& characters) {
        rule_.alphabet = characters;
        std::string sorted = characters;
        std::ranges::sort(sorted);
        const bool doubled = std::ranges::adjacent_find(sorted) != sorted.end();
        const bool plain =
            std::ranges::all_of(characters, [](char c) { return c >= ' ' && c <= '~'; });
        if (characters.size() < 2 || doubled || !plain)
            error(
                "E-MASK-RULE",
                "/characters",
                "a custom alphabet has at least two characters of ASCII, each once"
            );
    }
    void tweak_of(const std::string& hex) {
        std::string bytes;
        bool good = hex.size() % 2 == 0 && hex.size() <= 128;
        for (std::size_t i = 0; good && i < hex.size(); i += 2) {
            unsigned value = 0;
            const auto [end, failed] = std::from_chars(&hex[i], &hex[i] + 2, value, 16);
            good = failed == std::errc{} && end == &hex[i] + 2;
            bytes += static_cast<char>(value);
        }
        if (!good)
            error("E-MASK-RULE", "/tweak", "a tweak is at most 64 bytes, in hex digits");
        else
            rule_.tweak = bytes;
    }
    void bounds_of(const json& bounds) {
        for (const json& one : bounds) {
            if (one.is_number() &&
                (rule_.bounds.empty() || one.get<double>() > rule_.bounds.back())) {
                rule_.bounds.push_back(one.get<double>());
                continue;
            }
            error("E-MASK-RULE", "/bounds", "bounds are numbers that rise");
            return;
        }
    }
    void scale_of(const json& scale) {
        if (scale.is_number()) {
            rule_.scale = scale.get<double>();
        } else if (scale.is_string() && scale.get<std::string>().ends_with('%')) {
            const std::string text = scale.get<std::string>();
            rule_.relative = true;
            const auto [end, failed] =
                std::from_chars(text.data(), text.data() + text.size() - 1, rule_.scale);
            rule_.scale = failed == std::errc{} && end == text.data() + text.size() - 1
                              ? rule_.scale / 100
                              : 0;
        }
        if (rule_.scale <= 0)
            error("E-MASK-RULE", "/scale", "the scale is a number above 0, or a share: \"5%\"");
    }

    Fields& fields_;
    Rule& rule_;
    const std::string& pointer_;
    Problems& problems_;
};

}  // namespace

void read_options(Fields& fields, Rule& rule, const std::string& pointer, Problems& problems) {
    Options options(fields, rule, pointer, problems);
    switch (rule.method) {
        case Method::sha256:
        case Method::md5:
            options.plain();
            break;
        case Method::hmac:
            options.hmac();
            break;
        case Method::partial:
            options.partial();
            break;
        case Method::email:
            options.email();
            break;
        case Method::token:
            options.token();
            break;
        case Method::ff1:
            options.ff1();
            break;
        case Method::shift_date:
            options.shift_date();
            break;
        case Method::bucket:
            options.bucket();
            break;
        case Method::round:
            options.round();
            break;
        case Method::geo:
            rule.digits = static_cast<int>(fields.integer("digits", 0, 6).value_or(1));
            break;
        case Method::noise:
            options.noise();
            break;
        case Method::fake:
            options.fake();
            break;
        case Method::constant:
            options.constant();
            break;
        case Method::siv:
        case Method::year:
        case Method::nullify:
        case Method::drop:
            break;
    }
    // `domain` of the method email is the mail's; the others' is that of keys.
    if (rule.method != Method::email) rule.domain = fields.string("domain").value_or("");
}

}  // namespace sluice::policy
