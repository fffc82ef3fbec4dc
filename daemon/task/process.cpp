#include "task/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace sluice::task {
namespace fs = std::filesystem;

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

int Fd::release() { return std::exchange(fd_, -1); }

void Fd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw Error(
            ErrorCode::internal, std::string("cannot make a pipe: ") + std::strerror(errno)
        );
    return {Fd{ends[0]}, Fd{ends[1]}};
}

// Debian 12's header declares pidfd_open without C linkage.
Child::Child(pid_t pid) : pid_(pid), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))) {}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Child::~Child() {
    if (pid_ <= 0) return;
    signal_group(SIGKILL);
    reap();
}

bool Child::ended() const {
    siginfo_t info{};
    const int failed = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return failed != 0 || info.si_pid == pid_;
}

void Child::signal_group(int signal) const {
    SLUICE_CHECK(pid_ > 1);
    ::kill(-pid_, signal);
}

ChildExit Child::reap() {
    SLUICE_CHECK(pid_ > 1);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR
    ) {
    }
    // Before the leader is reaped its number cannot be given to another group.
    ::kill(-pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    pidfd_.reset();
    if (WIFSIGNALED(status)) return {-1, WTERMSIG(status)};
    return {WEXITSTATUS(status), 0};
}

namespace {

std::string_view value_of(const std::vector<std::string>& environment, std::string_view name) {
    for (const std::string& entry : environment)
        if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name))
            return std::string_view(entry).substr(name.size() + 1);
    return {};
}

/// The file to execute. Throws Error(not_found).
std::string find_program(const Command& command) {
    SLUICE_CHECK(!command.argv.empty());
    const std::string& program = command.argv.front();
    if (program.find('/') != std::string::npos) {
        const fs::path path = fs::path(command.cwd) / program;
        if (::access(path.c_str(), F_OK) != 0)
            throw Error(ErrorCode::not_found, "there is no program " + path.string());
        return fs::absolute(path).string();
    }
    std::string_view path = value_of(command.environment, "PATH");
    if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
    std::stringstream folders{std::string(path)};
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string candidate = folder + '/' + program;
        if (!program.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    throw Error(
        ErrorCode::not_found,
        "there is no program \"" + program + "\" in PATH (" + std::string(path) + ')'
    );
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    // execve takes char* for history's sake and changes nothing.
    for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

struct Prepared {
    std::string file;
    std::vector<char*> argv;
    std::vector<char*> environment;
    const char* cwd;
    std::array<int, 4> fds;
    pid_t parent;
};

/// In the child, on the parent's memory: nothing but system calls. Returns the failed step's errno.
int become(const Prepared& prepared) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != prepared.parent) ::_exit(127);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    const int oom = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (oom >= 0) {
        [[maybe_unused]] const auto ignored = ::write(oom, "500", 3);
        ::close(oom);
    }
    // First above 10, then to their places: a wanted number may be in use by another.
    std::array<int, 4> high{-1, -1, -1, -1};
    for (std::size_t i = 0; i < high.size(); ++i) {
        const int fd = prepared.fds[i];
        if (fd < 0) continue;
        high[i] = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
        if (high[i] < 0) return errno;
    }
    for (std::size_t i = 0; i < high.size(); ++i) {
        if (high[i] < 0) continue;
        if (::dup2(high[i], static_cast<int>(i)) < 0) return errno;
    }
    if (*prepared.cwd != '\0' && ::chdir(prepared.cwd) != 0) return errno;
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(prepared.file.c_str(), prepared.argv.data(), prepared.environment.data());
    return errno;
}

/// vfork: no copy of the daemon's page tables, and the kernel calls that posix_spawn cannot ask
/// for (parent-death signal, oom score) made before the exec.
std::pair<pid_t, int> fork_and_exec(const Prepared& prepared) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    volatile int failure = 0;
    const pid_t pid = ::vfork();  // NOLINT(bugprone-unsafe-functions): see above
    if (pid == 0) {
        failure = become(prepared);
        ::_exit(127);
    }
    const int fork_failure = pid < 0 ? errno : 0;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return {-1, fork_failure};
    if (failure != 0) {
        ::waitpid(pid, nullptr, 0);
        return {-1, failure};
    }
    return {pid, 0};
}

}  // namespace

class Spawner::Impl {
public:
    Impl() : thread_([this] { loop(); }) {}
    ~Impl() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    std::pair<pid_t, int> spawn(const Prepared& prepared) {
        Order order{&prepared, {}, false};
        std::unique_lock lock(mutex_);
        SLUICE_CHECK(!stopping_);
        orders_.push_back(&order);
        changed_.notify_all();
        changed_.wait(lock, [&] { return order.done; });
        return order.answer;
    }

private:
    struct Order {
        const Prepared* prepared;
        std::pair<pid_t, int> answer;
        bool done;
    };

    void loop() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return stopping_ || !orders_.empty(); });
            if (orders_.empty()) return;
            Order* order = orders_.front();
            orders_.pop_front();
            lock.unlock();
            const auto answer = fork_and_exec(*order->prepared);
            lock.lock();
            order->answer = answer;
            order->done = true;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;  // guards orders_ and stopping_
    std::condition_variable changed_;
    std::deque<Order*> orders_;
    bool stopping_{false};
    std::thread thread_;
};

Spawner::Spawner(std::vector<std::string> environment)
    : environment_(std::move(environment)), impl_(std::make_unique<Impl>()) {}

Spawner::~Spawner() = default;

Child Spawner::spawn(const Command& command) {
    Fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    const auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
    if (!command.cwd.empty() && !fs::is_directory(command.cwd))
        throw Error(ErrorCode::not_found, "there is no folder " + command.cwd + " (cwd)");
    Prepared prepared{
        find_program(command),
        pointers(command.argv),
        pointers(command.environment),
        command.cwd.c_str(),
        {or_null(command.stdin_fd),
         or_null(command.stdout_fd),
         or_null(command.stderr_fd),
         command.extra_fd},
        ::getpid()
    };
    const auto [pid, failure] = impl_->spawn(prepared);
    if (pid < 0)
        throw Error(
            ErrorCode::internal, "cannot run " + prepared.file + ": " + std::strerror(failure)
        );
    return Child{pid};
}

std::vector<std::string> Spawner::allowed_environment(const std::string& instance) {
    constexpr std::array<std::string_view, 14> names{
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "PYTHONPATH",
        "PYENV_ROOT",
        "VIRTUAL_ENV",
        "JAVA_HOME"
    };
    std::vector<std::string> out;
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const std::string_view name = text.substr(0, text.find('='));
        if (std::ranges::find(names, name) != names.end() || name.starts_with("LC_") ||
            name.starts_with("SSL_CERT_"))
            out.emplace_back(text);
    }
    if (!instance.empty()) out.push_back("SLUICE_INSTANCE=" + instance);
#ifdef SLUICE_FAULT_POINTS
    // An armed fault point may be one of a worker.
    if (const char* fault = std::getenv("SLUICE_FAULT"))
        out.push_back(std::string("SLUICE_FAULT=") + fault);
#endif
    return out;
}

namespace {

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> out;
    std::error_code gone;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (fs::directory_iterator it(tasks, gone), end; !gone && it != end; it.increment(gone)) {
        std::ifstream file(it->path() / "children");
        for (pid_t child = 0; file >> child;) out.push_back(child);
    }
    return out;
}

}  // namespace

std::int64_t resident_bytes(pid_t pid) {
    static const std::int64_t page = ::sysconf(_SC_PAGESIZE);
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    std::int64_t size = 0;
    std::int64_t resident = 0;
    if (!(file >> size >> resident)) return 0;
    std::int64_t sum = resident * page;
    for (const pid_t child : children_of(pid)) sum += resident_bytes(child);
    return sum;
}

namespace {

std::set<pid_t> of_instance(const std::string& marker) {
    std::set<pid_t> found;
    std::error_code gone;
    for (fs::directory_iterator it("/proc", gone), end; !gone && it != end; it.increment(gone)) {
        const std::string name = it->path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file(it->path() / "environ", std::ios::binary);
        for (std::string entry; std::getline(file, entry, '\0');)
            if (entry == marker) found.insert(static_cast<pid_t>(std::stol(name)));
    }
    found.erase(::getpid());
    return found;
}

}  // namespace

int end_instance(const std::string& instance, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const std::string marker = "SLUICE_INSTANCE=" + instance;
    std::set<pid_t> seen;
    for (;;) {
        // Again until none is left: one may have forked while we looked.
        const auto found = of_instance(marker);
        if (found.empty()) break;
        for (const pid_t pid : found) ::kill(pid, SIGKILL);
        seen.insert(found.begin(), found.end());
        if (std::chrono::steady_clock::now() >= deadline) break;
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return static_cast<int>(seen.size());
}

std::string signal_text(int signal) {
    const char* text = ::sigdescr_np(signal);
    return (text == nullptr ? std::string("signal") : std::string(text)) + " (signal " +
           std::to_string(signal) + ')';
}

}  // namespace sluice::task
