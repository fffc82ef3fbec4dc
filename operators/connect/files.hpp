// files.hpp — folders as connections (type `fs`): finding files, reading them whatever their
// compression. Errors are Failure; a file that is not there is one that says which and where.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::task {
struct Connection;
}

namespace sluice::connect {

/// The folder of an `fs` connection (`extra.path`, else its schema). Throws Error(invalid).
std::filesystem::path folder_of(const task::Connection& connection);

/// Throws Error(invalid) for a pattern that leaves the connection's root ("..", absolute).
void check_inside(const std::string& pattern);

/// Files under `root` that fit the pattern: `*` and `?` within a name, `**` over folders. Sorted.
/// Links are followed, but not out of the root unless that is allowed. Throws Error(invalid) for a
/// pattern that leaves the root ("..", absolute).
std::vector<std::filesystem::path> find_files(
    const std::filesystem::path& root, const std::string& pattern, bool links_anywhere = false
);

/// `extra` of the connection says `"links": "anywhere"`.
bool links_anywhere(const task::Connection& connection);

/// "a folder", "a named pipe": what stands where a file should; "" if nothing does.
std::string instead_of_file(const std::filesystem::path& path);

/// Throw Failure of the class that the system's reason has.
std::ifstream open_to_read(const std::filesystem::path& file);
std::size_t read_some(std::ifstream& file, const std::string& name, char* buffer, std::size_t size);

enum class Compression { none, gzip, zstd, zip };

/// By the ending of the name: .gz, .zst, .zip.
Compression compression_of(const std::filesystem::path& file);

/// The bytes of a file, uncompressed, piece by piece. A zip may hold one file only.
class FileReader {
public:
    /// Throws Failure if the file cannot be opened, or is not packed in this way.
    FileReader(const std::filesystem::path& file, Compression compression);
    ~FileReader();
    FileReader(const FileReader&) = delete;
    FileReader& operator=(const FileReader&) = delete;
    /// Bytes put into `buffer`; 0 at the end. Throws Failure(data_quality) on broken compression.
    std::size_t read(char* buffer, std::size_t size);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::connect
