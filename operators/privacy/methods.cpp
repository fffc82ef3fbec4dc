#include "operators/privacy/methods.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hex.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/dictionaries.hpp"
#include "operators/privacy/ff1_text.hpp"
#include "operators/privacy/text.hpp"

namespace sluice::privacy {

namespace {

using engine::Arguments;
using engine::FunctionType;
using engine::Results;
using policy::Method;
using policy::Rule;

std::string_view view_of(const Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// A body that looks at one value at a time: `one(value, row, results)`.
template <class One>
Function each(const Rule& rule, One one) {
    Function out{{FunctionType::text}, FunctionType::text, {}};
    out.body = [how = rule.normalize, one = std::move(one)](const Arguments& in, Results& out_) {
        for (std::size_t row = 0; row < in.rows(); ++row) {
            if (in.is_null(0, row))
                out_.null(row);
            else if (how.empty())
                one(in.text(0, row), row, out_);
            else
                one(normalized(how, in.text(0, row)), row, out_);
        }
    };
    return out;
}

/// Values that are hashed together: what belongs to them stays in the processor's first cache.
constexpr std::size_t digests_at_once = 128;

/// A body that looks at the HMAC of one value at a time: `one(digest, row, results)`.
template <class One>
Function each_digest(
    const Rule& rule, FunctionType result, std::shared_ptr<const Hmac> key, One one
) {
    Function out{{FunctionType::text}, result, {}};
    out.body = [how = rule.normalize,
                key = std::move(key),
                one = std::move(one)](const Arguments& in, Results& results) {
        std::array<std::string, digests_at_once> changed;
        std::array<std::string_view, digests_at_once> values;
        std::array<std::size_t, digests_at_once> rows{};
        std::array<Digest, digests_at_once> digests;
        for (std::size_t row = 0; row < in.rows();) {
            std::size_t count = 0;
            for (; row < in.rows() && count < digests_at_once; ++row) {
                if (in.is_null(0, row)) {
                    results.null(row);
                    continue;
                }
                if (!how.empty()) changed[count] = normalized(how, in.text(0, row));
                values[count] = how.empty() ? in.text(0, row) : changed[count];
                rows[count++] = row;
            }
            key->batch({values.data(), count}, {digests.data(), count});
            for (std::size_t i = 0; i < count; ++i) one(digests[i], rows[i], results);
        }
    };
    return out;
}

Function hmac(const Rule& rule, std::shared_ptr<const Hmac> key) {
    const auto length = static_cast<std::size_t>(rule.length);
    if (rule.encoding == "hex") {
        const auto hex = [length](const Digest& digest, std::size_t row, Results& out) {
            std::array<char, 64> text{};
            hex_into(text.data(), view_of(digest));
            out.text(row, {text.data(), length == 0 ? text.size() : std::min(text.size(), length)});
        };
        return each_digest(rule, FunctionType::text, std::move(key), hex);
    }
    const bool url = rule.encoding == "b64url";
    const auto encoded = [length, url](const Digest& digest, std::size_t row, Results& out) {
        std::string text = url ? base64url(view_of(digest)) : base32(view_of(digest));
        if (length > 0) text.resize(std::min(text.size(), length));
        out.text(row, text);
    };
    return each_digest(rule, FunctionType::text, std::move(key), encoded);
}

Function plain(const Rule& rule, const Secret& salt) {
    const Plain method = rule.method == Method::sha256 ? Plain::sha256 : Plain::md5;
    return each(rule, [method, salt](std::string_view value, std::size_t row, Results& out) {
        out.text(row, plain_hex(method, salt.reveal(), value));
    });
}

Function email(const Rule& rule, std::shared_ptr<const Hmac> key, std::shared_ptr<Tally> tally) {
    return each(rule, [rule, key, tally](std::string_view value, std::size_t row, Results& out) {
        const Masked masked = masked_email(rule, key.get(), value);
        if (masked.invalid) ++tally->invalid;
        out.text(row, masked.text);
    });
}

Function fake(const Rule& rule, std::shared_ptr<const Hmac> key) {
    const Dictionary& dictionary = dictionary_of(rule.dictionary, rule.locale);
    const auto picked = [&dictionary](const Digest& digest, std::size_t row, Results& out) {
        out.text(row, dictionary.pick(view_of(digest)));
    };
    return each_digest(rule, FunctionType::text, std::move(key), picked);
}

Function siv(const Rule& rule, std::shared_ptr<const Siv> key, Direction direction) {
    if (direction == Direction::mask)
        return each(rule, [key](std::string_view value, std::size_t row, Results& out) {
            out.text(row, base64url(key->seal(value)));
        });
    return each(rule, [key](std::string_view value, std::size_t row, Results& out) {
        const auto sealed = from_base64url(value);
        const auto opened = sealed ? key->open(*sealed) : std::nullopt;
        if (opened)
            out.text(row, *opened);
        else
            out.null(row);
    });
}

std::uint64_t first_number(const Digest& digest) {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < 8; ++i) out = (out << 8) | digest[i];
    return out;
}

/// A number by row from the HMAC of its text, which is taken as it is.
Function numbers(std::shared_ptr<const Hmac> key, std::function<std::int64_t(std::uint64_t)> made) {
    const auto number = [made = std::move(made)](
                            const Digest& digest, std::size_t row, Results& out
                        ) { out.integer(row, made(first_number(digest))); };
    return each_digest(Rule{}, FunctionType::integer, std::move(key), number);
}

Function ff1(
    const Rule& rule,
    const Secret& key,
    const std::string& domain,
    std::shared_ptr<Tally> tally,
    Direction direction
) {
    const auto cipher = std::make_shared<const Ff1Text>(rule, key, domain);
    Function out{{FunctionType::text}, FunctionType::text, {}};
    out.body = [rule, cipher, tally, direction](const Arguments& in, Results& results) {
        std::vector<std::string> texts(in.rows());
        std::vector<Ff1Text::Value> values;
        values.reserve(in.rows());
        for (std::size_t row = 0; row < in.rows(); ++row) {
            if (in.is_null(0, row)) continue;
            texts[row] = rule.normalize.empty() ? std::string(in.text(0, row))
                                                : normalized(rule.normalize, in.text(0, row));
            values.push_back({&texts[row], row, false});
        }
        cipher->run(values, direction == Direction::mask ? Ff1::Way::encrypt : Ff1::Way::decrypt);
        std::size_t next = 0;
        for (std::size_t row = 0; row < in.rows(); ++row) {
            if (next == values.size() || values[next].row != row) {
                results.null(row);
                continue;
            }
            const bool refused = values[next++].refused;
            // A short text is never passed through: it could be found by trying all of its length.
            if (refused) ++(rule.hide_invalid ? tally->invalid : tally->refused);
            results.text(row, refused ? std::string_view("***") : texts[row]);
        }
    };
    return out;
}

}  // namespace

std::string key_purpose(const Rule& rule, const std::string& domain, int version) {
    return std::string(policy::name(rule.method)) + "|" +
           (rule.domain.empty() ? domain : rule.domain) + "|k" + std::to_string(version);
}

std::optional<Function> function_of(
    const Rule& rule,
    const std::string& domain,
    const Keys& keys,
    std::shared_ptr<Tally> tally,
    Direction direction
) {
    const std::string purpose = key_purpose(rule, domain, keys.version);
    const auto derived = [&] {
        return rule.raw_key.empty() ? derive_key(keys.master, purpose)
                                    : hex_key(keys.raw, "the key " + rule.raw_key);
    };
    const auto keyed = [&]() -> std::shared_ptr<const Hmac> {
        if (!rule.keyed() && rule.raw_key.empty()) return nullptr;
        const Secret key = derived();
        if (key.reveal().size() < 16 || key.reveal().size() > 64)
            throw Error(
                ErrorCode::invalid, "the key " + rule.raw_key + " must have 16 to 64 bytes"
            );
        return std::make_shared<const Hmac>(key);
    };
    switch (rule.method) {
        case Method::sha256:
        case Method::md5:
            return plain(rule, keys.salt);
        case Method::hmac:
            return hmac(rule, keyed());
        case Method::partial:
            return each(rule, [rule](std::string_view value, std::size_t row, Results& out) {
                out.text(row, masked_partial(rule, value));
            });
        case Method::email:
            return email(rule, keyed(), std::move(tally));
        case Method::ff1:
            return ff1(rule, derived(), domain, std::move(tally), direction);
        case Method::siv:
            return siv(
                rule,
                std::make_shared<const Siv>(
                    derive_key(keys.master, purpose, 64), rule.domain.empty() ? domain : rule.domain
                ),
                direction
            );
        case Method::shift_date: {
            const auto days = static_cast<std::uint64_t>(rule.days);
            return numbers(keyed(), [days](std::uint64_t random) {
                return static_cast<std::int64_t>(random % (2 * days + 1)) -
                       static_cast<std::int64_t>(days);
            });
        }
        case Method::noise:
            return numbers(keyed(), [](std::uint64_t random) {
                return static_cast<std::int64_t>(random >> 10) - (std::int64_t{1} << 53);
            });
        case Method::fake:
            return fake(rule, keyed());
        case Method::token:
        case Method::bucket:
        case Method::round:
        case Method::year:
        case Method::geo:
        case Method::nullify:
        case Method::constant:
        case Method::drop:
            return std::nullopt;
    }
    unreachable();
}

}  // namespace sluice::privacy
