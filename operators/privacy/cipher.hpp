// cipher.hpp — the handle of an OpenSSL cipher context.
#pragma once

#include <memory>

#include <openssl/evp.h>

namespace sluice::privacy {

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

}  // namespace sluice::privacy
