#include "operators/plan/lake_files.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/connect/aws_settings.hpp"
#include "operators/connect/s3.hpp"
#include "operators/engine/failure.hpp"
#include "task/job.hpp"

namespace sluice::plan {

namespace fs = std::filesystem;

namespace {

/// There is no attempt here: nobody answers, and what is logged is for nobody.
class NoChannel final : public task::Channel {
public:
    nlohmann::json call(const nlohmann::json& request) override {
        throw Error(ErrorCode::internal, "a plan asked for " + request.dump());
    }
    void send(const nlohmann::json&) override {}
};

}  // namespace

struct LakeFiles::State {
    explicit State(const task::Connection& place)
        : context(task::Job{}, channel, {}), s3(context, place) {}
    NoChannel channel;
    task::TaskContext context;
    connect::S3 s3;
};

LakeFiles::LakeFiles(const task::Connection& place, fs::path folder)
    : folder_(std::move(folder)), state_(std::make_unique<State>(place)) {
    fs::create_directories(folder_);
}

LakeFiles::~LakeFiles() = default;

bool LakeFiles::lie_in_a_bucket(const task::Connection& place) {
    return connect::is_object_store(place);
}

void LakeFiles::fetch(const std::string& file) {
    const std::lock_guard lock(mutex_);
    const fs::path path = folder_ / file;
    if (fs::exists(path)) return;
    fs::create_directories(path.parent_path());
    state_->s3.get(file, path, [&](std::int64_t bytes) {
        if (static_cast<std::uintmax_t>(bytes) > fs::space(folder_).available)
            throw engine::Failure(
                ErrorClass::resource,
                "no room in " + folder_.string() + " for " + state_->s3.address(file) + " (" +
                    std::to_string(bytes) + " bytes): set TMPDIR to a larger disk"
            );
    });
}

void LakeFiles::stop() { state_->context.cancel(); }

}  // namespace sluice::plan
