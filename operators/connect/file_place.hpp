// file_place.hpp — where source files lie: the folder of an `fs` connection, the bucket of an `s3`
// one, or a server. What does not lie in a folder is downloaded before it is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/instant.hpp"
#include "task/context.hpp"

namespace sluice::connect {

struct PlacedFile {
    std::string name;            // relative to the place
    std::filesystem::path path;  // where it is to be read, once it is fetched
    std::int64_t bytes{};        // -1: it has just gone
    std::int64_t written{};      // another number after each change
    Instant changed_at;
};

struct RemoteFiles;

class FilePlace {
public:
    /// Of type fs, s3, aws or sftp. Throws Error(invalid) for any other connection.
    FilePlace(task::TaskContext& context, const task::Connection& connection);
    /// On a server of another kind.
    FilePlace(task::TaskContext& context, const task::Connection& connection, RemoteFiles remote);
    ~FilePlace();
    FilePlace(const FilePlace&) = delete;
    FilePlace& operator=(const FilePlace&) = delete;

    /// Those that fit the pattern (find_files() has its rules), in order.
    std::vector<PlacedFile> find(const std::string& pattern);
    /// Afterwards it can be read at its path.
    void fetch(const PlacedFile& file);
    /// True if a file of a folder is not what find() saw; others are read as they were fetched.
    [[nodiscard]] bool has_changed(const PlacedFile& file) const;
    /// "a folder", "a named pipe": what stands at a path in place of a file; "" if nothing does.
    [[nodiscard]] std::string instead_of(const std::string& pattern) const;
    /// What all paths begin with.
    [[nodiscard]] const std::filesystem::path& root() const;
    /// "/srv/landing", "s3://bucket/prefix/": for messages.
    [[nodiscard]] std::string told() const;

private:
    struct Bucket;
    struct Server;
    void serve(task::TaskContext& context, const task::Connection& connection, RemoteFiles remote);

    std::filesystem::path root_;
    bool links_anywhere_{false};
    std::unique_ptr<Bucket> bucket_;  // at most one of the two
    std::unique_ptr<Server> server_;
};

}  // namespace sluice::connect
