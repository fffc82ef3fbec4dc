// gzip_reader.hpp — a gzip file, unpacked piece by piece, every check sum compared (libarchive
// compares none). Members one after another are one file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

namespace sluice::connect {

class GzipReader {
public:
    /// Throws Failure if the file cannot be opened.
    explicit GzipReader(const std::filesystem::path& file);
    ~GzipReader();
    GzipReader(const GzipReader&) = delete;
    GzipReader& operator=(const GzipReader&) = delete;
    /// Bytes put into `buffer`; 0 at the end. Throws Failure(data_quality) for what is no gzip, is
    /// cut off or has other bytes than were packed.
    std::size_t read(char* buffer, std::size_t size);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::connect
