#include "operators/connect/s3_cache.hpp"

#include <algorithm>

#include <fnmatch.h>

#include "operators/connect/download.hpp"
#include "operators/connect/files.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
namespace {

using Part = fs::path::const_iterator;

/// `**` stands for any number of folders.
bool fits(Part pattern, const Part& pattern_end, Part name, const Part& name_end) {
    if (pattern == pattern_end) return name == name_end;
    if (*pattern == "**") {
        if (fits(std::next(pattern), pattern_end, name, name_end)) return true;
        return name != name_end && fits(pattern, pattern_end, std::next(name), name_end);
    }
    if (name == name_end || ::fnmatch(pattern->c_str(), name->c_str(), FNM_PERIOD) != 0)
        return false;
    return fits(std::next(pattern), pattern_end, std::next(name), name_end);
}

}  // namespace

S3Cache::S3Cache(task::TaskContext& context, S3& s3, const std::string& name)
    : s3_(s3), folder_(fs::path(context.scratch()) / name) {}

fs::path S3Cache::fetch(const std::string& key) {
    const fs::path path = folder_ / key;
    if (fs::exists(path)) return path;
    fs::create_directories(path.parent_path());
    const fs::path part = path.string() + ".part";
    s3_.get(key, part, [&](std::int64_t bytes) {
        check_room(folder_, s3_.cache_bytes(), s3_.address(key), bytes);
    });
    fs::rename(part, path);
    return path;
}

void S3Cache::drop(const std::string& key) noexcept {
    std::error_code ignored;
    fs::remove(folder_ / key, ignored);
}

std::vector<S3Object> find_objects(S3& s3, const std::string& pattern) {
    check_inside(pattern);
    const fs::path path(pattern);
    // Whole folders before the first wildcard.
    std::string begin = pattern.substr(0, pattern.find_first_of("*?["));
    if (begin != pattern) begin.resize(begin.rfind('/') + 1);
    std::vector<S3Object> found;
    s3.list(begin, [&](const S3Object& object) {
        const fs::path name(object.key);
        // A key that ends in '/' stands for a folder in some tools.
        if (object.key.ends_with('/')) return;
        if (fits(path.begin(), path.end(), name.begin(), name.end())) found.push_back(object);
    });
    return found;
}

}  // namespace sluice::connect
