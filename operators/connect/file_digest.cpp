#include "operators/connect/file_digest.hpp"

#include <fstream>

#include <openssl/evp.h>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

struct FileDigest::State {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
        EVP_MD_CTX_new(), &EVP_MD_CTX_free
    };

    static void must(bool right) {
        if (!right) throw Error(ErrorCode::internal, "SHA-256 failed");
    }
    void begin() const {
        must(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
    }
};

FileDigest::FileDigest() : state_(std::make_unique<State>()) { state_->begin(); }

FileDigest::~FileDigest() = default;

void FileDigest::add(std::string_view bytes) {
    State::must(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string FileDigest::hex() {
    std::string bytes(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    State::must(
        EVP_DigestFinal_ex(
            state_->context.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size
        ) == 1
    );
    bytes.resize(size);
    state_->begin();
    return to_hex(bytes);
}

std::string sha256_of_file(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string buffer(std::size_t{1} << 20, '\0');
    FileDigest digest;
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0)
        digest.add({buffer.data(), static_cast<std::size_t>(in.gcount())});
    if (!in.eof())
        throw engine::Failure(
            ErrorClass::transient, "the file " + file.string() + " cannot be read"
        );
    return digest.hex();
}

}  // namespace sluice::connect
