#include "operators/lake/s3_storage.hpp"

#include <algorithm>
#include <map>

#include "operators/engine/failure.hpp"

namespace sluice::lake {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

/// "raw/orders/dt=1/g=2-3/part-0.parquet" -> "raw/orders/dt=1/g=2-3"; "" if it is of none.
std::string folder_of_generation(const std::string& key) {
    const auto generation = key.rfind("/g=");
    if (generation == std::string::npos) return {};
    return key.substr(0, key.find('/', generation + 1));
}

std::string media_type(const std::string& file) {
    if (file.ends_with(".html")) return "text/html; charset=utf-8";
    if (file.ends_with(".json")) return "application/json";
    if (file.ends_with(".csv")) return "text/csv; charset=utf-8";
    return "application/octet-stream";
}

}  // namespace

S3Storage::S3Storage(task::TaskContext& context, const task::Connection& connection)
    : context_(context), s3_(context, connection), cache_(context, s3_, "lake") {}

fs::path S3Storage::begin(const std::string& folder) {
    fs::create_directories(cache_.folder() / folder);
    return cache_.folder() / folder;
}

void S3Storage::finish(const std::string& folder, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        const std::string key = folder + '/' + name;
        s3_.put(key, cache_.folder() / key);
    }
    // Who reads it again in this task downloads it; the disk is for what is read and written now.
    std::error_code ignored;
    fs::remove_all(cache_.folder() / folder, ignored);
}

void S3Storage::drop(const std::string& folder) noexcept {
    std::error_code ignored;
    fs::remove_all(cache_.folder() / folder, ignored);
    // `retain` does it too: the ledger says that this attempt did not commit.
    if (context_.cancelled()) return;
    s3_.try_once();
    try {
        s3_.list(folder + '/', [&](const connect::S3Object& object) { s3_.remove(object.key); });
    } catch (const std::exception& error) {
        context_.log(task::Level::debug, std::string("left for `retain`: ") + error.what());
    }
}

std::vector<std::string> S3Storage::open(const std::vector<std::string>& files) {
    std::vector<std::string> paths;
    for (const std::string& file : files) paths.push_back(cache_.fetch(file).string());
    return paths;
}

void S3Storage::close(const std::vector<std::string>& files) noexcept {
    for (const std::string& file : files) cache_.drop(file);
}

std::int64_t S3Storage::bytes(const std::string& file) {
    const auto found = s3_.head(file);
    if (!found) throw Failure(ErrorClass::permanent, s3_.address(file) + ": not there");
    return found->bytes;
}

void S3Storage::put(const std::string& file, const std::string& bytes) {
    s3_.put_text(file, bytes, media_type(file));
}

void S3Storage::remove_folder(const std::string& folder) {
    check_generation_folder(folder);
    std::vector<std::string> keys;
    s3_.list(folder + '/', [&](const connect::S3Object& object) { keys.push_back(object.key); });
    for (const std::string& key : keys) s3_.remove(key);
    s3_.abort_uploads(folder + "/part-0.parquet");
}

std::vector<std::string> S3Storage::unknown_folders(
    const std::string& dataset, const std::set<std::string>& known, Instant before
) {
    std::map<std::string, Instant> newest;
    s3_.list(dataset_folder(dataset) + '/', [&](const connect::S3Object& object) {
        const std::string folder = folder_of_generation(object.key);
        if (folder.empty() || known.contains(folder)) return;
        Instant& at = newest.try_emplace(folder, object.changed_at).first->second;
        at = std::max(at, object.changed_at);
    });
    std::vector<std::string> found;
    for (const auto& [folder, at] : newest)
        if (at < before) found.push_back(folder);
    return found;
}

}  // namespace sluice::lake
