#include "folder_loading.hpp"

#include <utility>

#include "runtime/dag_folder.hpp"

namespace sluice {
namespace fs = std::filesystem;

FolderLoading::FolderLoading(fs::path root, executor::DagChecks& checks)
    : root_(fs::absolute(std::move(root)).lexically_normal()), loading_(root_, checks) {
    for (auto it = fs::recursive_directory_iterator(root_);
         it != fs::recursive_directory_iterator();
         ++it) {
        const auto name = it->path().filename().string();
        const bool side = runtime::is_side_folder(name);
        if (it->is_directory() && (side || name.starts_with('.'))) it.disable_recursion_pending();
        const auto extension = it->path().extension();
        if (!it->is_regular_file() || name.starts_with('.')) continue;
        if (extension != ".json" && extension != ".yaml") continue;
        files_.insert(fs::relative(it->path(), root_).string());
    }
    read_all();
}

/// Who writes and declares what: cheap, without an engine.
void FolderLoading::read_all() {
    std::set<std::string> open;
    for (const auto& file : files_) {
        const auto text = read_file(root_ / file);
        if (!text) continue;
        texts_[file] = *text;
        open.insert(file);
    }
    for (bool more = true; more;) {
        more = false;
        for (const auto& file : std::set<std::string>(open)) {
            const auto parsed = loading_.read(texts_[file], file, index_.others(file));
            if (!parsed.value) continue;
            index_.put(file, *parsed.value);
            file_of_.emplace(parsed.value->dag_id, file);
            open.erase(file);
            more = true;
        }
    }
}

const Parsed<Dag>& FolderLoading::load(const std::string& file) {
    if (const auto known = loaded_.find(file); known != loaded_.end()) return known->second;
    Parsed<Dag> parsed;
    if (!texts_.contains(file)) {
        const auto text = read_file(root_ / file);
        if (!text) {
            parsed.problems.push_back(
                {.code = "E-READ", .file = file, .message = "the file cannot be read"}
            );
            return loaded_[file] = std::move(parsed);
        }
        texts_[file] = *text;
    }
    under_way_.insert(file);
    parsed = loading_.load(texts_[file], file, [this, file](const std::string& name) {
        return find(file, name);
    });
    under_way_.erase(file);
    if (parsed.value)
        for (auto& dataset : spec::own_datasets(*parsed.value))
            full_.insert_or_assign(dataset.name, std::move(dataset));
    return loaded_[file] = std::move(parsed);
}

const DatasetSpec* FolderLoading::find(const std::string& file, const std::string& name) {
    const DatasetSpec* offered = index_.others(file)(name);
    if (offered == nullptr) return nullptr;
    const auto owner = file_of_.find(offered->owner);
    // Two DAGs that read each other's: what is declared has to do.
    if (owner != file_of_.end() && !under_way_.contains(owner->second)) load(owner->second);
    const auto full = full_.find(name);
    return full == full_.end() ? offered : &full->second;
}

}  // namespace sluice
