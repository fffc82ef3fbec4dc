// local_storage.hpp — a lake in a folder. For open_storage().
#pragma once

#include <utility>

#include "operators/lake/storage.hpp"

namespace sluice::lake {

class LocalStorage final : public Storage {
public:
    explicit LocalStorage(std::filesystem::path root) : root_(std::move(root)) {}

    std::filesystem::path begin(const std::string& folder) override;
    void finish(const std::string& folder, const std::vector<std::string>& names) override;
    void drop(const std::string& folder) noexcept override;
    std::vector<std::string> open(const std::vector<std::string>& files) override;
    void close(const std::vector<std::string>&) noexcept override {}
    std::int64_t bytes(const std::string& file) override;
    void put(const std::string& file, const std::string& bytes) override;
    /// Also the folders above it that are empty then; the tier's stays.
    void remove_folder(const std::string& folder) override;
    std::vector<std::string> unknown_folders(
        const std::string& dataset, const std::set<std::string>& known, Instant before
    ) override;
    [[nodiscard]] std::string prefix() const override { return {}; }
    std::string lifecycle() override;
    void put_lifecycle(const std::string& xml) override;

private:
    std::filesystem::path root_;
};

}  // namespace sluice::lake
