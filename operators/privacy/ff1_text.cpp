#include "operators/privacy/ff1_text.hpp"

#include <algorithm>

namespace sluice::privacy {

namespace {

/// What a digit adds to Luhn's sum, `place` counted from the right.
int luhn_part(int digit, std::size_t place) {
    if (place % 2 == 0) return digit;
    return digit < 5 ? 2 * digit : 2 * digit - 9;
}

/// The digit that makes the number valid, in the place `at`.
int valid_digit(std::span<const std::uint8_t> digits, std::size_t at) {
    int sum = 0;
    for (std::size_t i = 0; i < digits.size(); ++i)
        if (i != at) sum += luhn_part(digits[i], digits.size() - 1 - i);
    const int wanted = (10 - sum % 10) % 10;
    for (int digit = 0; digit < 10; ++digit)
        if (luhn_part(digit, digits.size() - 1 - at) == wanted) return digit;
    return 0;
}

}  // namespace

/// Where the numerals of one text lie.
struct Ff1Text::Place {
    std::size_t begin{};  // in the numerals of the batch: all of the text's
    std::size_t count{};
    std::size_t first{};  // of the encrypted ones
    std::size_t length{};
    std::string tweak{};
    int off{};  // how far the check digit is from the valid one
};

Ff1Text::Ff1Text(const policy::Rule& rule, const Secret& key, const std::string& domain)
    : rule_(rule), cipher_(key, static_cast<int>(rule.alphabet.size())), luhn_(Luhn::none) {
    const bool digits = rule.alphabet == "0123456789";
    if (rule.luhn == "repair") luhn_ = Luhn::repair;
    if (rule.luhn == "break" || (rule.luhn.empty() && digits && domain == "card"))
        luhn_ = Luhn::break_;
    numeral_of_.fill(-1);
    for (std::size_t i = 0; i < rule.alphabet.size(); ++i) {
        const auto c = static_cast<unsigned char>(rule.alphabet[i]);
        numeral_of_[c] = static_cast<std::int16_t>(i);
        if (rule.fold_case && c >= 'a' && c <= 'z')
            numeral_of_[c - 'a' + 'A'] = static_cast<std::int16_t>(i);
    }
}

bool Ff1Text::find(const std::string& text, Place& place, std::vector<std::uint8_t>& numerals)
    const {
    place.begin = numerals.size();
    for (const char c : text)
        if (const int found = numeral_of_[static_cast<unsigned char>(c)]; found >= 0)
            numerals.push_back(static_cast<std::uint8_t>(found));
    place.count = numerals.size() - place.begin;
    const auto kept_first = static_cast<std::size_t>(rule_.keep_first);
    const auto kept_last = static_cast<std::size_t>(rule_.keep_last);
    const std::size_t check = luhn_ == Luhn::none ? 0 : 1;
    if (place.count < kept_first + kept_last + check + 2) return false;
    place.first = kept_first;
    place.length = place.count - kept_first - kept_last - check;
    if (!Ff1::large_enough(static_cast<int>(rule_.alphabet.size()), place.length)) return false;
    if (rule_.tweak) {
        place.tweak = *rule_.tweak;
        return true;
    }
    const auto add = [&](std::size_t from, std::size_t count) {
        for (std::size_t i = from; i < from + count; ++i)
            place.tweak += rule_.alphabet[numerals[place.begin + i]];
    };
    add(0, kept_first);
    add(place.count - kept_last, kept_last);
    return true;
}

/// The digit behind the encrypted ones is given by the others and by `off`. A valid number (0) must
/// not come out valid: 0 and 1 change places, both ways, so that nothing is lost.
void Ff1Text::settle_check(Place& place, std::uint8_t* numerals) const {
    const std::span<std::uint8_t> all(numerals + place.begin, place.count);
    const std::size_t at = place.first + place.length;
    int off = place.off;
    if (luhn_ == Luhn::break_ && off < 2) off = 1 - off;
    all[at] = static_cast<std::uint8_t>((valid_digit(all, at) + off) % 10);
}

void Ff1Text::write(const Place& place, const std::uint8_t* numerals, std::string& text) const {
    std::size_t next = place.begin;
    for (char& c : text)
        if (numeral_of_[static_cast<unsigned char>(c)] >= 0) c = rule_.alphabet[numerals[next++]];
}

void Ff1Text::run(std::span<Value> values, Ff1::Way way) const {
    std::vector<std::uint8_t> numerals;
    std::vector<Place> places(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i].refused = !find(*values[i].text, places[i], numerals);
        if (values[i].refused || luhn_ == Luhn::none) continue;
        const std::span<const std::uint8_t> all(numerals.data() + places[i].begin, places[i].count);
        const std::size_t at = places[i].first + places[i].length;
        places[i].off = (all[at] - valid_digit(all, at) + 10) % 10;
    }
    std::vector<Ff1::Item> items;
    items.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!values[i].refused)
            items.push_back(
                {{numerals.data() + places[i].begin + places[i].first, places[i].length},
                 places[i].tweak}
            );
    cipher_.run(items, way);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i].refused) continue;
        if (luhn_ != Luhn::none) settle_check(places[i], numerals.data());
        write(places[i], numerals.data(), *values[i].text);
    }
}

}  // namespace sluice::privacy
