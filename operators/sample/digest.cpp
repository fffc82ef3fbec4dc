#include "operators/sample/digest.hpp"

#include <array>

#include <openssl/evp.h>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace sluice::sample {

struct Digest::State {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
        EVP_MD_CTX_new(), &EVP_MD_CTX_free
    };
};

Digest::Digest() : state_(std::make_unique<State>()) {
    SLUICE_CHECK(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}

Digest::~Digest() = default;

void Digest::add(std::string_view bytes) {
    SLUICE_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string Digest::hex() {
    std::array<unsigned char, 32> bytes{};
    unsigned int size = 0;
    SLUICE_CHECK(EVP_DigestFinal_ex(state_->context.get(), bytes.data(), &size) == 1);
    return to_hex({reinterpret_cast<const char*>(bytes.data()), size});
}

}  // namespace sluice::sample
