#include "operators/lake/places.hpp"

#include <algorithm>

#include <sys/stat.h>

#include "operators/connect/files.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::lake {

namespace fs = std::filesystem;

namespace {

bool is_generation(const fs::path& folder) { return folder.filename().string().starts_with("g="); }

Instant changed_at(const fs::path& folder) {
    struct stat info{};
    if (::stat(folder.c_str(), &info) != 0) return Instant::max();
    return Instant{std::chrono::seconds{info.st_mtim.tv_sec}};
}

}  // namespace

fs::path root_of(const task::TaskContext& context) {
    return connect::folder_of(context.connection(context.lake_connection()));
}

void remove_folder(const fs::path& root, const std::string& folder) {
    const fs::path relative = fs::path(folder).lexically_normal();
    const bool inside = relative.is_relative() && *relative.begin() != "..";
    if (!inside || !is_generation(relative))
        throw Error(ErrorCode::internal, '"' + folder + "\" is no generation's folder");
    std::error_code error;
    fs::remove_all(root / relative, error);
    if (error)
        throw engine::Failure(
            ErrorClass::transient, (root / relative).string() + ": " + error.message()
        );
    // The tier's folder stays.
    for (fs::path above = relative.parent_path(); above.has_parent_path();
         above = above.parent_path())
        if (!fs::remove(root / above, error) || error) break;
}

std::vector<std::string> unknown_folders(
    const fs::path& root,
    const std::string& dataset,
    const std::set<std::string>& known,
    Instant before
) {
    const auto dot = dataset.find('.');
    const fs::path folder = root / dataset.substr(0, dot) / dataset.substr(dot + 1);
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator entry(folder, error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        if (!entry->is_directory(error) || !is_generation(entry->path())) continue;
        entry.disable_recursion_pending();
        std::string name = entry->path().lexically_relative(root).string();
        if (!known.contains(name) && changed_at(entry->path()) < before)
            found.push_back(std::move(name));
    }
    std::ranges::sort(found);
    return found;
}

}  // namespace sluice::lake
