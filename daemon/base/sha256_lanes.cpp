#include "base/sha256_lanes.hpp"

#include <algorithm>

#include "base/check.hpp"

#ifdef SLUICE_IPSEC_MB

// Without it the header defines names such as SHA1 and MD5 as macros.
#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>

namespace sluice {

struct Sha256Lanes::Manager {
    static constexpr std::size_t burst = IMB_MAX_BURST_SIZE;

    IMB_MGR* library{alloc_mb_mgr(0)};
    std::array<IMB_JOB, burst> hmac_jobs{};

    Manager() = default;
    ~Manager() { free_mb_mgr(library); }
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    /// Whether it has code for this processor. Plain hashes are made between other work, which
    /// 512-bit instructions slow down more than they gain; processors with instructions for
    /// SHA-256 have no such choice to make.
    bool starts(Sha256Use use) {
        constexpr std::uint64_t narrow = IMB_FEATURE_AVX2;
        if (library == nullptr) return false;
        const bool may = (library->features & (narrow | IMB_FEATURE_SHANI)) == narrow;
        if (use == Sha256Use::hash && may)
            init_mb_mgr_avx2(library);
        else
            init_mb_mgr_auto(library, nullptr);
        return imb_get_errno(library) == 0;
    }

    static void fill(IMB_JOB& job, IMB_HASH_ALG what, std::string_view text, Sha256Digest& digest) {
        job.src = reinterpret_cast<const std::uint8_t*>(text.data());
        job.hash_start_src_offset_in_bytes = 0;
        job.msg_len_to_hash_in_bytes = text.size();
        job.auth_tag_output = digest.data();
        job.auth_tag_output_len_in_bytes = digest.size();
        job.hash_alg = what;
        job.cipher_mode = IMB_CIPHER_NULL;
        job.cipher_direction = IMB_DIR_ENCRYPT;
        job.chain_order = IMB_ORDER_HASH_CIPHER;
    }
};

Sha256Lanes::Sha256Lanes(Sha256Use use) : manager_(std::make_unique<Manager>()) {
    if (!manager_->starts(use)) manager_.reset();
}

Sha256State Sha256Lanes::after(std::span<const std::uint8_t, 64> block) const {
    Sha256State out{};
    IMB_SHA256_ONE_BLOCK(manager_->library, block.data(), out.data());
    return out;
}

void Sha256Lanes::hash(std::span<const std::string_view> texts, std::span<Sha256Digest> digests) {
    IMB_MGR* const library = manager_->library;
    std::array<IMB_JOB*, Manager::burst> jobs{};
    for (std::size_t next = 0; next < texts.size();) {
        const std::size_t left = std::min(jobs.size(), texts.size() - next);
        const std::uint32_t room =
            IMB_GET_NEXT_BURST(library, static_cast<std::uint32_t>(left), jobs.data());
        SLUICE_CHECK(room == left);
        std::uint32_t count = 0;
        for (; count < room && next < texts.size(); ++next)
            if (takes(texts[next]))
                Manager::fill(*jobs[count++], IMB_AUTH_SHA_256, texts[next], digests[next]);
        if (count == 0) continue;
        std::uint32_t done = IMB_SUBMIT_BURST_NOCHECK(library, count, jobs.data());
        // All of a burst come back before the next one: where its ring of jobs runs over, version
        // 1.3 forgets to tell of some.
        while (done < count) {
            const std::uint32_t more = IMB_FLUSH_BURST(library, Manager::burst, jobs.data());
            SLUICE_CHECK(more > 0);
            done += more;
        }
    }
}

void Sha256Lanes::hmac(
    const Sha256State& inner,
    const Sha256State& outer,
    std::span<const std::string_view> texts,
    std::span<Sha256Digest> digests
) {
    auto& jobs = manager_->hmac_jobs;
    for (std::size_t next = 0; next < texts.size();) {
        std::size_t count = 0;
        for (; count < jobs.size() && next < texts.size(); ++next) {
            if (!takes(texts[next])) continue;
            IMB_JOB& job = jobs[count++];
            Manager::fill(job, IMB_AUTH_HMAC_SHA_256, texts[next], digests[next]);
            job.u.HMAC._hashed_auth_key_xor_ipad = inner.data();
            job.u.HMAC._hashed_auth_key_xor_opad = outer.data();
        }
        if (count == 0) continue;
        const std::uint32_t done = IMB_SUBMIT_HASH_BURST_NOCHECK(
            manager_->library, jobs.data(), static_cast<std::uint32_t>(count), IMB_AUTH_HMAC_SHA_256
        );
        SLUICE_CHECK(done == count);
    }
}

}  // namespace sluice

#else

namespace sluice {

struct Sha256Lanes::Manager {};

Sha256Lanes::Sha256Lanes(Sha256Use) {}
Sha256State Sha256Lanes::after(std::span<const std::uint8_t, 64>) const { return {}; }
void Sha256Lanes::hash(std::span<const std::string_view>, std::span<Sha256Digest>) {}
void Sha256Lanes::
    hmac(const Sha256State&, const Sha256State&, std::span<const std::string_view>, std::span<Sha256Digest>) {
}

}  // namespace sluice

#endif

namespace sluice {

Sha256Lanes::~Sha256Lanes() = default;

Sha256Lanes* Sha256Lanes::of_thread(Sha256Use use) {
    // Each takes its time to start, so only what a thread asks for is made.
    if (use == Sha256Use::hash) {
        thread_local Sha256Lanes hashing(Sha256Use::hash);
        return hashing.work() ? &hashing : nullptr;
    }
    thread_local Sha256Lanes keyed(Sha256Use::hmac);
    return keyed.work() ? &keyed : nullptr;
}

}  // namespace sluice
