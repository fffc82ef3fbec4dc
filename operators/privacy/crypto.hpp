// crypto.hpp — the digests and ciphers of masking, on OpenSSL EVP; HMAC of many values at a time on
// sha256_batch.hpp. All but `random_bytes` are pure functions of their arguments; everything may be
// called from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/secret.hpp"
#include "base/sha256_batch.hpp"

namespace sluice::privacy {

using Digest = Sha256Digest;

/// The 32 bytes of a master secret: 64 hex digits, or 32 bytes as they are. Throws Error(invalid).
Secret master_key(const Secret& text);

/// HKDF-SHA256(master, salt "sluice/mask/v1", info "method|domain|kN").
Secret derive_key(const Secret& master, std::string_view info, std::size_t bytes = 32);
/// A key written as hex; throws Error(invalid) naming `what`, never the text.
Secret hex_key(const Secret& text, std::string_view what);

/// HMAC-SHA256 under one key; the two pads are hashed once, not per value.
class Hmac {
public:
    explicit Hmac(const Secret& key);
    [[nodiscard]] Digest operator()(std::string_view value) const;
    /// Of many values at a time: several times as fast.
    void batch(std::span<const std::string_view> values, std::span<Digest> digests) const;

private:
    Sha256Hmac key_;
};

/// AES-256-SIV (RFC 5297), deterministic; `domain` is its associated data. The empty text, whose
/// length would tell it anyway, stays empty.
class Siv {
public:
    /// `key` has 64 bytes.
    Siv(const Secret& key, std::string domain);
    ~Siv();
    Siv(const Siv&) = delete;
    Siv& operator=(const Siv&) = delete;
    /// The 16 bytes of the synthetic IV, then the ciphertext.
    [[nodiscard]] std::string seal(std::string_view value) const;
    /// None if it was not sealed with this key and domain.
    [[nodiscard]] std::optional<std::string> open(std::string_view sealed) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// AES-256-GCM with a random nonce of 96 bits: nonce, ciphertext, tag.
std::string gcm_seal(const Secret& key, std::string_view value, std::string_view associated);
std::optional<std::string> gcm_open(
    const Secret& key, std::string_view sealed, std::string_view associated
);

std::string random_bytes(std::size_t count);

/// SHA-256 or MD5 over salt and value, in lower hex.
enum class Plain : std::uint8_t { sha256, md5 };
std::string plain_hex(Plain method, std::string_view salt, std::string_view value);

/// RFC 4648 without padding; base 32 in upper case.
std::string base64url(std::string_view bytes);
std::string base32(std::string_view bytes);
/// Crockford's alphabet, in lower case: 16 bytes are 26 characters.
std::string crockford(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace sluice::privacy
