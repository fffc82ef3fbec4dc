#include "operators/connect/file_place.hpp"

#include <nlohmann/json.hpp>

#include "operators/connect/aws_settings.hpp"
#include "operators/connect/download.hpp"
#include "operators/connect/files.hpp"
#include "operators/connect/patience.hpp"
#include "operators/connect/remote_files.hpp"
#include "operators/connect/s3_cache.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;

struct FilePlace::Bucket {
    Bucket(task::TaskContext& context, const task::Connection& connection)
        : s3(context, connection), cache(context, s3, "source-" + connection.id) {}
    S3 s3;
    S3Cache cache;
};

struct FilePlace::Server {
    RemoteFiles files;
    std::int64_t cache_bytes;
};

namespace {

std::int64_t cache_bytes_of(const task::Connection& connection) {
    const auto extra = extra_of(connection);
    const auto found = extra.find("cache_bytes");
    return found != extra.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                              : cache_bytes_default;
}

PlacedFile placed(const fs::path& root, const fs::path& path) {
    PlacedFile file{.name = path.lexically_relative(root).string(), .path = path};
    std::error_code gone;
    file.bytes = static_cast<std::int64_t>(fs::file_size(path, gone));
    const auto written = gone ? fs::file_time_type() : fs::last_write_time(path, gone);
    if (gone) file.bytes = -1;
    file.written = written.time_since_epoch().count();
    file.changed_at =
        std::chrono::time_point_cast<Duration>(std::chrono::file_clock::to_sys(written));
    return file;
}

}  // namespace

FilePlace::FilePlace(task::TaskContext& context, const task::Connection& connection) {
    if (is_object_store(connection)) {
        bucket_ = std::make_unique<Bucket>(context, connection);
        root_ = bucket_->cache.folder();
    } else if (connection.type == "sftp") {
        serve(context, connection, sftp_files(context, connection));
    } else {
        root_ = folder_of(connection);
        links_anywhere_ = links_anywhere(connection);
    }
}

FilePlace::FilePlace(
    task::TaskContext& context, const task::Connection& connection, RemoteFiles remote
) {
    serve(context, connection, std::move(remote));
}

void FilePlace::serve(
    task::TaskContext& context, const task::Connection& connection, RemoteFiles remote
) {
    root_ = fs::path(context.scratch()) / ("source-" + connection.id);
    server_ = std::make_unique<Server>(Server{std::move(remote), cache_bytes_of(connection)});
}

FilePlace::~FilePlace() = default;

std::vector<PlacedFile> FilePlace::find(const std::string& pattern) {
    std::vector<PlacedFile> found;
    if (bucket_) {
        for (const S3Object& object : find_objects(bucket_->s3, pattern))
            found.push_back(
                {object.key,
                 root_ / object.key,
                 object.bytes,
                 to_micros(object.changed_at),
                 object.changed_at}
            );
        return found;
    }
    if (server_) {
        found = server_->files.find(pattern);
        for (PlacedFile& file : found) file.path = root_ / file.name;
        return found;
    }
    for (const fs::path& path : find_files(root_, pattern, links_anywhere_))
        found.push_back(placed(root_, path));
    return found;
}

void FilePlace::fetch(const PlacedFile& file) {
    if (server_) {
        if (fs::exists(file.path)) return;
        fs::create_directories(file.path.parent_path());
        NewFile part(file.path.string() + ".part");
        server_->files.fetch(file, part, [&](std::int64_t bytes) {
            check_room(root_, server_->cache_bytes, file.name, bytes);
        });
        part.keep();
        fs::rename(part.path(), file.path);
        return;
    }
    if (!bucket_) return;
    try {
        bucket_->cache.fetch(file.name);
    } catch (const engine::Failure& failure) {
        if (failure.error_class() != ErrorClass::permanent || bucket_->s3.head(file.name)) throw;
        throw engine::Failure(
            ErrorClass::transient, std::string(failure.what()) + ": it was there a moment ago"
        );
    }
}

bool FilePlace::has_changed(const PlacedFile& file) const {
    if (bucket_ || server_) return false;
    const PlacedFile now = placed(root_, file.path);
    return now.bytes != file.bytes || now.written != file.written;
}

std::string FilePlace::instead_of(const std::string& pattern) const {
    if (bucket_) return "";
    if (!server_) return instead_of_file(root_ / pattern);
    return server_->files.instead_of ? server_->files.instead_of(pattern) : "";
}

const fs::path& FilePlace::root() const { return root_; }

std::string FilePlace::told() const {
    if (server_) return server_->files.told;
    return bucket_ ? bucket_->s3.address("") : root_.string();
}

}  // namespace sluice::connect
