#include "operators/privacy/crypto.hpp"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/privacy/cipher.hpp"

namespace sluice::privacy {

namespace {

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Context new_context() { return {EVP_MD_CTX_new(), &EVP_MD_CTX_free}; }

constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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

Secret hex_key(const Secret& text, std::string_view what) {
    const std::string& value = text.reveal();
    if (value.empty() || value.size() % 2 != 0 ||
        !std::ranges::all_of(value, [](char c) { return hex_digit(c) >= 0; }))
        throw Error(ErrorCode::invalid, std::string(what) + " must be hex digits");
    std::string bytes;
    for (std::size_t i = 0; i < value.size(); i += 2)
        bytes += static_cast<char>(hex_digit(value[i]) * 16 + hex_digit(value[i + 1]));
    return Secret(std::move(bytes));
}

Secret master_key(const Secret& text) {
    if (text.reveal().size() == 32) return text;
    if (text.reveal().size() == 64) return hex_key(text, "the master key of masking");
    throw Error(ErrorCode::invalid, "the master key of masking must be 64 hex digits (256 bits)");
}

Secret derive_key(const Secret& master, std::string_view info, std::size_t bytes) {
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
    std::string out(bytes, '\0');
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

Hmac::Hmac(const Secret& key) : key_(key.reveal()) {}

Digest Hmac::operator()(std::string_view value) const {
    Digest out{};
    key_.batch({&value, 1}, {&out, 1});
    return out;
}

void Hmac::batch(std::span<const std::string_view> values, std::span<Digest> digests) const {
    key_.batch(values, digests);
}

namespace {

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
int size_of(std::string_view text) { return static_cast<int>(text.size()); }

constexpr std::size_t tag_bytes = 16;
constexpr std::size_t nonce_bytes = 12;

}  // namespace

struct Siv::State {
    Cipher sealer{EVP_CIPHER_CTX_new()};
    Cipher opener{EVP_CIPHER_CTX_new()};
    std::string domain;
};

Siv::Siv(const Secret& key, std::string domain) : state_(std::make_unique<State>()) {
    SLUICE_CHECK(key.reveal().size() == 64);
    state_->domain = std::move(domain);
    const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> cipher{
        EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr), &EVP_CIPHER_free
    };
    const unsigned char* bytes = bytes_of(key.reveal());
    if (!cipher ||
        EVP_EncryptInit_ex(state_->sealer.get(), cipher.get(), nullptr, bytes, nullptr) != 1 ||
        EVP_DecryptInit_ex(state_->opener.get(), cipher.get(), nullptr, bytes, nullptr) != 1)
        throw Error(ErrorCode::unavailable, "this OpenSSL has no AES-256-SIV");
}

Siv::~Siv() = default;

std::string Siv::seal(std::string_view value) const {
    if (value.empty()) return {};
    thread_local const Cipher work{EVP_CIPHER_CTX_new()};
    std::string out(tag_bytes + value.size(), '\0');
    int size = 0;
    const std::string& domain = state_->domain;
    EVP_CIPHER_CTX* const one = work.get();
    const bool done =
        EVP_CIPHER_CTX_copy(one, state_->sealer.get()) == 1 &&
        EVP_EncryptUpdate(one, nullptr, &size, bytes_of(domain), size_of(domain)) == 1 &&
        EVP_EncryptUpdate(one, bytes_of(out) + tag_bytes, &size, bytes_of(value), size_of(value)) ==
            1 &&
        EVP_CIPHER_CTX_ctrl(one, EVP_CTRL_AEAD_GET_TAG, tag_bytes, out.data()) == 1;
    if (!done) throw Error(ErrorCode::internal, "AES-SIV failed");
    return out;
}

std::optional<std::string> Siv::open(std::string_view sealed) const {
    if (sealed.empty()) return std::string();
    if (sealed.size() <= tag_bytes) return std::nullopt;
    const Cipher work{EVP_CIPHER_CTX_new()};
    std::string tag(sealed.substr(0, tag_bytes));
    const std::string_view body = sealed.substr(tag_bytes);
    std::string out(body.size(), '\0');
    int size = 0;
    const std::string& domain = state_->domain;
    EVP_CIPHER_CTX* const one = work.get();
    const bool done =
        EVP_CIPHER_CTX_copy(one, state_->opener.get()) == 1 &&
        EVP_CIPHER_CTX_ctrl(one, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1 &&
        EVP_DecryptUpdate(one, nullptr, &size, bytes_of(domain), size_of(domain)) == 1 &&
        EVP_DecryptUpdate(one, bytes_of(out), &size, bytes_of(body), size_of(body)) == 1;
    if (!done) return std::nullopt;
    return out;
}

std::string random_bytes(std::size_t count) {
    std::string out(count, '\0');
    if (RAND_bytes(bytes_of(out), size_of(out)) != 1)
        throw Error(ErrorCode::internal, "there are no random bytes");
    return out;
}

std::string gcm_seal(const Secret& key, std::string_view value, std::string_view associated) {
    SLUICE_CHECK(key.reveal().size() == 32);
    const std::string nonce = random_bytes(nonce_bytes);
    std::string body(value.size(), '\0');
    std::string tag(tag_bytes, '\0');
    const Cipher one{EVP_CIPHER_CTX_new()};
    int size = 0;
    const bool done =
        EVP_EncryptInit_ex(
            one.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key.reveal()), bytes_of(nonce)
        ) == 1 &&
        EVP_EncryptUpdate(one.get(), nullptr, &size, bytes_of(associated), size_of(associated)) ==
            1 &&
        EVP_EncryptUpdate(one.get(), bytes_of(body), &size, bytes_of(value), size_of(value)) == 1 &&
        EVP_EncryptFinal_ex(one.get(), nullptr, &size) == 1 &&
        EVP_CIPHER_CTX_ctrl(one.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag.data()) == 1;
    if (!done) throw Error(ErrorCode::internal, "AES-GCM failed");
    return nonce + body + tag;
}

std::optional<std::string> gcm_open(
    const Secret& key, std::string_view sealed, std::string_view associated
) {
    if (key.reveal().size() != 32 || sealed.size() < nonce_bytes + tag_bytes) return std::nullopt;
    const std::string_view nonce = sealed.substr(0, nonce_bytes);
    const std::string_view body =
        sealed.substr(nonce_bytes, sealed.size() - nonce_bytes - tag_bytes);
    std::string tag(sealed.substr(sealed.size() - tag_bytes));
    std::string out(body.size(), '\0');
    const Cipher one{EVP_CIPHER_CTX_new()};
    int size = 0;
    const bool done =
        EVP_DecryptInit_ex(
            one.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key.reveal()), bytes_of(nonce)
        ) == 1 &&
        EVP_DecryptUpdate(one.get(), nullptr, &size, bytes_of(associated), size_of(associated)) ==
            1 &&
        EVP_DecryptUpdate(one.get(), bytes_of(out), &size, bytes_of(body), size_of(body)) == 1 &&
        EVP_CIPHER_CTX_ctrl(one.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(one.get(), nullptr, &size) == 1;
    if (!done) return std::nullopt;
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

std::string base64url(std::string_view bytes) { return in_groups(bytes, 6, base64url_alphabet); }

std::string base32(std::string_view bytes) {
    return in_groups(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
}

std::string crockford(std::string_view bytes) {
    return in_groups(bytes, 5, "0123456789abcdefghjkmnpqrstvwxyz");
}

std::optional<std::string> from_base64url(std::string_view text) {
    std::string out;
    std::uint32_t held = 0;
    int have = 0;
    for (const char c : text) {
        const std::size_t at = base64url_alphabet.find(c);
        if (at == std::string_view::npos) return std::nullopt;
        held = ((held << 6) | static_cast<std::uint32_t>(at)) & 0xFFFF;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out += static_cast<char>((held >> have) & 0xFF);
    }
    return out;
}

}  // namespace sluice::privacy
