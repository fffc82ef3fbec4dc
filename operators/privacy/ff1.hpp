// ff1.hpp — format-preserving encryption: FF1 of NIST SP 800-38G over AES (OpenSSL EVP). The round
// keys are scheduled once; the values of a batch go through the rounds side by side, so that each
// round is one call of the cipher. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/secret.hpp"

namespace sluice::privacy {

class Ff1 {
public:
    /// `key` has 16, 24 or 32 bytes, `radix` is 2 to 256. Throws Error(invalid).
    Ff1(const Secret& key, int radix);
    ~Ff1();
    Ff1(const Ff1&) = delete;
    Ff1& operator=(const Ff1&) = delete;

    struct Item {
        std::span<std::uint8_t> numerals;  // at least 2, each below the radix; changed in place
        std::string_view tweak;
    };
    enum class Way { encrypt, decrypt };
    void run(std::span<Item> items, Way way) const;

    /// radix^count >= 10^6: less is no encryption, for all values can be tried.
    static bool large_enough(int radix, std::size_t count);

private:
    struct Lane;
    struct Pool;
    int radix_;
    std::unique_ptr<Pool> pool_;
};

}  // namespace sluice::privacy
