#include "runtime/dag_registry.hpp"

#include <set>
#include <utility>

namespace sluice::runtime {

std::string ImportError::text() const {
    std::string out;
    for (const auto& problem : problems) {
        if (!out.empty()) out += '\n';
        out += format(problem);
    }
    return out;
}

std::vector<ListedDag> DagRegistry::all() const {
    const std::lock_guard lock(mutex_);
    std::vector<ListedDag> out;
    out.reserve(dags_.size());
    for (const auto& [id, listed] : dags_) out.push_back(listed);
    return out;
}

std::optional<ListedDag> DagRegistry::find(const std::string& dag_id) const {
    const std::lock_guard lock(mutex_);
    const auto found = dags_.find(dag_id);
    if (found == dags_.end()) return std::nullopt;
    return found->second;
}

DagPtr DagRegistry::find_version(VersionId version) const {
    const std::lock_guard lock(mutex_);
    const auto found = versions_.find(version);
    return found == versions_.end() ? nullptr : found->second;
}

std::vector<ImportError> DagRegistry::import_errors() const {
    const std::lock_guard lock(mutex_);
    std::vector<ImportError> out;
    for (const auto& [file, error] : errors_) out.push_back(error);
    return out;
}

void DagRegistry::put(DagPtr dag, std::vector<Problem> warnings, Instant at) {
    const std::lock_guard lock(mutex_);
    versions_[dag->version] = dag;
    auto& listed = dags_[dag->dag_id];
    listed.has_import_errors = errors_.contains(dag->fileloc);
    listed.state.dag_id = dag->dag_id;
    listed.dag = std::move(dag);
    listed.warnings = std::move(warnings);
    listed.parsed_at = at;
}

void DagRegistry::put_version(DagPtr dag) {
    const std::lock_guard lock(mutex_);
    versions_[dag->version] = std::move(dag);
}

void DagRegistry::put_state(const DagState& state) {
    const std::lock_guard lock(mutex_);
    const auto found = dags_.find(state.dag_id);
    if (found != dags_.end()) found->second.state = state;
}

bool DagRegistry::put_import_error(
    const std::string& filename, std::vector<Problem> problems, Instant at
) {
    const std::lock_guard lock(mutex_);
    auto& error = errors_[filename];
    const std::string before = error.text();
    const bool first = error.id == 0;
    if (first) error.id = ++last_error_id_;
    error.filename = filename;
    error.problems = std::move(problems);
    // The same error found again is as old as it was.
    const bool changed = first || error.text() != before;
    if (changed) error.at = at;
    for (auto& [id, listed] : dags_)
        if (listed.dag->fileloc == filename) listed.has_import_errors = true;
    return changed;
}

bool DagRegistry::clear_import_error(const std::string& filename) {
    const std::lock_guard lock(mutex_);
    if (errors_.erase(filename) == 0) return false;
    for (auto& [id, listed] : dags_)
        if (listed.dag->fileloc == filename) listed.has_import_errors = false;
    return true;
}

void DagRegistry::set_checking(const std::string& dag_id, bool checking) {
    const std::lock_guard lock(mutex_);
    const auto found = dags_.find(dag_id);
    if (found != dags_.end()) found->second.checking = checking;
}

void DagRegistry::remove(const std::string& dag_id) {
    const std::lock_guard lock(mutex_);
    dags_.erase(dag_id);
    std::erase_if(versions_, [&](const auto& entry) { return entry.second->dag_id == dag_id; });
}

void DagRegistry::keep_only(const std::vector<DagState>& dags) {
    std::set<std::string> kept;
    for (const auto& state : dags) kept.insert(state.dag_id);
    const std::lock_guard lock(mutex_);
    std::erase_if(dags_, [&](const auto& entry) { return !kept.contains(entry.first); });
}

}  // namespace sluice::runtime
