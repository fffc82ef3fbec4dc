#include "operators/extract/file_version.hpp"

#include <algorithm>
#include <fstream>
#include <memory>

#include <openssl/evp.h>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::extract {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

std::string sha256_of(const fs::path& path) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(
        EVP_MD_CTX_new(), &EVP_MD_CTX_free
    );
    std::ifstream in(path, std::ios::binary);
    std::string buffer(std::size_t{1} << 20, '\0');
    bool right = digest && in && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
    while (right &&
           (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0))
        right =
            EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<std::size_t>(in.gcount())) ==
            1;
    std::string bytes(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    right = right && EVP_DigestFinal_ex(
                         digest.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size
                     ) == 1;
    if (!right)
        throw engine::Failure(
            ErrorClass::transient, "the file " + path.string() + " cannot be read"
        );
    bytes.resize(size);
    return to_hex(bytes);
}

}  // namespace

bool is_known(const FilesRead& known, const fs::path& path, const std::string& name, Json& left) {
    Json now{
        {"size", fs::file_size(path)},
        {"written", fs::last_write_time(path).time_since_epoch().count()}
    };
    const auto found = known.find(name);
    const auto any = [&](const auto& same) {
        return found != known.end() && std::ranges::any_of(found->second, same);
    };
    if (any([&](const Json& version) {
            return version.at("size") == now["size"] && version.at("written") == now["written"];
        }))
        return true;
    now["sha256"] = sha256_of(path);
    if (any([&](const Json& version) { return version.at("sha256") == now["sha256"]; }))
        return true;
    left[name] = std::move(now);
    return false;
}

}  // namespace sluice::extract
