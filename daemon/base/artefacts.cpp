#include "base/artefacts.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view marker = R"({"$sluice_artefact":")";
constexpr std::string_view list_suffix = ".jsonl";
constexpr std::string_view value_suffix = ".json";
constexpr std::string_view index_suffix = ".index";
constexpr std::size_t hash_digits = 64;
constexpr std::size_t offset_bytes = 8;

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
    throw Error(
        ErrorCode::unavailable,
        "cannot " + what + " artefact " + path.string() + ": " + std::strerror(errno)
    );
}

[[noreturn]] void gone(const ArtefactRef& ref) {
    throw Error(
        ErrorCode::not_found,
        "artefact " + ref.hash + " (" + std::to_string(ref.bytes) + " bytes) is gone"
    );
}

class File {
public:
    File(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    [[nodiscard]] int get() const { return fd_; }

    [[nodiscard]] std::int64_t size() const {
        struct stat status{};
        return ::fstat(fd_, &status) == 0 ? std::int64_t{status.st_size} : -1;
    }

    /// False if there are not that many bytes.
    [[nodiscard]] bool read_at(std::int64_t offset, char* into, std::size_t count) const {
        while (count > 0) {
            const ssize_t got = ::pread(fd_, into, count, offset);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return false;
            into += got;
            offset += got;
            count -= static_cast<std::size_t>(got);
        }
        return true;
    }

private:
    int fd_;
};

void sync_folder(const fs::path& folder) {
    const File file(folder, O_RDONLY | O_DIRECTORY);
    if (!file.is_open() || ::fsync(file.get()) != 0) fail("sync the folder of", folder);
}

void make_folder(const fs::path& folder) {
    std::error_code error;
    if (!fs::create_directories(folder, error)) {
        if (!error) return;
        errno = error.value();
        fail("make the folder of", folder);
    }
    sync_folder(folder.parent_path());
}

void write_durably(const fs::path& path, std::string_view content) {
    static std::atomic<unsigned> count{0};
    const fs::path part =
        path.parent_path() / ("part-" + std::to_string(::getpid()) + '-' + std::to_string(++count));
    {
        const File file(part, O_WRONLY | O_CREAT | O_TRUNC);
        if (!file.is_open()) fail("write", part);
        while (!content.empty()) {
            const ssize_t written = ::write(file.get(), content.data(), content.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) {
                ::unlink(part.c_str());
                fail("write", part);
            }
            content.remove_prefix(static_cast<std::size_t>(written));
        }
        if (::fsync(file.get()) != 0) fail("sync", part);
    }
    if (::rename(part.c_str(), path.c_str()) != 0) fail("name", path);
}

void check_size(std::size_t bytes) {
    if (bytes <= limits::artefact_bytes) return;
    throw Error(
        ErrorCode::limit,
        "a value of " + std::to_string(bytes) + " bytes; artefact_bytes is " +
            std::to_string(limits::artefact_bytes)
    );
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// The items of a JSON array's text, without spaces between tokens.
std::vector<std::string> items_of(std::string_view text) {
    std::vector<std::string> items;
    std::string item;
    int depth = 0;  // inside the item
    bool in_string = false;
    for (std::size_t i = text.find('[') + 1; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            item += c;
            if (c == '\\' && i + 1 < text.size()) item += text[++i];
            if (c == '"') in_string = false;
            continue;
        }
        if (is_space(c)) continue;
        if (depth == 0 && (c == ',' || c == ']')) {
            if (!item.empty()) items.push_back(std::exchange(item, {}));
            continue;
        }
        if (c == '[' || c == '{') ++depth;
        if (c == ']' || c == '}') --depth;
        in_string = c == '"';
        item += c;
    }
    return items;
}

void append_offset(std::string& out, std::uint64_t offset) {
    for (unsigned shift = 0; shift < 64; shift += 8)
        out += static_cast<char>((offset >> shift) & 0xFFU);
}

std::int64_t read_offset(const char* at) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < offset_bytes; ++i)
        value |= std::uint64_t{static_cast<std::uint8_t>(at[i])} << (8 * i);
    return static_cast<std::int64_t>(value);
}

/// Where the object that begins at `at` ends; references have no nested objects.
std::string_view object_at(std::string_view text, std::size_t at) {
    const std::size_t end = text.find('}', at);
    if (end == std::string_view::npos) return {};
    return text.substr(at, end - at + 1);
}

fs::path index_of(fs::path path) { return path += index_suffix; }

}  // namespace

std::string reference_text(const ArtefactRef& ref) {
    return std::string(marker) + ref.hash + R"(","bytes":)" + std::to_string(ref.bytes) +
           R"(,"type":")" + ref.type + R"(","items":)" + std::to_string(ref.items) + '}';
}

std::optional<ArtefactRef> reference_of(std::string_view text) {
    if (!text.starts_with(marker)) return std::nullopt;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || json.size() != 4) return std::nullopt;
    const auto hash = json.find("$sluice_artefact");
    const auto bytes = json.find("bytes");
    const auto type = json.find("type");
    const auto items = json.find("items");
    for (const auto& part : {hash, bytes, type, items})
        if (part == json.end()) return std::nullopt;
    if (!hash->is_string() || !bytes->is_number_integer()) return std::nullopt;
    if (!type->is_string() || !items->is_number_integer()) return std::nullopt;
    ArtefactRef ref{*hash, *bytes, *type, *items};
    const bool hex = ref.hash.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hex || ref.hash.size() != hash_digits) return std::nullopt;
    return ref;
}

std::vector<ArtefactRef> references_in(std::string_view text) {
    std::vector<ArtefactRef> refs;
    // Inside a string the quotes of the marker would be escaped: what is found is an object.
    for (std::size_t at = text.find(marker); at != std::string_view::npos;
         at = text.find(marker, at + 1))
        if (auto ref = reference_of(object_at(text, at))) refs.push_back(std::move(*ref));
    return refs;
}

std::string type_of_value(std::string_view text) {
    if (const auto ref = reference_of(text)) return ref->type;
    const std::size_t first = text.find_first_not_of(" \n\r\t");
    switch (first == std::string_view::npos ? '\0' : text[first]) {
        case '{':
            return "object";
        case '[':
            return "list";
        case '"':
            return "string";
        case 't':
        case 'f':
            return "boolean";
        case 'n':
        case '\0':
            return "null";
        default:
            return "number";
    }
}

Artefacts::Artefacts(fs::path root) : root_(std::move(root)) {}

fs::path Artefacts::path_of(const ArtefactRef& ref) const {
    // A reference may come from anywhere: a hash that is none could name any file.
    SLUICE_CHECK(ref.hash.size() == hash_digits);
    SLUICE_CHECK(ref.hash.find_first_not_of("0123456789abcdef") == std::string::npos);
    const bool list = ref.type == "list";
    return root_ / ref.hash.substr(0, 2) /
           (ref.hash + std::string(list ? list_suffix : value_suffix));
}

ArtefactRef Artefacts::put(std::string_view json) {
    check_size(json.size());
    if (type_of_value(json) == "list") return put_items(items_of(json));
    ArtefactRef ref;
    ref.type = type_of_value(json);
    ref.bytes = static_cast<std::int64_t>(json.size());
    ref.hash = sha256_hex(json);
    return store(std::move(ref), json, {});
}

ArtefactRef Artefacts::put_items(const std::vector<std::string>& items) {
    std::string content;
    std::string index;
    for (const std::string& item : items) {
        append_offset(index, content.size());
        content += item;
        content += '\n';
        check_size(content.size());
    }
    append_offset(index, content.size());
    ArtefactRef ref;
    ref.type = "list";
    ref.items = static_cast<std::int64_t>(items.size());
    // Brackets, and a comma between two items where the file has a line's end.
    ref.bytes = static_cast<std::int64_t>(content.size() + (items.empty() ? 2 : 1));
    ref.hash = sha256_hex("list\n" + content);
    return store(std::move(ref), content, index);
}

ArtefactRef Artefacts::store(ArtefactRef ref, std::string_view content, std::string_view index) {
    const fs::path path = path_of(ref);
    const std::lock_guard lock(mutex_);
    // Known already: as good as new.
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return ref;
    make_folder(path.parent_path());
    // The index first: a list that has its name is whole.
    if (ref.type == "list") write_durably(index_of(path), index);
    write_durably(path, content);
    sync_folder(path.parent_path());
    return ref;
}

std::string Artefacts::get(const ArtefactRef& ref) const {
    const File file(path_of(ref), O_RDONLY);
    if (!file.is_open()) gone(ref);
    std::string text(static_cast<std::size_t>(std::max<std::int64_t>(0, file.size())), '\0');
    if (!file.read_at(0, text.data(), text.size())) gone(ref);
    if (ref.type != "list") return text;
    for (char& c : text)
        if (c == '\n') c = ',';
    if (!text.empty()) text.pop_back();
    return '[' + text + ']';
}

std::string Artefacts::get_item(const ArtefactRef& ref, std::int64_t index) const {
    if (ref.type != "list" || index < 0 || index >= ref.items)
        throw Error(
            ErrorCode::not_found,
            "artefact " + ref.hash + " has no item " + std::to_string(index) + ": it is a " +
                ref.type + " of " + std::to_string(ref.items) + " items"
        );
    const fs::path path = path_of(ref);
    const File offsets(index_of(path), O_RDONLY);
    const File lines(path, O_RDONLY);
    if (!offsets.is_open() || !lines.is_open()) gone(ref);
    std::array<char, 2 * offset_bytes> ends;
    if (!offsets.read_at(index * std::int64_t{offset_bytes}, ends.data(), ends.size())) gone(ref);
    const std::int64_t begin = read_offset(ends.data());
    const std::int64_t end = read_offset(ends.data() + offset_bytes);
    if (begin < 0 || end <= begin) gone(ref);
    std::string item(static_cast<std::size_t>(end - begin - 1), '\0');
    if (!lines.read_at(begin, item.data(), item.size())) gone(ref);
    return item;
}

std::string Artefacts::spill(std::string json) {
    if (json.size() <= limits::inline_value_bytes && references_in(json).empty()) return json;
    return reference_text(put(json));
}

std::string Artefacts::resolve(std::string value) const {
    const auto ref = reference_of(value);
    return ref ? get(*ref) : std::move(value);
}

void Artefacts::hold(const std::string& hash) {
    const std::lock_guard lock(mutex_);
    ++held_[hash];
}

void Artefacts::let_go(const std::string& hash) {
    const std::lock_guard lock(mutex_);
    for (const auto suffix : {value_suffix, list_suffix}) {
        const fs::path path = root_ / hash.substr(0, 2) / (hash + std::string(suffix));
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    }
    const auto found = held_.find(hash);
    if (found != held_.end() && --found->second == 0) held_.erase(found);
}

bool Artefacts::remove_if_idle(const fs::path& path, const std::string& hash, Duration age) {
    const std::lock_guard lock(mutex_);
    struct stat status{};
    if (held_.contains(hash) || ::stat(path.c_str(), &status) != 0) return false;
    if (std::difftime(std::time(nullptr), status.st_mtim.tv_sec) < to_seconds(age)) return false;
    if (::unlink(path.c_str()) != 0) return false;
    ::unlink(index_of(path).c_str());
    return true;
}

std::size_t Artefacts::sweep(Duration age, const Counted& counted) {
    constexpr std::size_t at_a_time = 1'000;
    std::size_t removed = 0;
    std::vector<fs::path> paths;
    std::vector<std::string> hashes;
    const auto look = [&] {
        if (paths.empty()) return;
        const auto in_use = counted(hashes);
        for (std::size_t i = 0; i < paths.size(); ++i)
            if (!in_use.contains(hashes[i]) && remove_if_idle(paths[i], hashes[i], age)) ++removed;
        paths.clear();
        hashes.clear();
    };
    std::error_code ignored;
    for (fs::recursive_directory_iterator it(root_, ignored), end; !ignored && it != end;
         it.increment(ignored)) {
        const fs::path& path = it->path();
        const std::string name = path.filename().string();
        if (path.extension() == index_suffix) {
            // Without its list: a crash came between the two.
            fs::path list = path;
            list.replace_extension();
            std::error_code error;
            if (fs::exists(list, error)) continue;
        } else if (!name.starts_with("part-") && path.extension() != value_suffix &&
                   path.extension() != list_suffix) {
            continue;
        }
        paths.push_back(path);
        hashes.push_back(name.substr(0, name.find('.')));
        if (paths.size() == at_a_time) look();
    }
    look();
    return removed;
}

}  // namespace sluice
