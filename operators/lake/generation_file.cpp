#include "operators/lake/generation_file.hpp"

#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "operators/engine/sql.hpp"

namespace sluice::lake {

namespace fs = std::filesystem;

namespace {

constexpr const char* name = "part-0.parquet";

void sync_path(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
}

}  // namespace

Content content_of(engine::Database& database, const std::string& relation) {
    const auto sums = database
                          .query(
                              "select count(*), " + std::string(engine::content_hash_aggregates) +
                              " from " + relation
                          )
                          .rows.at(0);
    return {
        std::get<std::int64_t>(sums.at(0)),
        engine::content_hash(
            {engine::to_text(sums.at(1)),
             engine::to_text(sums.at(2)),
             engine::to_text(sums.at(3)),
             engine::to_text(sums.at(4))}
        )
    };
}

GenerationFile::GenerationFile(const fs::path& root, std::string folder)
    : folder_(std::move(folder)), path_(root / folder_) {
    fs::create_directories(path_);
}

GenerationFile::~GenerationFile() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
}

Written GenerationFile::write(engine::Database& database, const std::string& query) {
    const fs::path file = path_ / name;
    const std::string path = engine::literal(file.string());
    database.execute("copy (" + query + ") to " + path + " (format parquet, compression zstd)");
    sync_path(file);
    sync_path(path_);
    Content content = content_of(database, "read_parquet(" + path + ")");
    return {
        .rows = content.rows,
        .bytes = static_cast<std::int64_t>(fs::file_size(file)),
        .files = 1,
        .content_hash = std::move(content.hash),
    };
}

std::string GenerationFile::listed(const Written& written) const {
    return nlohmann::json::array(
               {{{"path", folder_ + '/' + name}, {"rows", written.rows}, {"bytes", written.bytes}}}
    ).dump();
}

}  // namespace sluice::lake
