#include "base/hash.hpp"

#include <openssl/evp.h>

#include "base/check.hpp"
#include "base/hex.hpp"

namespace sluice {
namespace {

template <std::size_t size>
std::array<std::uint8_t, size> digest(const EVP_MD* method, std::string_view bytes) {
    std::array<std::uint8_t, size> out{};
    unsigned written = 0;
    const int ok = EVP_Digest(bytes.data(), bytes.size(), out.data(), &written, method, nullptr);
    SLUICE_CHECK(ok == 1);
    SLUICE_CHECK(written == size);
    return out;
}

template <std::size_t size>
std::string hex_of(const std::array<std::uint8_t, size>& bytes) {
    return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

std::array<std::uint8_t, 32> sha256(std::string_view bytes) {
    // Fetched once: a look-up by name at every call costs more than the digest of a short string.
    static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return digest<32>(method, bytes);
}

std::array<std::uint8_t, 20> sha1(std::string_view bytes) {
    static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA1", nullptr);
    return digest<20>(method, bytes);
}

std::string to_hex(std::string_view bytes) {
    std::string out(bytes.size() * 2, '\0');
    hex_into(out.data(), bytes);
    return out;
}

std::string sha256_hex(std::string_view bytes) { return hex_of(sha256(bytes)); }

std::string uuid_of(std::string_view name) {
    auto hash = sha256(name);
    hash[6] = static_cast<std::uint8_t>((hash[6] & 0x0FU) | 0x80U);
    hash[8] = static_cast<std::uint8_t>((hash[8] & 0x3FU) | 0x80U);
    const std::string hex = hex_of(hash);
    return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' +
           hex.substr(16, 4) + '-' + hex.substr(20, 12);
}

}  // namespace sluice
