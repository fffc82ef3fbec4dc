// crypto.hpp — the keyed and plain digests of masking, on OpenSSL. All are pure functions of their
// arguments and may be called from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace sluice::mask {

using Digest = std::array<std::uint8_t, 32>;

/// The 32 bytes of a master secret: 64 hex digits, or 32 bytes as they are. Throws Error(invalid).
Secret master_key(const Secret& text);

/// HKDF-SHA256(master, salt "sluice/mask/v1", info "method|domain|kN").
Secret derive_key(const Secret& master, std::string_view info);

/// HMAC-SHA256 under one key; the two pads are hashed once, not per value.
class Hmac {
public:
    explicit Hmac(const Secret& key);
    ~Hmac();
    Hmac(const Hmac&) = delete;
    Hmac& operator=(const Hmac&) = delete;
    [[nodiscard]] Digest operator()(std::string_view value) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// SHA-256 or MD5 over salt and value, in lower hex.
enum class Plain : std::uint8_t { sha256, md5 };
std::string plain_hex(Plain method, std::string_view salt, std::string_view value);

/// RFC 4648 without padding; base 32 in upper case.
std::string base64url(std::string_view bytes);
std::string base32(std::string_view bytes);

}  // namespace sluice::mask
