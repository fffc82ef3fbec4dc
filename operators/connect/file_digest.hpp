// file_digest.hpp — SHA-256 of what comes piece by piece.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::connect {

class FileDigest {
public:
    FileDigest();
    ~FileDigest();
    FileDigest(const FileDigest&) = delete;
    FileDigest& operator=(const FileDigest&) = delete;
    void add(std::string_view bytes);
    /// 64 hex digits; afterwards it begins anew.
    std::string hex();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Throws Failure(transient) if the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace sluice::connect
