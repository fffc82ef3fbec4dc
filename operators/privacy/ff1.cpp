#include "operators/privacy/ff1.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "operators/engine/value.hpp"
#include "operators/privacy/cipher.hpp"

namespace sluice::privacy {

namespace {

using engine::Uint128;
using Block = std::array<std::uint8_t, 16>;

constexpr int rounds = 10;
// A round's value has d = 4 * ceil(b / 4) + 4 bytes: up to 16 of them are one block and one number.
constexpr std::size_t short_bytes = 12;

struct FreeNumber {
    void operator()(BIGNUM* number) const { BN_free(number); }
};
using Number = std::unique_ptr<BIGNUM, FreeNumber>;

void must(bool done) {
    if (!done) throw Error(ErrorCode::internal, "FF1 failed");
}

/// Bytes that hold radix^count - 1.
std::size_t number_bytes(int radix, std::size_t count) {
    const Number power(BN_new());
    const Number base(BN_new());
    const Number exponent(BN_new());
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), &BN_CTX_free);
    must(
        BN_set_word(base.get(), static_cast<BN_ULONG>(radix)) == 1 &&
        BN_set_word(exponent.get(), count) == 1 &&
        BN_exp(power.get(), base.get(), exponent.get(), context.get()) == 1 &&
        BN_sub_word(power.get(), 1) == 1
    );
    return static_cast<std::size_t>(BN_num_bytes(power.get()));
}

Uint128 power_of(int radix, std::size_t count) {
    Uint128 out = 1;
    for (std::size_t i = 0; i < count; ++i) out *= static_cast<unsigned>(radix);
    return out;
}

Uint128 number_of(int radix, std::span<const std::uint8_t> numerals) {
    Uint128 out = 0;
    for (const std::uint8_t one : numerals) out = out * static_cast<unsigned>(radix) + one;
    return out;
}

void numerals_of(int radix, Uint128 number, std::span<std::uint8_t> out) {
    if (number >> 64 == 0) {
        auto small = static_cast<std::uint64_t>(number);
        for (std::size_t i = out.size(); i-- > 0; small /= static_cast<unsigned>(radix))
            out[i] = static_cast<std::uint8_t>(small % static_cast<unsigned>(radix));
        return;
    }
    for (std::size_t i = out.size(); i-- > 0; number /= static_cast<unsigned>(radix))
        out[i] = static_cast<std::uint8_t>(number % static_cast<unsigned>(radix));
}

Uint128 first_bytes(const std::uint8_t* bytes, std::size_t count) {
    Uint128 out = 0;
    for (std::size_t i = 0; i < count; ++i) out = (out << 8) | bytes[i];
    return out;
}

Uint128 reduced(Uint128 value, Uint128 modulus) {
    if (value >> 64 == 0 && modulus >> 64 == 0)
        return static_cast<std::uint64_t>(value) % static_cast<std::uint64_t>(modulus);
    return value % modulus;
}

}  // namespace

/// What one thread works with.
struct Ff1::Lane {
    /// What a length of numerals asks for.
    struct Shape {
        std::size_t u{};
        std::size_t v{};
        std::size_t b{};
        std::size_t d{};
        Uint128 modulus_u{};  // of short ones
        Uint128 modulus_v{};
    };
    struct Work {
        const Shape* shape{};
        Uint128 a{};
        Uint128 b{};
        Block base{};  // the chained state before the last block, with what is constant in that
    };
    int radix{};
    Cipher ecb;
    std::map<std::size_t, Shape> shapes;
    std::map<std::pair<std::size_t, std::size_t>, Block> starts;  // P, encrypted, by n and t
    std::vector<Work> works;
    std::vector<std::uint8_t> in;
    std::vector<std::uint8_t> out;

    void encrypt(const std::uint8_t* from, std::uint8_t* to, std::size_t bytes) const {
        int done = 0;
        must(EVP_EncryptUpdate(ecb.get(), to, &done, from, static_cast<int>(bytes)) == 1);
    }
    const Shape& shape_of(std::size_t n) {
        if (const auto known = shapes.find(n); known != shapes.end()) return known->second;
        Shape shape;
        shape.u = n / 2;
        shape.v = n - shape.u;
        shape.b = number_bytes(radix, shape.v);
        shape.d = 4 * ((shape.b + 3) / 4) + 4;
        if (shape.b <= short_bytes) {
            shape.modulus_u = power_of(radix, shape.u);
            shape.modulus_v = power_of(radix, shape.v);
        }
        return shapes.emplace(n, shape).first->second;
    }
    const Block& start_of(std::size_t n, std::size_t t) {
        if (const auto known = starts.find({n, t}); known != starts.end()) return known->second;
        const auto byte = [](std::size_t value, int place) {
            return static_cast<std::uint8_t>(value >> (8 * place));
        };
        const auto r = static_cast<std::size_t>(radix);
        const Block p{
            1,
            2,
            1,
            byte(r, 2),
            byte(r, 1),
            byte(r, 0),
            10,
            byte(n / 2, 0),
            byte(n, 3),
            byte(n, 2),
            byte(n, 1),
            byte(n, 0),
            byte(t, 3),
            byte(t, 2),
            byte(t, 1),
            byte(t, 0)
        };
        Block encrypted{};
        encrypt(p.data(), encrypted.data(), encrypted.size());
        return starts.emplace(std::pair{n, t}, encrypted).first->second;
    }
    /// The state over P and every block of Q but its last, and what is constant in the last.
    Block base_of(const Item& item, const Shape& shape) {
        const std::size_t t = item.tweak.size();
        Block state = start_of(item.numerals.size(), t);
        const std::size_t whole = (t + shape.b + 1 + 15) / 16 * 16;
        const std::size_t constant = whole - shape.b - 1;  // the tweak and zeros
        for (std::size_t at = 0; at < constant; ++at) {
            if (at > 0 && at % 16 == 0) encrypt(state.data(), state.data(), state.size());
            if (at < t)
                state[at % 16] = static_cast<std::uint8_t>(
                    state[at % 16] ^ static_cast<unsigned char>(item.tweak[at])
                );
        }
        return state;
    }

    void run_short(std::span<Item> items, Way way);
    void run_long(Item& item, Way way);
    void round(int number, Way way);
};

void Ff1::Lane::round(int number, Way way) {
    for (std::size_t i = 0; i < works.size(); ++i) {
        const Work& work = works[i];
        const std::size_t b = work.shape->b;
        std::uint8_t* block = in.data() + i * 16;
        std::copy(work.base.begin(), work.base.end(), block);
        block[15 - b] = static_cast<std::uint8_t>(block[15 - b] ^ number);
        Uint128 seen = way == Way::encrypt ? work.b : work.a;
        for (std::size_t k = 0; k < b; ++k, seen >>= 8)
            block[15 - k] =
                static_cast<std::uint8_t>(block[15 - k] ^ static_cast<std::uint8_t>(seen));
    }
    encrypt(in.data(), out.data(), works.size() * 16);
    for (std::size_t i = 0; i < works.size(); ++i) {
        Work& work = works[i];
        const Uint128 modulus = number % 2 == 0 ? work.shape->modulus_u : work.shape->modulus_v;
        // Reduced before it is added: the sum of two numbers below the modulus does not overflow.
        const Uint128 y = reduced(first_bytes(out.data() + i * 16, work.shape->d), modulus);
        if (way == Way::encrypt) {
            Uint128 c = work.a + y;
            if (c >= modulus) c -= modulus;
            work.a = work.b;
            work.b = c;
        } else {
            const Uint128 c = work.b >= y ? work.b - y : work.b + modulus - y;
            work.b = work.a;
            work.a = c;
        }
    }
}

void Ff1::Lane::run_short(std::span<Item> items, Way way) {
    works.resize(items.size());
    in.resize(items.size() * 16);
    out.resize(items.size() * 16);
    for (std::size_t i = 0; i < items.size(); ++i) {
        const Shape& shape = shape_of(items[i].numerals.size());
        works[i] = {
            &shape,
            number_of(radix, items[i].numerals.first(shape.u)),
            number_of(radix, items[i].numerals.subspan(shape.u)),
            base_of(items[i], shape)
        };
    }
    for (int i = 0; i < rounds; ++i) round(way == Way::encrypt ? i : rounds - 1 - i, way);
    for (std::size_t i = 0; i < items.size(); ++i) {
        const Shape& shape = *works[i].shape;
        numerals_of(radix, works[i].a, items[i].numerals.first(shape.u));
        numerals_of(radix, works[i].b, items[i].numerals.subspan(shape.u));
    }
}

namespace {

/// The same with numbers of any size, one value at a time.
class LongNumbers {
public:
    explicit LongNumbers(int radix) : radix_(static_cast<BN_ULONG>(radix)) {}

    Number from(std::span<const std::uint8_t> numerals) const {
        Number out(BN_new());
        must(BN_set_word(out.get(), 0) == 1);
        for (const std::uint8_t one : numerals)
            must(BN_mul_word(out.get(), radix_) == 1 && BN_add_word(out.get(), one) == 1);
        return out;
    }
    void to(const Number& number, std::span<std::uint8_t> out) const {
        for (std::size_t i = out.size(); i-- > 0;)
            out[i] = static_cast<std::uint8_t>(BN_div_word(number.get(), radix_));
    }
    Number power(std::size_t count) const {
        Number out(BN_new());
        must(BN_set_word(out.get(), 1) == 1);
        for (std::size_t i = 0; i < count; ++i) must(BN_mul_word(out.get(), radix_) == 1);
        return out;
    }

private:
    BN_ULONG radix_;
};

}  // namespace

void Ff1::Lane::run_long(Item& item, Way way) {
    const Shape& shape = shape_of(item.numerals.size());
    const LongNumbers numbers(radix);
    const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), &BN_CTX_free);
    Number a = numbers.from(item.numerals.first(shape.u));
    Number b = numbers.from(item.numerals.subspan(shape.u));
    const Number modulus_u = numbers.power(shape.u);
    const Number modulus_v = numbers.power(shape.v);
    const std::size_t t = item.tweak.size();
    const std::size_t whole = (t + shape.b + 1 + 15) / 16 * 16;
    for (int i = 0; i < rounds; ++i) {
        const int number = way == Way::encrypt ? i : rounds - 1 - i;
        std::vector<std::uint8_t> q(whole, 0);
        std::copy(item.tweak.begin(), item.tweak.end(), q.begin());
        q[whole - shape.b - 1] = static_cast<std::uint8_t>(number);
        must(
            BN_bn2binpad(
                (way == Way::encrypt ? b : a).get(),
                q.data() + whole - shape.b,
                static_cast<int>(shape.b)
            ) >= 0
        );
        Block r = start_of(item.numerals.size(), t);
        for (std::size_t at = 0; at < whole; at += 16) {
            for (std::size_t k = 0; k < 16; ++k) r[k] = static_cast<std::uint8_t>(r[k] ^ q[at + k]);
            encrypt(r.data(), r.data(), r.size());
        }
        std::vector<std::uint8_t> s(r.begin(), r.end());
        for (std::uint8_t j = 1; s.size() < shape.d; ++j) {
            Block next = r;
            next[15] = static_cast<std::uint8_t>(next[15] ^ j);
            encrypt(next.data(), next.data(), next.size());
            s.insert(s.end(), next.begin(), next.end());
        }
        const Number y(BN_bin2bn(s.data(), static_cast<int>(shape.d), nullptr));
        const Number& modulus = number % 2 == 0 ? modulus_u : modulus_v;
        Number c(BN_new());
        if (way == Way::encrypt) {
            must(BN_mod_add(c.get(), a.get(), y.get(), modulus.get(), context.get()) == 1);
            a = std::move(b);
            b = std::move(c);
        } else {
            must(BN_mod_sub(c.get(), b.get(), y.get(), modulus.get(), context.get()) == 1);
            b = std::move(a);
            a = std::move(c);
        }
    }
    numbers.to(a, item.numerals.first(shape.u));
    numbers.to(b, item.numerals.subspan(shape.u));
}

/// Lanes that no thread holds.
struct Ff1::Pool {
    int radix{};
    const EVP_CIPHER* cipher{};
    Secret key;
    std::mutex mutex;  // guards free
    std::vector<std::unique_ptr<Lane>> free;

    std::unique_ptr<Lane> take() {
        {
            const std::lock_guard lock(mutex);
            if (!free.empty()) {
                auto lane = std::move(free.back());
                free.pop_back();
                return lane;
            }
        }
        auto lane = std::make_unique<Lane>();
        lane->radix = radix;
        lane->ecb.reset(EVP_CIPHER_CTX_new());
        const auto* bytes = reinterpret_cast<const unsigned char*>(key.reveal().data());
        must(
            EVP_EncryptInit_ex(lane->ecb.get(), cipher, nullptr, bytes, nullptr) == 1 &&
            EVP_CIPHER_CTX_set_padding(lane->ecb.get(), 0) == 1
        );
        return lane;
    }
    void give(std::unique_ptr<Lane> lane) {
        const std::lock_guard lock(mutex);
        free.push_back(std::move(lane));
    }
};

Ff1::Ff1(const Secret& key, int radix) : radix_(radix), pool_(std::make_unique<Pool>()) {
    const std::size_t size = key.reveal().size();
    if (size != 16 && size != 24 && size != 32)
        throw Error(ErrorCode::invalid, "a key of FF1 has 128, 192 or 256 bits");
    if (radix < 2 || radix > 256)
        throw Error(ErrorCode::invalid, "an alphabet of FF1 has 2 to 256 characters");
    pool_->radix = radix;
    pool_->key = key;
    pool_->cipher = size == 16   ? EVP_aes_128_ecb()
                    : size == 24 ? EVP_aes_192_ecb()
                                 : EVP_aes_256_ecb();
}

Ff1::~Ff1() = default;

void Ff1::run(std::span<Item> items, Way way) const {
    auto lane = pool_->take();
    std::vector<Item> few;  // without the long ones
    few.reserve(items.size());
    for (Item& item : items) {
        SLUICE_CHECK(item.numerals.size() >= 2);
        if (lane->shape_of(item.numerals.size()).b > short_bytes)
            lane->run_long(item, way);
        else
            few.push_back(item);
    }
    lane->run_short(few, way);
    pool_->give(std::move(lane));
}

bool Ff1::large_enough(int radix, std::size_t count) {
    std::uint64_t size = 1;
    for (std::size_t i = 0; i < count && size < 1'000'000; ++i)
        size *= static_cast<unsigned>(radix);
    return count >= 2 && size >= 1'000'000;
}

}  // namespace sluice::privacy
