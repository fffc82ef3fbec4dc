#include "operators/mask/crypto.hpp"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice::mask {

namespace {

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Context new_context() { return {EVP_MD_CTX_new(), &EVP_MD_CTX_free}; }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// OSSL_PARAM points at bytes that it does not change, yet takes them as not const.
OSSL_PARAM octets(const char* name, std::string& bytes) {
    return OSSL_PARAM_construct_octet_string(name, bytes.data(), bytes.size());
}

std::string in_groups(std::string_view bytes, int bits, std::string_view alphabet) {
    std::string out;
    std::uint32_t held = 0;
    int have = 0;
    for (const char c : bytes) {
        held = (held << 8) | static_cast<unsigned char>(c);
        for (have += 8; have >= bits; have -= bits)
            out += alphabet[(held >> (have - bits)) & ((1U << bits) - 1)];
        held &= (1U << have) - 1;
    }
    if (have > 0) out += alphabet[(held << (bits - have)) & ((1U << bits) - 1)];
    return out;
}

}  // namespace

Secret master_key(const Secret& text) {
    const std::string& value = text.reveal();
    if (value.size() == 32) return text;
    if (value.size() == 64 &&
        std::ranges::all_of(value, [](char c) { return hex_digit(c) >= 0; })) {
        std::string bytes;
        for (std::size_t i = 0; i < 64; i += 2)
            bytes += static_cast<char>(hex_digit(value[i]) * 16 + hex_digit(value[i + 1]));
        return Secret(std::move(bytes));
    }
    throw Error(ErrorCode::invalid, "the master key of masking must be 64 hex digits (256 bits)");
}

Secret derive_key(const Secret& master, std::string_view info) {
    const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf{
        EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free
    };
    const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context{
        EVP_KDF_CTX_new(kdf.get()), &EVP_KDF_CTX_free
    };
    std::string digest = "SHA256";
    std::string key = master.reveal();
    std::string salt = "sluice/mask/v1";
    std::string purpose(info);
    const std::array<OSSL_PARAM, 5> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        octets(OSSL_KDF_PARAM_KEY, key),
        octets(OSSL_KDF_PARAM_SALT, salt),
        octets(OSSL_KDF_PARAM_INFO, purpose),
        OSSL_PARAM_construct_end(),
    };
    std::string out(32, '\0');
    SLUICE_CHECK(context != nullptr);
    if (EVP_KDF_derive(
            context.get(),
            reinterpret_cast<unsigned char*>(out.data()),
            out.size(),
            parameters.data()
        ) != 1)
        throw Error(ErrorCode::internal, "a masking key could not be derived");
    return Secret(std::move(out));
}

struct Hmac::State {
    Context inner = new_context();
    Context outer = new_context();
};

Hmac::Hmac(const Secret& key) : state_(std::make_unique<State>()) {
    SLUICE_CHECK(key.reveal().size() <= 64);
    std::array<unsigned char, 64> pad{};
    const auto begin = [&](const Context& context, unsigned char mask) {
        pad.fill(mask);
        for (std::size_t i = 0; i < key.reveal().size(); ++i)
            pad[i] =
                static_cast<unsigned char>(pad[i] ^ static_cast<unsigned char>(key.reveal()[i]));
        SLUICE_CHECK(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
        SLUICE_CHECK(EVP_DigestUpdate(context.get(), pad.data(), pad.size()) == 1);
    };
    begin(state_->inner, 0x36);
    begin(state_->outer, 0x5C);
}

Hmac::~Hmac() = default;

Digest Hmac::operator()(std::string_view value) const {
    thread_local const Context work = new_context();
    Digest out{};
    bool done = EVP_MD_CTX_copy_ex(work.get(), state_->inner.get()) == 1 &&
                EVP_DigestUpdate(work.get(), value.data(), value.size()) == 1 &&
                EVP_DigestFinal_ex(work.get(), out.data(), nullptr) == 1;
    done = done && EVP_MD_CTX_copy_ex(work.get(), state_->outer.get()) == 1 &&
           EVP_DigestUpdate(work.get(), out.data(), out.size()) == 1 &&
           EVP_DigestFinal_ex(work.get(), out.data(), nullptr) == 1;
    if (!done) throw Error(ErrorCode::internal, "HMAC failed");
    return out;
}

std::string plain_hex(Plain method, std::string_view salt, std::string_view value) {
    thread_local const Context work = new_context();
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned int size = 0;
    const EVP_MD* digest = method == Plain::sha256 ? EVP_sha256() : EVP_md5();
    const bool done = EVP_DigestInit_ex(work.get(), digest, nullptr) == 1 &&
                      EVP_DigestUpdate(work.get(), salt.data(), salt.size()) == 1 &&
                      EVP_DigestUpdate(work.get(), value.data(), value.size()) == 1 &&
                      EVP_DigestFinal_ex(work.get(), out.data(), &size) == 1;
    if (!done) throw Error(ErrorCode::internal, "the digest failed");
    return to_hex({reinterpret_cast<const char*>(out.data()), size});
}

std::string base64url(std::string_view bytes) {
    return in_groups(bytes, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

std::string base32(std::string_view bytes) {
    return in_groups(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
}

}  // namespace sluice::mask
