#include "runtime/dag_folder.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.hpp"

namespace sluice::runtime {
namespace {

namespace fs = std::filesystem;

bool is_dag_file(const fs::path& path) {
    const auto name = path.filename().string();
    if (name.starts_with('.')) return false;
    return path.extension() == ".json" || path.extension() == ".yaml";
}

std::string read_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in)
        throw std::system_error(
            errno, std::generic_category(), "cannot read " + path.filename().string()
        );
    return {std::istreambuf_iterator<char>(in), {}};
}

Problem problem_of(const std::string& file, std::string code, std::string message) {
    return {.code = std::move(code), .file = file, .message = std::move(message)};
}

/// Tasks that ask for more slots than their pool has, which would wait for ever. A pool of 0 slots
/// is closed for a while, and one that is not there may come: `why` and the warnings tell of both.
std::vector<Problem> tasks_that_never_fit(const Dag& dag, Runtime& runtime) {
    std::vector<Problem> problems;
    if (std::ranges::all_of(dag.tasks, [](const Task& task) { return task.pool_slots <= 1; }))
        return problems;
    std::vector<core::Scheduler::PoolUse> pools;
    runtime.query([&](const core::Scheduler& scheduler) { pools = scheduler.pool_use(); });
    for (const Task& task : dag.tasks) {
        const auto use = std::ranges::find_if(pools, [&](const auto& other) {
            return other.pool.name == task.pool;
        });
        if (use == pools.end() || use->pool.slots <= 0 || task.pool_slots <= use->pool.slots)
            continue;
        problems.push_back(problem_of(
            dag.fileloc,
            "E-POOL-SLOTS",
            "task \"" + task.id + "\" takes " + std::to_string(task.pool_slots) +
                " slots of pool \"" + task.pool + "\", which has " +
                std::to_string(use->pool.slots) + ": make the pool larger or pool_slots smaller"
        ));
    }
    return problems;
}

int milliseconds_until(std::chrono::steady_clock::time_point at) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(at - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

}  // namespace

bool is_side_folder(const fs::path& name) {
    return name == "access" || name == "calendars" || name == "policies" || name == "schemas" ||
           name == "sql";
}

DagFolder::DagFolder(fs::path root, Load load, Runtime& runtime, Duration stale_after)
    : root_(std::move(root)),
      load_(std::move(load)),
      runtime_(runtime),
      stale_after_(stale_after) {}

DagFolder::~DagFolder() { stop(); }

void DagFolder::start() {
    {
        // As if for the first time: another daemon may have defined other versions since.
        const std::lock_guard lock(mutex_);
        known_.clear();
    }
    scan();
    if (stale_after_ <= Duration{}) forget_unknown();
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    {
        const std::lock_guard lock(removed_mutex_);
        look_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    thread_ = std::thread([this] { watch(); });
}

void DagFolder::stop() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_fd_, &one, sizeof one);
    thread_.join();
    ::close(stop_fd_);
    stop_fd_ = -1;
    const std::lock_guard lock(removed_mutex_);
    ::close(look_fd_);
    look_fd_ = -1;
}

void DagFolder::read_again(const std::string& dag_id) {
    const std::lock_guard lock(removed_mutex_);
    removed_.insert(dag_id);
    if (look_fd_ < 0) return;  // the next start reads all files
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(look_fd_, &one, sizeof one);
}

/// What a file said of a DAG that was removed counts no more.
void DagFolder::forget_removed() {
    std::set<std::string> removed;
    {
        const std::lock_guard lock(removed_mutex_);
        removed = std::exchange(removed_, {});
    }
    for (auto& [file, known] : known_)
        if (removed.contains(known.dag_id)) known.stamps.clear();
}

void DagFolder::add_watches(int inotify) const {
    constexpr std::uint32_t mask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;
    std::error_code ignored;  // a folder may vanish while we look
    ::inotify_add_watch(inotify, root_.c_str(), mask);
    for (auto it = fs::recursive_directory_iterator(
             root_, fs::directory_options::skip_permission_denied, ignored
         );
         it != fs::recursive_directory_iterator();
         it.increment(ignored)) {
        if (it->is_directory(ignored)) ::inotify_add_watch(inotify, it->path().c_str(), mask);
    }
}

void DagFolder::watch() {
    const int inotify = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    add_watches(inotify);
    const int look_fd = [this] {
        const std::lock_guard lock(removed_mutex_);
        return look_fd_;
    }();
    std::array<pollfd, 3> fds{{{inotify, POLLIN, 0}, {stop_fd_, POLLIN, 0}, {look_fd, POLLIN, 0}}};
    // An editor writes a file in several steps: look once it has been quiet for a moment.
    constexpr int quiet_ms = 20;
    // Network file systems tell inotify nothing: look by hand now and then.
    constexpr int unasked_ms = 30'000;
    constexpr int again_ms = 1'000;
    bool failed = false;
    bool changed = true;  // something may have come between the first scan and the watch
    std::optional<std::chrono::steady_clock::time_point> forget_at;
    if (stale_after_ > Duration{}) forget_at = std::chrono::steady_clock::now() + stale_after_;
    for (;;) {
        int patience = changed ? quiet_ms : failed ? again_ms : unasked_ms;
        if (forget_at && !failed) patience = std::min(patience, milliseconds_until(*forget_at));
        const int ready = ::poll(fds.data(), fds.size(), patience);
        if ((fds[1].revents & POLLIN) != 0) break;
        if (ready > 0) {
            alignas(inotify_event) std::array<char, 16'384> events;
            while (::read(inotify, events.data(), events.size()) > 0) {
            }
            std::uint64_t asked = 0;
            [[maybe_unused]] const auto got = ::read(look_fd, &asked, sizeof asked);
            changed = true;
            continue;
        }
        changed = false;
        add_watches(inotify);
        try {
            scan();
            failed = false;
            if (forget_at && milliseconds_until(*forget_at) == 0) {
                forget_unknown();
                forget_at.reset();
            }
        } catch (const std::exception& error) {
            if (!std::exchange(failed, true))
                spdlog::error("the DAG folder could not be read: {}", error.what());
        }
    }
    ::close(inotify);
}

std::set<std::string> DagFolder::list() const {
    std::set<std::string> files;
    std::error_code ignored;
    for (auto it = fs::recursive_directory_iterator(
             root_, fs::directory_options::skip_permission_denied, ignored
         );
         it != fs::recursive_directory_iterator();
         it.increment(ignored)) {
        if (it->is_directory(ignored)) {
            if (is_side_folder(it->path().filename()) ||
                it->path().filename().string().starts_with('.'))
                it.disable_recursion_pending();
        } else if (is_dag_file(it->path())) {
            // By its letters: asking the file system costs a hundred times as much.
            files.insert(it->path().lexically_relative(root_).string());
        }
    }
    return files;
}

DagFolder::Stamp DagFolder::stamp_of(const std::string& file) const {
    struct stat info{};
    if (::stat((root_ / file).c_str(), &info) != 0) return {};
    return {
        .modified_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
        .bytes = info.st_size,
        .inode = info.st_ino,
    };
}

std::optional<Instant> DagFolder::last_look() const {
    const auto at = last_look_.load();
    if (at == 0) return std::nullopt;
    return from_micros(at);
}

void DagFolder::looked() { last_look_ = to_micros(SystemClock{}.now()); }

std::size_t DagFolder::scan() {
    const std::lock_guard lock(mutex_);
    // A folder that is not there for a moment (unmounted, moved) says nothing of its files.
    if (!fs::is_directory(root_))
        throw Error(ErrorCode::unavailable, root_.string() + " is not a folder");
    const auto files = list();
    know_stored(files);
    forget_removed();
    const auto gone = drop_missing(files);
    const std::size_t loaded = load_files(changed_files(files), gone);
    looked();
    return loaded;
}

/// At the first look a data set is still that of the DAG that had it before the daemon ended,
/// whatever the order of the files.
void DagFolder::know_stored(const Names& files) {
    if (last_look()) return;
    for (const auto& listed : runtime_.registry().all())
        if (!listed.state.is_stale && files.contains(listed.dag->fileloc))
            datasets_.put(listed.dag->fileloc, *listed.dag);
}

/// Returns the data sets that went with their files.
DagFolder::Names DagFolder::drop_missing(const Names& files) {
    Names gone;
    for (auto it = known_.begin(); it != known_.end();) {
        if (files.contains(it->first)) {
            ++it;
            continue;
        }
        gone.merge(datasets_.remove(it->first));
        drop(it->first, it->second);
        it = known_.erase(it);
    }
    return gone;
}

DagFolder::Names DagFolder::changed_files(const Names& files) {
    Names out;
    for (const auto& file : files) {
        const Known& known = known_[file];
        const bool same = !known.broken && !known.stamps.empty() &&
                          std::ranges::all_of(known.stamps, [&](const auto& entry) {
                              return entry.second == stamp_of(entry.first);
                          });
        if (!same) out.insert(file);
    }
    return out;
}

/// Loads the files, and again those that read what another one has changed: the order of files does
/// not matter, and an error is told only when nothing that was loaded has cured it.
std::size_t DagFolder::load_files(Names files, Names changed) {
    std::size_t loaded = 0;
    std::map<std::string, std::vector<Problem>> waiting;
    // DAGs that read each other's data sets settle; if they do not, the next look goes on.
    for (int round = 0; round < 100; ++round) {
        for (const auto& [file, known] : known_)
            if (std::ranges::any_of(known.reads, [&](const auto& n) {
                    return changed.contains(n);
                }))
                files.insert(file);
        if (!changed.empty())
            for (const auto& [file, problems] : waiting) files.insert(file);
        if (files.empty()) break;
        changed.clear();
        for (const auto& file : std::exchange(files, {})) {
            std::vector<Problem> waits_for;
            datasets_changed_.clear();
            const Loaded result = load_file(file, waits_for);
            waiting.erase(file);
            if (result == Loaded::yes) ++loaded;
            if (result == Loaded::waits) waiting[file] = std::move(waits_for);
            changed.merge(datasets_changed_);
            looked();  // a first look at many files takes long, and is no silence
        }
    }
    for (auto& [file, problems] : waiting) fail(file, std::move(problems), known_[file]);
    return loaded;
}

/// Files that were deleted while no daemon ran leave DAGs that nothing in the folder defines.
void DagFolder::forget_unknown() {
    const std::lock_guard lock(mutex_);
    std::set<std::string> defined;
    for (const auto& [file, known] : known_) defined.insert(known.dag_id);
    for (const auto& listed : runtime_.registry().all())
        if (!listed.state.is_stale && !defined.contains(listed.dag->dag_id))
            runtime_.forget(listed.dag->dag_id);
}

DagFolder::Loaded DagFolder::load_file(const std::string& file, std::vector<Problem>& waits_for) {
    auto& known = known_[file];
    known.stamps = {{file, stamp_of(file)}};
    known.broken = true;
    std::string text;
    try {
        if (known.stamps[file].bytes > static_cast<std::int64_t>(limits::dag_file_bytes))
            return fail(
                file,
                {problem_of(
                    file, "E-FILE-SIZE", "the file is larger than 4 MiB (limit dag_file_bytes)"
                )},
                known
            );
        text = read_file(root_ / file);
    } catch (const std::system_error& error) {
        return fail(file, {problem_of(file, "E-READ", error.what())}, known);
    }
    auto parsed = load_(text, file, datasets_.others(file));
    const auto folder = fs::path(file).parent_path();
    if (parsed.value)
        for (const auto& [named, content] : parsed.value->files) {
            if (named.starts_with(".sluice/")) continue;  // made by the loader, not a file
            const auto path = (folder / named).lexically_normal().string();
            known.stamps[path] = stamp_of(path);
        }
    if (!parsed.value && waits_for_others(parsed.problems)) {
        waits_for = std::move(parsed.problems);
        return Loaded::waits;
    }
    if (!parsed.value) return fail(file, std::move(parsed.problems), known);
    return define(*parsed.value, std::move(parsed.problems), known);
}

DagFolder::Loaded DagFolder::fail(
    const std::string& file, std::vector<Problem> problems, Known& known
) {
    // Broken since before this daemon's first look: the last good version is still its DAG.
    if (known.dag_id.empty())
        for (const auto& listed : runtime_.registry().all())
            if (listed.dag->fileloc == file && !listed.state.is_stale)
                known.dag_id = listed.dag->dag_id;
    if (runtime_.registry().put_import_error(file, std::move(problems), SystemClock{}.now()))
        runtime_.announce_import_errors(known.dag_id);
    return Loaded::failed;
}

DagFolder::Loaded DagFolder::define(const Dag& dag, std::vector<Problem> warnings, Known& known) {
    const std::string file = dag.fileloc;
    const auto listed = runtime_.registry().find(dag.dag_id);
    const bool ours = listed && listed->dag->fileloc == file;
    for (const auto& [other, entry] : known_) {
        if (ours) break;  // nobody else has defined it since
        if (other == file || entry.dag_id != dag.dag_id) continue;
        const auto problem = problem_of(
            file, "E-DAG-ID", "dag_id \"" + dag.dag_id + "\" is already defined by " + other
        );
        if (runtime_.registry().put_import_error(file, {problem}, SystemClock{}.now()))
            runtime_.announce_import_errors("");
        return Loaded::failed;
    }
    // At a start nearly all files are as they were stored; each question would be a round trip.
    const bool same = ours && !listed->state.is_stale && listed->dag->hash == dag.hash &&
                      listed->warnings.empty() && warnings.empty() && !dag.schedule.assets;
    // What was good when it came stays: a pool that is made smaller breaks no file.
    const bool changed = !ours || listed->dag->hash != dag.hash;
    try {
        if (auto never = changed ? tasks_that_never_fit(dag, runtime_) : std::vector<Problem>{};
            !never.empty())
            return fail(file, std::move(never), known);
    } catch (const Error&) {
        known.stamps.clear();
        throw;
    }
    if (!known.dag_id.empty() && known.dag_id != dag.dag_id) runtime_.forget(known.dag_id);
    known.dag_id = dag.dag_id;
    known.broken = false;
    const bool mended = runtime_.registry().clear_import_error(file);
    try {
        // A deleted DAG of this id that is not removed yet: tried again at every look.
        if (!same && runtime_.define(dag, std::move(warnings)) == nullptr) known.broken = true;
    } catch (const Error&) {
        known.stamps.clear();  // the database is away: the next look tries again
        throw;
    }
    known.reads = names_of_others(dag);
    datasets_changed_.merge(datasets_.put(file, dag));
    if (mended) runtime_.announce_import_errors(dag.dag_id);
    return Loaded::yes;
}

void DagFolder::drop(const std::string& file, const Known& known) {
    if (runtime_.registry().clear_import_error(file)) runtime_.announce_import_errors(known.dag_id);
    if (!known.dag_id.empty()) runtime_.forget(known.dag_id);
}

}  // namespace sluice::runtime
