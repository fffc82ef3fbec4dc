#include "operators/extract/spool_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/storage.hpp"

namespace sluice::extract {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::hours forgotten_after{48};

std::string instance_folder(const task::TaskInfo& info) {
    const nlohmann::json parts{info.dag_id, info.run_id, info.task_id, info.map_index};
    return sha256_hex(parts.dump()).substr(0, 32);
}

void sweep_spools(const SpoolFolder& spool) {
    std::error_code ignored;
    const auto limit = fs::file_time_type::clock::now() - forgotten_after;
    for (const auto& entry : fs::directory_iterator(spool.root, ignored)) {
        if (entry.path() == spool.folder) continue;
        auto newest = entry.last_write_time(ignored);
        for (const auto& file : fs::directory_iterator(entry.path(), ignored))
            newest = std::max(newest, file.last_write_time(ignored));
        if (newest < limit) fs::remove_all(entry.path(), ignored);
    }
}

}  // namespace

SpoolFolder open_spool_folder(task::TaskContext& context) {
    SpoolFolder spool;
    spool.root = lake::local_home(context) / "_spool";
    spool.folder = spool.root / instance_folder(context.info());
    fs::create_directories(spool.folder);
    sweep_spools(spool);
    return spool;
}

void remove_spool_folder(const SpoolFolder& spool) noexcept {
    std::error_code ignored;
    fs::remove_all(spool.folder, ignored);
    fs::remove(spool.root, ignored);  // if it is empty
}

void fail_to_write(const fs::path& path) {
    const ErrorClass kind =
        errno == ENOSPC || errno == EDQUOT ? ErrorClass::resource : ErrorClass::transient;
    throw engine::Failure(kind, "cannot write " + path.string() + ": " + std::strerror(errno));
}

}  // namespace sluice::extract
