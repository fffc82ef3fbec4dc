#include "operators/connect/files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <archive.h>
#include <archive_entry.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

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

namespace {

bool has_wildcard(const std::string& text) {
    return text.find_first_of("*?[") != std::string::npos;
}

void collect(
    const fs::path& folder,
    fs::path::const_iterator part,
    const fs::path::const_iterator& end,
    std::vector<fs::path>& found
) {
    if (part == end) return;
    const std::string name = part->string();
    const auto next = std::next(part);
    if (!has_wildcard(name)) {
        const fs::path path = folder / name;
        if (next == end) {
            if (fs::is_regular_file(path)) found.push_back(path);
        } else if (fs::is_directory(path)) {
            collect(path, next, end, found);
        }
        return;
    }
    if (name == "**") collect(folder, next, end, found);
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string entry_name = entry.path().filename().string();
        if (name == "**") {
            if (entry.is_directory()) collect(entry.path(), part, end, found);
        } else if (fnmatch(name.c_str(), entry_name.c_str(), FNM_PERIOD) == 0) {
            if (next == end && entry.is_regular_file()) found.push_back(entry.path());
            if (next != end && entry.is_directory()) collect(entry.path(), next, end, found);
        }
    }
}

}  // namespace

std::vector<fs::path> find_files(const fs::path& root, const std::string& pattern) {
    check_inside(pattern);
    std::vector<fs::path> found;
    if (!fs::is_directory(root)) return found;
    const fs::path path(pattern);
    collect(root, path.begin(), path.end(), found);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

Compression compression_of(const fs::path& file) {
    const std::string extension = file.extension().string();
    if (extension == ".gz") return Compression::gzip;
    if (extension == ".zst" || extension == ".zstd") return Compression::zstd;
    if (extension == ".zip") return Compression::zip;
    return Compression::none;
}

struct FileReader::State {
    std::string name;
    std::ifstream plain;
    archive* packed{nullptr};
    bool is_zip{false};

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (packed != nullptr) archive_read_free(packed);
    }

    [[noreturn]] void broken() const {
        const char* text = archive_error_string(packed);
        throw Failure(
            ErrorClass::data_quality,
            name + " cannot be unpacked: " + (text != nullptr ? text : "unknown")
        );
    }
    void open_packed(const fs::path& file, Compression compression) {
        packed = archive_read_new();
        if (compression == Compression::zip) {
            is_zip = true;
            archive_read_support_format_zip(packed);
        } else {
            archive_read_support_format_raw(packed);
            archive_read_support_format_empty(packed);
            if (compression == Compression::gzip) archive_read_support_filter_gzip(packed);
            if (compression == Compression::zstd) archive_read_support_filter_zstd(packed);
        }
        if (archive_read_open_filename(packed, file.c_str(), 1 << 18) != ARCHIVE_OK) broken();
        archive_entry* entry = nullptr;
        if (archive_read_next_header(packed, &entry) != ARCHIVE_OK) broken();
    }
};

FileReader::FileReader(const fs::path& file, Compression compression)
    : state_(std::make_unique<State>()) {
    state_->name = file.filename().string();
    state_->plain.open(file, std::ios::binary);
    if (!state_->plain) {
        throw Failure(
            ErrorClass::permanent,
            "the file " + file.string() + " cannot be read: " + std::strerror(errno)
        );
    }
    if (compression == Compression::none) return;
    state_->plain.close();
    state_->open_packed(file, compression);
}

FileReader::~FileReader() = default;

std::size_t FileReader::read(char* buffer, std::size_t size) {
    if (state_->packed == nullptr) {
        state_->plain.read(buffer, static_cast<std::streamsize>(size));
        if (state_->plain.bad()) {
            throw Failure(ErrorClass::transient, state_->name + " cannot be read");
        }
        return static_cast<std::size_t>(state_->plain.gcount());
    }
    const la_ssize_t got = archive_read_data(state_->packed, buffer, size);
    if (got < 0) state_->broken();
    if (got == 0 && state_->is_zip) {
        archive_entry* entry = nullptr;
        if (archive_read_next_header(state_->packed, &entry) == ARCHIVE_OK) {
            throw Failure(ErrorClass::permanent, state_->name + " holds more than one file");
        }
    }
    return static_cast<std::size_t>(got);
}

}  // namespace sluice::connect
