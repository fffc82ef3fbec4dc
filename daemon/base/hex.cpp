#include "base/hex.hpp"

#include <array>
#include <cstddef>
#include <cstring>

namespace sluice {

void hex_into(char* out, std::string_view bytes) {
    static constexpr auto pairs = [] {
        constexpr std::string_view digits = "0123456789abcdef";
        std::array<char, 512> all{};
        for (std::size_t i = 0; i < 256; ++i) {
            all[2 * i] = digits[i >> 4];
            all[2 * i + 1] = digits[i & 0xF];
        }
        return all;
    }();
    for (const char c : bytes) {
        std::memcpy(out, pairs.data() + std::size_t{2} * static_cast<unsigned char>(c), 2);
        out += 2;
    }
}

}  // namespace sluice
