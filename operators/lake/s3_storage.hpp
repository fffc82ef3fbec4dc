// s3_storage.hpp — a lake in a bucket. Files are written in the attempt's working folder and then
// uploaded, downloaded there and then read; the folder goes with the attempt. For open_storage().
#pragma once

#include "operators/connect/s3_cache.hpp"
#include "operators/lake/storage.hpp"

namespace sluice::lake {

class S3Storage final : public Storage {
public:
    S3Storage(task::TaskContext& context, const task::Connection& connection);

    std::filesystem::path begin(const std::string& folder) override;
    void finish(const std::string& folder, const std::vector<std::string>& names) override;
    void drop(const std::string& folder) noexcept override;
    std::vector<std::string> open(const std::vector<std::string>& files) override;
    void close(const std::vector<std::string>& files) noexcept override;
    std::int64_t bytes(const std::string& file) override;
    void put(const std::string& file, const std::string& bytes) override;
    void remove_folder(const std::string& folder) override;
    std::vector<std::string> unknown_folders(
        const std::string& dataset, const std::set<std::string>& known, Instant before
    ) override;
    [[nodiscard]] std::string prefix() const override { return s3_.prefix(); }
    std::string lifecycle() override { return s3_.lifecycle(); }
    void put_lifecycle(const std::string& xml) override { s3_.put_lifecycle(xml); }

private:
    task::TaskContext& context_;
    connect::S3 s3_;
    connect::S3Cache cache_;
};

}  // namespace sluice::lake
