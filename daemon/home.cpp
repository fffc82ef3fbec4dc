#include "home.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string first_line(const fs::path& path) {
    const auto text = read_text(path);
    return text.substr(0, text.find('\n'));
}

[[noreturn]] void fail(const fs::path& path, const char* what) {
    throw Error(
        ErrorCode::internal,
        std::string(what) + ' ' + path.string() + ": " + std::generic_category().message(errno)
    );
}

/// Takes the lock, or tells that a living daemon has it. One that was killed while it started a
/// child leaves its lock with that child until the child's exec: that moment is waited for.
bool lock_of_the_living(int fd, const fs::path& pid_file) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int owner = std::atoi(first_line(pid_file).c_str());
        const bool lives = owner > 0 && ::kill(owner, 0) == 0;
        if (lives || std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
}

}  // namespace

std::string random_hex(std::size_t count) {
    std::string bytes(count, '\0');
    const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
    SLUICE_CHECK(got == static_cast<ssize_t>(count));
    return to_hex(bytes);
}

void write_private_file(const fs::path& path, const std::string& text) {
    const fs::path temporary = path.string() + ".tmp";
    ::unlink(temporary.c_str());
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) fail(temporary, "cannot write");
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const bool synced = ::fsync(fd) == 0;
    ::close(fd);
    if (!written || !synced) fail(temporary, "cannot write");
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "cannot write");
}

Home::Home(fs::path folder) : folder_(fs::absolute(std::move(folder)).lexically_normal()) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error)
        throw Error(ErrorCode::invalid, "cannot make " + folder_.string() + ": " + error.message());
    // Others may pass through (the private cluster runs as `postgres`), but not look around.
    if (::geteuid() == 0) ::chmod(folder_.c_str(), 0711);

    const fs::path pid_file = folder_ / "sluice.pid";
    lock_fd_ = ::open(pid_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock_fd_ < 0) fail(pid_file, "cannot open");
    if (!lock_of_the_living(lock_fd_, pid_file)) {
        const auto owner = first_line(pid_file);
        ::close(lock_fd_);
        throw Error(
            ErrorCode::conflict,
            "another daemon (process " + owner + ") serves " + folder_.string() +
                "; stop it first, or give another --home"
        );
    }
    const std::string pid = std::to_string(::getpid()) + '\n';
    if (::ftruncate(lock_fd_, 0) != 0 ||
        ::pwrite(lock_fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        fail(pid_file, "cannot write");
    // What a killed daemon left would send CLI verbs to a wrong address.
    fs::remove(folder_ / "sluice.url", error);

    const fs::path instance = folder_ / "instance";
    instance_id_ = first_line(instance);
    if (instance_id_.empty()) {
        instance_id_ = random_hex(8);
        write_private_file(instance, instance_id_ + '\n');
    }
    if (!fs::exists(folder_ / "secrets")) make_secrets();
}

Home::~Home() {
    std::error_code ignored;
    fs::remove(folder_ / "sluice.url", ignored);
    // Removed while still locked: nobody can mistake it for a running daemon's.
    fs::remove(folder_ / "sluice.pid", ignored);
    ::close(lock_fd_);
}

bool Home::has_admin_password() const {
    std::error_code ignored;
    return fs::exists(folder_ / "admin.password", ignored);
}

Secret Home::admin_password() {
    const fs::path path = folder_ / "admin.password";
    auto password = first_line(path);
    if (password.empty()) {
        password = random_hex(12);
        write_private_file(path, password + '\n');
    }
    return Secret(std::move(password));
}

void Home::make_secrets() const {
    const nlohmann::json secrets{{"mask_master", random_hex(32)}, {"ip_salt", random_hex(16)}};
    write_private_file(folder_ / "secrets", secrets.dump(2) + '\n');
}

std::map<std::string, Secret> Home::secrets() const {
    const fs::path path = folder_ / "secrets";
    const auto json = nlohmann::json::parse(read_text(path), nullptr, false);
    if (!json.is_object())
        throw Error(ErrorCode::invalid, path.string() + " must be a JSON object of name -> text");
    std::map<std::string, Secret> secrets;
    for (const auto& [name, value] : json.items()) {
        if (!value.is_string())
            throw Error(
                ErrorCode::invalid, path.string() + ": the secret \"" + name + "\" must be text"
            );
        secrets.emplace(name, Secret(value.get<std::string>()));
    }
    return secrets;
}

Secret Home::secret_or_new(const std::string& name) const {
    auto known = secrets();
    if (const auto found = known.find(name); found != known.end()) return found->second;
    const fs::path path = folder_ / "secrets";
    auto json = nlohmann::ordered_json::parse(read_text(path));
    json[name] = random_hex(24);
    write_private_file(path, json.dump(2) + '\n');
    return Secret(json[name].get<std::string>());
}

void Home::write_address(const std::string& url) const {
    write_private_file(folder_ / "sluice.url", url + '\n');
}

}  // namespace sluice
