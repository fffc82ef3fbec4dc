#include "operators/privacy/national_ids.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace sluice::privacy {

namespace {

bool is_id_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'A' && c <= 'Z'; }

bool all_digits(std::string_view text, std::size_t count) {
    return text.size() == count && std::ranges::all_of(text, is_id_digit);
}

bool all_equal(std::string_view text) {
    return std::ranges::all_of(text, [&](char c) { return c == text.front(); });
}

/// Sum of digits times weights.
template <std::size_t n>
int weighted(std::string_view digits, const std::array<int, n>& weights) {
    int sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += (digits[i] - '0') * weights[i];
    return sum;
}

int mod_11_digit(int sum) {
    const int rest = sum % 11;
    return rest < 2 ? 0 : 11 - rest;
}

std::uint64_t id_number(std::string_view digits) {
    std::uint64_t out = 0;
    for (const char c : digits) out = out * 10 + static_cast<std::uint64_t>(c - '0');
    return out;
}

}  // namespace

bool is_us_ssn(std::string_view text, bool plain_too) {
    std::string digits;
    if (text.size() == 11 && text[3] == '-' && text[6] == '-') {
        digits = std::string(text.substr(0, 3)) + std::string(text.substr(4, 2)) +
                 std::string(text.substr(7));
    } else if (plain_too) {
        digits = text;
    }
    if (!all_digits(digits, 9)) return false;
    const std::string_view area = std::string_view(digits).substr(0, 3);
    return area != "000" && area != "666" && area[0] != '9' && digits.substr(3, 2) != "00" &&
           digits.substr(5) != "0000";
}

bool is_br_cpf(std::string_view digits) {
    if (!all_digits(digits, 11) || all_equal(digits)) return false;
    const std::array<int, 9> first{10, 9, 8, 7, 6, 5, 4, 3, 2};
    const std::array<int, 10> second{11, 10, 9, 8, 7, 6, 5, 4, 3, 2};
    return mod_11_digit(weighted(digits, first)) == digits[9] - '0' &&
           mod_11_digit(weighted(digits, second)) == digits[10] - '0';
}

bool is_br_cnpj(std::string_view digits) {
    if (!all_digits(digits, 14) || all_equal(digits)) return false;
    const std::array<int, 12> first{5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2};
    const std::array<int, 13> second{6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2};
    return mod_11_digit(weighted(digits, first)) == digits[12] - '0' &&
           mod_11_digit(weighted(digits, second)) == digits[13] - '0';
}

bool is_in_aadhaar(std::string_view digits) {
    // Verhoeff: the dihedral group of order 10, and a permutation by place.
    constexpr std::array<std::array<std::uint8_t, 10>, 10> product{{
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
        {1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
        {2, 3, 4, 0, 1, 7, 8, 9, 5, 6},
        {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
        {4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
        {5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
        {6, 5, 9, 8, 7, 1, 0, 4, 3, 2},
        {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
        {8, 7, 6, 5, 9, 3, 2, 1, 0, 4},
        {9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
    }};
    constexpr std::array<std::array<std::uint8_t, 10>, 8> permuted{{
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
        {1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
        {5, 8, 0, 3, 7, 9, 6, 1, 4, 2},
        {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
        {9, 4, 5, 3, 1, 2, 6, 8, 7, 0},
        {4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
        {2, 7, 9, 3, 8, 0, 6, 4, 1, 5},
        {7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
    }};
    if (!all_digits(digits, 12) || digits[0] < '2') return false;
    std::uint8_t check = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const auto digit = static_cast<std::size_t>(digits[digits.size() - 1 - i] - '0');
        check = product[check][permuted[i % 8][digit]];
    }
    return check == 0;
}

bool is_uk_nhs(std::string_view digits) {
    if (!all_digits(digits, 10) || all_equal(digits)) return false;
    const std::array<int, 9> weights{10, 9, 8, 7, 6, 5, 4, 3, 2};
    const int check = 11 - weighted(digits, weights) % 11;
    return check != 10 && check % 11 == digits[9] - '0';
}

bool is_uk_nino(std::string_view text) {
    if (text.size() != 9 || !is_letter(text[0]) || !is_letter(text[1])) return false;
    constexpr std::string_view never = "DFIQUV";
    const std::string_view prefix = text.substr(0, 2);
    for (const std::string_view bad : {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
        if (prefix == bad) return false;
    return never.find(text[0]) == std::string_view::npos &&
           never.find(text[1]) == std::string_view::npos && text[1] != 'O' &&
           std::ranges::all_of(text.substr(2, 6), is_id_digit) && text[8] >= 'A' && text[8] <= 'D';
}

bool is_es_nif(std::string_view text) {
    if (text.size() != 9) return false;
    std::string digits(text.substr(0, 8));
    if (digits[0] == 'X') digits[0] = '0';
    if (digits[0] == 'Y') digits[0] = '1';
    if (digits[0] == 'Z') digits[0] = '2';
    constexpr std::string_view letters = "TRWAGMYFPDXBNJZSQVHLCKE";
    return all_digits(digits, 8) && text[8] == letters[id_number(digits) % 23];
}

bool is_fr_nir(std::string_view text) {
    if (text.size() != 15 || (text[0] != '1' && text[0] != '2')) return false;
    std::string digits(text.substr(0, 13));
    // Corsica: 2A counts as 19, 2B as 18.
    if (digits[5] == '2' && digits[6] == 'A') digits.replace(5, 2, "19");
    if (digits[5] == '2' && digits[6] == 'B') digits.replace(5, 2, "18");
    if (!all_digits(digits, 13) || !all_digits(text.substr(13), 2)) return false;
    return id_number(text.substr(13)) == 97 - id_number(digits) % 97;
}

bool is_de_steuer_id(std::string_view digits) {
    if (!all_digits(digits, 11) || digits[0] == '0') return false;
    // Of the first ten digits one comes twice or three times, none more often.
    std::array<int, 10> seen{};
    for (std::size_t i = 0; i < 10; ++i) ++seen[static_cast<std::size_t>(digits[i] - '0')];
    const auto most = *std::ranges::max_element(seen);
    if (most < 2 || most > 3) return false;
    int product = 10;
    for (std::size_t i = 0; i < 10; ++i) {
        int sum = (digits[i] - '0' + product) % 10;
        if (sum == 0) sum = 10;
        product = sum * 2 % 11;
    }
    return (11 - product) % 10 == digits[10] - '0';
}

}  // namespace sluice::privacy
