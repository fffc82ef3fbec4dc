// temporary_folder.hpp — a folder for one process, in the system's place for temporary files.
#pragma once

#include <filesystem>

namespace sluice {

/// Gone when this object is; a killed process's is removed by the next one.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
    int lock_{-1};
};

}  // namespace sluice
