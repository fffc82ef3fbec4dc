// ff1_text.hpp — FF1 on text as people write it: characters outside the alphabet stay in place, the
// first and last ones kept become the tweak, and the check digit of a card number is broken or kept
// right. What is masked can be unmasked, in both cases. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "operators/policy/policy.hpp"
#include "operators/privacy/ff1.hpp"

namespace sluice::privacy {

class Ff1Text {
public:
    /// `domain` is the class that decides `luhn` where the rule does not: card numbers are broken.
    Ff1Text(const policy::Rule& rule, const Secret& key, const std::string& domain);

    struct Value {
        std::string* text;  // changed in place
        std::size_t row;
        bool refused{false};  // too few characters: fewer than a million possibilities
    };
    void run(std::span<Value> values, Ff1::Way way) const;

private:
    enum class Luhn { none, break_, repair };
    struct Place;
    bool find(const std::string& text, Place& place, std::vector<std::uint8_t>& numerals) const;
    void settle_check(Place& place, std::uint8_t* numerals) const;
    void write(const Place& place, const std::uint8_t* numerals, std::string& text) const;

    const policy::Rule rule_;
    const Ff1 cipher_;
    Luhn luhn_;
    std::array<std::int16_t, 256> numeral_of_{};
};

}  // namespace sluice::privacy
