// hash.hpp — SHA-256 and SHA-1 of bytes, and hex.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

std::array<std::uint8_t, 32> sha256(std::string_view bytes);
/// 64 lower hex digits.
std::string sha256_hex(std::string_view bytes);
std::array<std::uint8_t, 20> sha1(std::string_view bytes);
std::string to_hex(std::string_view bytes);
/// A version 8 UUID whose bits are those of sha256(name): the same name, the same id.
std::string uuid_of(std::string_view name);

}  // namespace sluice
