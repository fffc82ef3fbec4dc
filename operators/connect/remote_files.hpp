// remote_files.hpp — files on a server that are downloaded before they are read: what FilePlace
// needs of one kind of server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "operators/connect/file_place.hpp"

namespace sluice::connect {

class NewFile;

struct RemoteFiles {
    std::string told;  // "sftp://host/in/": for messages
    /// Those that fit the pattern, in order, without their paths. Throws Failure, and
    /// Error(invalid) for a pattern that this server cannot look for.
    std::function<std::vector<PlacedFile>(const std::string& pattern)> find;
    /// Downloads the file as it is now. `room` is told its size before the first byte, if the
    /// server says it.
    std::function<
        void(const PlacedFile& file, NewFile& to, const std::function<void(std::int64_t)>& room)>
        fetch;
    /// "a folder": what stands at a path in place of a file; may be empty.
    std::function<std::string(const std::string& pattern)> instead_of;
};

/// Of a connection of type sftp.
RemoteFiles sftp_files(task::TaskContext& context, const task::Connection& connection);

}  // namespace sluice::connect
