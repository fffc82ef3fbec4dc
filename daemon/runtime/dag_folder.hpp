// dag_folder.hpp — watches the DAG folder and keeps the registry like it: new and changed files
// become versions, broken ones import errors (the last good version stays), deleted ones stale
// DAGs. One thread of its own; `scan` may be called from any thread.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "model/dag.hpp"
#include "runtime/dataset_index.hpp"
#include "runtime/runtime.hpp"

namespace sluice::runtime {

/// The name of a folder whose files belong to DAGs and are none themselves: policies, schemas, ...
bool is_side_folder(const std::filesystem::path& name);

class DagFolder {
public:
    /// Reads a DAG file's text (strictly, with every file it names) into a Dag; `file` is relative
    /// to the folder, `others` the data sets of the other files' DAGs. What needs an engine (types,
    /// classes, edges from SQL) is part of it.
    using Load = std::function<Parsed<Dag>(
        const std::string& text, const std::string& file, const spec::OtherDatasets& others
    )>;

    /// A DAG that is known from before and has no file at the first look is stale after
    /// `stale_after` only: a new owner's folder may be filled a moment later. A file that goes
    /// while it is watched makes its DAG stale at once.
    DagFolder(
        std::filesystem::path root, Load load, Runtime& runtime, Duration stale_after = Duration{}
    );
    ~DagFolder();
    DagFolder(const DagFolder&) = delete;
    DagFolder& operator=(const DagFolder&) = delete;

    /// Loads everything once, then watches until `stop`; after `stale_after` it forgets the DAGs
    /// whose files went while nobody looked.
    void start();
    void stop();
    /// Looks at every file and loads what changed since the last look. Returns how many were
    /// loaded.
    std::size_t scan();
    /// The DAG was deleted and removed: the watch reads its file anew, if it is there. From any
    /// thread; returns at once.
    void read_again(const std::string& dag_id);
    [[nodiscard]] const std::filesystem::path& root() const { return root_; }
    /// When the folder was last looked at; none before the first look has ended.
    [[nodiscard]] std::optional<Instant> last_look() const;

private:
    /// What a file looked like when it was read: enough to see that it changed.
    struct Stamp {
        std::int64_t modified_ns{-1};
        std::int64_t bytes{-1};
        std::uint64_t inode{0};
        friend bool operator==(const Stamp&, const Stamp&) = default;
    };
    struct Known {
        std::map<std::string, Stamp> stamps;  // the file itself and every file it names
        std::string dag_id;                   // "" = never loaded well
        // The cure of a broken file may lie in another one (a policy, a file with the same dag_id)
        // that is not known as long as it is broken: it is tried again at every look.
        bool broken{false};
        std::set<std::string> reads;  // data sets of other DAGs
    };
    using Names = std::set<std::string>;
    enum class Loaded { yes, failed, waits };
    void forget_removed();

    void watch();
    void add_watches(int inotify) const;
    void know_stored(const Names& files);
    Names drop_missing(const Names& files);
    [[nodiscard]] Names changed_files(const Names& files);
    std::size_t load_files(Names files, Names changed);
    Loaded load_file(const std::string& file, std::vector<Problem>& waits_for);
    Loaded define(const Dag& dag, std::vector<Problem> warnings, Known& known);
    Loaded fail(const std::string& file, std::vector<Problem> problems, Known& known);
    void forget_unknown();
    void looked();
    void drop(const std::string& file, const Known& known);
    [[nodiscard]] Stamp stamp_of(const std::string& file) const;
    [[nodiscard]] std::set<std::string> list() const;

    std::filesystem::path root_;
    Load load_;
    Runtime& runtime_;
    const Duration stale_after_;
    std::mutex mutex_;                        // guards known_; held for a whole scan
    std::map<std::string, Known> known_;      // by path relative to root_
    DatasetIndex datasets_;                   // of the files, guarded by mutex_ too
    Names datasets_changed_;                  // by the file that was just loaded
    std::atomic<std::int64_t> last_look_{0};  // UTC microseconds, 0 = never
    std::thread thread_;
    std::mutex removed_mutex_;       // guards removed_ and writes to look_fd_
    std::set<std::string> removed_;  // DAG ids to read anew
    int look_fd_{-1};
    int stop_fd_{-1};
};

}  // namespace sluice::runtime
