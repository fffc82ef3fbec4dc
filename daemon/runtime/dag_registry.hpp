// dag_registry.hpp — the DAGs this daemon knows: current versions, older ones of open runs, import
// errors. Thread-safe. Written by the loop and the folder watch, read by API and views.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "model/dag.hpp"
#include "model/turn.hpp"

namespace sluice::runtime {

/// One DAG as listed.
struct ListedDag {
    DagPtr dag;                     // the current version
    DagState state;                 // as of the last commit
    bool has_import_errors{false};  // the file on disk is broken; `dag` is the last good version
    bool checking{false};           // its data-plane check is under way: not runnable yet
    std::vector<Problem> warnings;
    Instant parsed_at;
};

/// All problems of one file that could not be loaded.
struct ImportError {
    int id{};
    std::string filename;  // relative to the DAG folder
    Instant at;
    std::vector<Problem> problems;
    /// The problems as one text, a line each.
    [[nodiscard]] std::string text() const;
};

class DagRegistry {
public:
    /// Sorted by dag_id.
    [[nodiscard]] std::vector<ListedDag> all() const;
    [[nodiscard]] std::optional<ListedDag> find(const std::string& dag_id) const;
    /// Any version that is current or belongs to an open run; nullptr if it must be read from the
    /// store.
    [[nodiscard]] DagPtr find_version(VersionId version) const;
    [[nodiscard]] std::vector<ImportError> import_errors() const;

    void put(DagPtr dag, std::vector<Problem> warnings, Instant at);
    void put_version(DagPtr dag);
    void put_state(const DagState& state);
    /// False if the same error was there already.
    bool put_import_error(const std::string& filename, std::vector<Problem> problems, Instant at);
    /// The file is good again, or gone. False if it had no error.
    bool clear_import_error(const std::string& filename);
    void set_checking(const std::string& dag_id, bool checking);
    /// With its versions.
    void remove(const std::string& dag_id);
    /// Removes all others.
    void keep_only(const std::vector<DagState>& dags);

private:
    mutable std::mutex mutex_;  // guards all below
    std::map<std::string, ListedDag> dags_;
    std::map<VersionId, DagPtr> versions_;
    std::map<std::string, ImportError> errors_;  // by file name
    int last_error_id_{0};
};

}  // namespace sluice::runtime
