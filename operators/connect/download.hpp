// download.hpp — what all downloads into files share: the file that grows, and whether there is
// room for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace sluice::connect {

/// A file that is made for a download and goes unless it is kept. Throws Failure: resource if the
/// disk is full, else transient.
class NewFile {
public:
    explicit NewFile(std::filesystem::path path);
    ~NewFile();
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    void write(std::string_view bytes);
    void begin_anew();
    void keep();
    [[nodiscard]] std::int64_t size() const { return size_; }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    void open();
    void check() const;

    std::filesystem::path path_;
    std::ofstream out_;
    std::int64_t size_{0};
    bool kept_{false};
};

/// How much a task may have on its disk of what it downloads, if the connection's `cache_bytes`
/// does not say otherwise.
inline constexpr std::int64_t cache_bytes_default = std::int64_t{64} << 30;

/// Throws Failure(resource) if `bytes` more of `address` do not fit: into what the task may have in
/// the folder (`most`), or onto the disk.
void check_room(
    const std::filesystem::path& folder,
    std::int64_t most,
    const std::string& address,
    std::int64_t bytes
);

}  // namespace sluice::connect
