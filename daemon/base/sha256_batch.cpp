#include "base/sha256_batch.hpp"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.hpp"
#include "base/hash.hpp"
#include "base/sha256_lanes.hpp"

namespace sluice {

namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

DigestContext new_digest_context() { return {EVP_MD_CTX_new(), &EVP_MD_CTX_free}; }

const EVP_MD* sha256_method() {
    // Fetched once: a look-up by name costs more than the digest of a short text.
    static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return method;
}

/// What a thread hashes one text after the other with.
EVP_MD_CTX* work_context() {
    thread_local const DigestContext work = new_digest_context();
    return work.get();
}

void update(EVP_MD_CTX* context, const void* bytes, std::size_t size) {
    SLUICE_CHECK(EVP_DigestUpdate(context, bytes, size) == 1);
}

void finish(EVP_MD_CTX* context, Sha256Digest& digest) {
    unsigned size = 0;
    SLUICE_CHECK(EVP_DigestFinal_ex(context, digest.data(), &size) == 1);
    SLUICE_CHECK(size == digest.size());
}

void hash_one(std::string_view text, Sha256Digest& digest) {
    EVP_MD_CTX* const work = work_context();
    SLUICE_CHECK(EVP_DigestInit_ex2(work, sha256_method(), nullptr) == 1);
    update(work, text.data(), text.size());
    finish(work, digest);
}

/// The lanes, if they are asked for and pay: all of them take as long as three texts by OpenSSL.
Sha256Lanes* lanes_for(std::size_t texts, Sha256Way way, Sha256Use use) {
    constexpr std::size_t least = 4;
    return way == Sha256Way::lanes && texts >= least ? Sha256Lanes::of_thread(use) : nullptr;
}

}  // namespace

std::string_view sha256_lanes_library() {
    return Sha256Lanes::of_thread(Sha256Use::hash) != nullptr ? "libipsec-mb" : "OpenSSL";
}

void sha256_batch(
    std::span<const std::string_view> texts, std::span<Sha256Digest> digests, Sha256Way way
) {
    SLUICE_CHECK(texts.size() == digests.size());
    Sha256Lanes* const lanes = lanes_for(texts.size(), way, Sha256Use::hash);
    if (lanes != nullptr) lanes->hash(texts, digests);
    for (std::size_t i = 0; i < texts.size(); ++i)
        if (lanes == nullptr || !Sha256Lanes::takes(texts[i])) hash_one(texts[i], digests[i]);
}

/// Of a key: for the lanes the words, for OpenSSL its contexts, which it wipes itself.
struct Sha256Hmac::States {
    Sha256State inner_words{};
    Sha256State outer_words{};
    DigestContext inner{new_digest_context()};
    DigestContext outer{new_digest_context()};

    States() = default;
    ~States() {
        OPENSSL_cleanse(inner_words.data(), inner_words.size());
        OPENSSL_cleanse(outer_words.data(), outer_words.size());
    }
    States(const States&) = delete;
    States& operator=(const States&) = delete;

    void one(std::string_view text, Sha256Digest& digest) const {
        EVP_MD_CTX* const work = work_context();
        SLUICE_CHECK(EVP_MD_CTX_copy_ex(work, inner.get()) == 1);
        update(work, text.data(), text.size());
        finish(work, digest);
        SLUICE_CHECK(EVP_MD_CTX_copy_ex(work, outer.get()) == 1);
        update(work, digest.data(), digest.size());
        finish(work, digest);
    }
};

Sha256Hmac::Sha256Hmac(std::string_view key) : states_(std::make_unique<States>()) {
    std::array<std::uint8_t, 64> block{};
    if (key.size() > block.size())
        std::ranges::copy(sha256(key), block.begin());
    else
        std::ranges::copy(key, block.begin());
    const Sha256Lanes* const lanes = Sha256Lanes::of_thread(Sha256Use::hmac);
    const auto begin = [&](std::uint8_t pad, EVP_MD_CTX* context, Sha256State& words) {
        for (std::uint8_t& byte : block) byte ^= pad;
        SLUICE_CHECK(EVP_DigestInit_ex2(context, sha256_method(), nullptr) == 1);
        update(context, block.data(), block.size());
        if (lanes != nullptr) words = lanes->after(block);
    };
    begin(0x36, states_->inner.get(), states_->inner_words);
    begin(0x36 ^ 0x5C, states_->outer.get(), states_->outer_words);
    OPENSSL_cleanse(block.data(), block.size());
}

Sha256Hmac::~Sha256Hmac() = default;

void Sha256Hmac::batch(
    std::span<const std::string_view> texts, std::span<Sha256Digest> digests, Sha256Way way
) const {
    SLUICE_CHECK(texts.size() == digests.size());
    Sha256Lanes* const lanes = lanes_for(texts.size(), way, Sha256Use::hmac);
    if (lanes != nullptr) lanes->hmac(states_->inner_words, states_->outer_words, texts, digests);
    for (std::size_t i = 0; i < texts.size(); ++i)
        if (lanes == nullptr || !Sha256Lanes::takes(texts[i])) states_->one(texts[i], digests[i]);
}

}  // namespace sluice
