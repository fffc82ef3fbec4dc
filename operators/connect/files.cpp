#include "operators/connect/files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include <archive.h>
#include <archive_entry.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

#include "operators/connect/gzip_reader.hpp"
#include "operators/engine/error_number.hpp"
#include "operators/engine/failure.hpp"
#include "task/context.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using engine::Failure;

fs::path folder_of(const task::Connection& connection) {
    if (connection.type != "fs") {
        throw Error(
            ErrorCode::invalid,
            "connection \"" + connection.id + "\" is of type \"" + connection.type +
                "\", a folder (fs) is needed here"
        );
    }
    const auto extra = nlohmann::json::parse(connection.extra, nullptr, false);
    if (extra.is_object() && extra.contains("path") && extra["path"].is_string()) {
        return extra["path"].get<std::string>();
    }
    if (!connection.schema.empty()) return connection.schema;
    throw Error(ErrorCode::invalid, "connection \"" + connection.id + "\" names no path");
}

void check_inside(const std::string& pattern) {
    const fs::path path(pattern);
    const bool climbs =
        std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
    if (path.is_absolute() || climbs || pattern.empty()) {
        throw Error(
            ErrorCode::invalid,
            "the path \"" + pattern + "\" must lie inside the connection's folder"
        );
    }
}

bool links_anywhere(const task::Connection& connection) {
    const auto extra = nlohmann::json::parse(connection.extra, nullptr, false);
    return extra.is_object() && extra.value("links", nlohmann::json()) == "anywhere";
}

namespace {

[[noreturn]] void fail_at(const fs::path& path, int number) {
    throw Failure(
        engine::class_of_errno(number), path.string() + " cannot be read: " + std::strerror(number)
    );
}

/// What is there, links followed; not_found also for a link that leads nowhere or in a circle.
fs::file_type type_of(const fs::path& path) {
    std::error_code error;
    const fs::file_type type = fs::status(path, error).type();
    if (error.value() == ELOOP) return fs::file_type::not_found;
    if (type == fs::file_type::none) fail_at(path, error.value());
    return type;
}

bool is_file(const fs::path& path) { return type_of(path) == fs::file_type::regular; }
bool is_folder(const fs::path& path) { return type_of(path) == fs::file_type::directory; }

bool has_wildcard(const std::string& text) {
    return text.find_first_of("*?[") != std::string::npos;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error))
        entries.push_back(entry->path());
    if (error && error.value() != ENOENT) fail_at(folder, error.value());
    return entries;
}

/// Files that fit the rest of a pattern, from a folder on.
class Search {
public:
    explicit Search(fs::path::const_iterator end) : end_(std::move(end)) {}

    void collect(const fs::path& folder, fs::path::const_iterator part) {
        if (part == end_) return;
        const std::string name = part->string();
        const auto next = std::next(part);
        if (name == "**") return collect_below(folder, part);
        if (!has_wildcard(name)) return take(folder / name, next);
        for (const fs::path& entry : entries_of(folder))
            if (fnmatch(name.c_str(), entry.filename().c_str(), FNM_PERIOD) == 0) take(entry, next);
    }
    std::vector<fs::path> found;

private:
    void take(const fs::path& path, fs::path::const_iterator next) {
        if (next == end_ ? is_file(path) : is_folder(path)) {
            if (next == end_)
                found.push_back(path);
            else
                collect(path, next);
        }
    }
    void collect_below(const fs::path& folder, fs::path::const_iterator part) {
        collect(folder, std::next(part));
        for (const fs::path& entry : entries_of(folder)) {
            if (!is_folder(entry)) continue;
            if (!fs::is_symlink(entry)) {
                collect_below(entry, part);
                continue;
            }
            // A link to a folder that we are in already leads round in a circle.
            std::error_code gone;
            const fs::path real = fs::canonical(entry, gone);
            if (gone || is_above(real, fs::canonical(folder, gone)) ||
                std::ranges::find(links_, real) != links_.end())
                continue;
            links_.push_back(real);
            collect_below(entry, part);
            links_.pop_back();
        }
    }
    static bool is_above(const fs::path& above, const fs::path& path) {
        return std::mismatch(above.begin(), above.end(), path.begin(), path.end()).first ==
               above.end();
    }

    const fs::path::const_iterator end_;
    std::vector<fs::path> links_;  // that were followed to where we are
};

void check_links(const fs::path& root, const std::vector<fs::path>& files) {
    std::error_code gone;
    const fs::path real_root = fs::canonical(root, gone);
    for (const fs::path& file : files) {
        const fs::path real = fs::canonical(file, gone);
        if (gone) continue;
        const auto [in_root, in_file] =
            std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
        if (in_root == real_root.end()) continue;
        throw Failure(
            ErrorClass::permanent,
            file.string() + " is a link out of the connection's folder, to " + real.string() +
                " (if that is meant: \"links\": \"anywhere\" in the connection's extra)"
        );
    }
}

}  // namespace

std::vector<fs::path> find_files(
    const fs::path& root, const std::string& pattern, bool links_anywhere
) {
    check_inside(pattern);
    if (!is_folder(root)) return {};
    const fs::path path(pattern);
    Search search(path.end());
    search.collect(root, path.begin());
    std::vector<fs::path> found = std::move(search.found);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (!links_anywhere) check_links(root, found);
    return found;
}

std::string instead_of_file(const fs::path& path) {
    std::error_code error;
    const fs::file_type type = fs::status(path, error).type();
    if (type == fs::file_type::directory) return "a folder";
    if (type == fs::file_type::fifo) return "a named pipe";
    if (type == fs::file_type::socket) return "a socket";
    if (type == fs::file_type::block || type == fs::file_type::character) return "a device";
    if (fs::is_symlink(fs::symlink_status(path, error))) return "a link that leads nowhere";
    return "";
}

std::ifstream open_to_read(const fs::path& file) {
    errno = 0;
    std::ifstream opened(file, std::ios::binary);
    if (!opened) fail_at(file, errno);
    return opened;
}

std::size_t read_some(
    std::ifstream& file, const std::string& name, char* buffer, std::size_t size
) {
    errno = 0;
    file.read(buffer, static_cast<std::streamsize>(size));
    if (file.bad())
        throw Failure(
            engine::class_of_errno(errno != 0 ? errno : EIO),
            name + " cannot be read: " + std::strerror(errno != 0 ? errno : EIO)
        );
    return static_cast<std::size_t>(file.gcount());
}

Compression compression_of(const fs::path& file) {
    const std::string extension = file.extension().string();
    if (extension == ".gz") return Compression::gzip;
    if (extension == ".zst" || extension == ".zstd") return Compression::zstd;
    if (extension == ".zip") return Compression::zip;
    return Compression::none;
}

/// A zstd or zip file.
class Archive {
public:
    Archive(const fs::path& file, bool zip) : name_(file.filename().string()), zip_(zip) {
        open_to_read(file);  // says better what is wrong
        try {
            open(file);
        } catch (...) {
            archive_read_free(packed_);
            throw;
        }
    }
    Archive(const Archive&) = delete;
    Archive& operator=(const Archive&) = delete;
    ~Archive() { archive_read_free(packed_); }

    std::size_t read(char* buffer, std::size_t size) {
        const la_ssize_t got = archive_read_data(packed_, buffer, size);
        if (got < 0) broken();
        archive_entry* entry = nullptr;
        if (got == 0 && zip_ && archive_read_next_header(packed_, &entry) == ARCHIVE_OK)
            throw Failure(ErrorClass::permanent, name_ + " holds more than one file");
        return static_cast<std::size_t>(got);
    }

private:
    void open(const fs::path& file) {
        if (zip_) {
            archive_read_support_format_zip(packed_);
        } else {
            archive_read_support_format_raw(packed_);
            archive_read_support_format_empty(packed_);
            archive_read_support_filter_zstd(packed_);
        }
        if (archive_read_open_filename(packed_, file.c_str(), 1 << 18) != ARCHIVE_OK) broken();
        archive_entry* entry = nullptr;
        const int result = archive_read_next_header(packed_, &entry);
        if (result == ARCHIVE_EOF) broken(zip_ ? "it holds no file" : "it is empty");
        if (result != ARCHIVE_OK) broken();
        if (!zip_ && archive_filter_code(packed_, 0) != ARCHIVE_FILTER_ZSTD)
            broken("it is no zstd");
    }
    [[noreturn]] void broken() const {
        const char* text = archive_error_string(packed_);
        broken(text != nullptr ? text : "unknown");
    }
    [[noreturn]] void broken(const std::string& why) const {
        engine::bad_data(name_ + " cannot be unpacked: " + why);
    }

    const std::string name_;
    const bool zip_;
    archive* const packed_{archive_read_new()};
};

struct FileReader::State {
    std::string name;
    std::ifstream plain;
    std::optional<GzipReader> gzip;
    std::optional<Archive> archive;
};

FileReader::FileReader(const fs::path& file, Compression compression)
    : state_(std::make_unique<State>()) {
    state_->name = file.filename().string();
    switch (compression) {
        case Compression::none:
            state_->plain = open_to_read(file);
            return;
        case Compression::gzip:
            state_->gzip.emplace(file);
            return;
        case Compression::zstd:
        case Compression::zip:
            state_->archive.emplace(file, compression == Compression::zip);
            return;
    }
}

FileReader::~FileReader() = default;

std::size_t FileReader::read(char* buffer, std::size_t size) {
    if (state_->gzip) return state_->gzip->read(buffer, size);
    if (state_->archive) return state_->archive->read(buffer, size);
    return read_some(state_->plain, state_->name, buffer, size);
}

}  // namespace sluice::connect
