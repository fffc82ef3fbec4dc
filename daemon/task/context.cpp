#include "task/context.hpp"

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "task/job.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

std::string make_scratch(const std::string& root) {
    const std::filesystem::path base =
        root.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(root);
    std::filesystem::create_directories(base);
    std::string pattern = (base / "sluice-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw Error(ErrorCode::internal, "cannot make a scratch folder " + pattern);
    return pattern;
}

}  // namespace

struct TaskContext::State {
    State(Job the_job, Channel& the_channel) : job(std::move(the_job)), channel(the_channel) {}

    Job job;
    Channel& channel;
    std::map<std::string, const DatasetSpec*, std::less<>> datasets;
    Json checkpoint;
    Spawner* spawner{nullptr};
    std::string scratch_root;

    mutable std::mutex mutex;  // guards what follows
    std::string scratch;
    bool own_scratch{false};
    bool cancelled{false};
    std::vector<std::function<void()>> on_cancel;
    std::map<std::string, Secret> secrets;
};

TaskContext::TaskContext(Job job, Channel& channel, Place place)
    : state_(std::make_unique<State>(std::move(job), channel)) {
    state_->scratch = std::move(place.scratch);
    state_->spawner = place.spawner;
    state_->scratch_root = std::move(place.scratch_root);
    if (state_->job.checkpoint != "null") state_->checkpoint = Json::parse(state_->job.checkpoint);
    if (!state_->job.datasets) return;
    for (const auto& dataset : *state_->job.datasets)
        state_->datasets.emplace(dataset.name, &dataset);
}

TaskContext::TaskContext(const Json& job, Channel& channel, Place place)
    : TaskContext(job_of(job), channel, std::move(place)) {}

TaskContext::~TaskContext() {
    if (!state_->own_scratch) return;
    std::error_code ignored;
    std::filesystem::remove_all(state_->scratch, ignored);
}

const TaskInfo& TaskContext::info() const { return state_->job.info; }
const Resources& TaskContext::resources() const { return state_->job.resources; }
const Job& TaskContext::job() const { return state_->job; }

const std::string& TaskContext::scratch() const {
    const std::lock_guard lock(state_->mutex);
    if (state_->scratch.empty()) {
        state_->scratch = make_scratch(state_->scratch_root);
        state_->own_scratch = true;
    }
    return state_->scratch;
}

Spawner& TaskContext::spawner() const {
    SLUICE_CHECK(state_->spawner != nullptr);
    return *state_->spawner;
}

void TaskContext::log(Level level, std::string_view message, std::string_view source) {
    state_->channel.send(
        {{"type", "log"}, {"level", name(level)}, {"message", message}, {"source", source}}
    );
}

void TaskContext::progress(double fraction, std::string_view what) {
    state_->channel.send({{"type", "progress"}, {"fraction", fraction}, {"what", what}});
}

void TaskContext::xcom(const std::string& key, const Json& value) {
    state_->channel.send({{"type", "xcom"}, {"key", key}, {"value", value}});
}

bool TaskContext::cancelled() const {
    const std::lock_guard lock(state_->mutex);
    return state_->cancelled;
}

void TaskContext::on_cancel(std::function<void()> callback) {
    {
        const std::lock_guard lock(state_->mutex);
        if (!state_->cancelled) {
            state_->on_cancel.push_back(std::move(callback));
            return;
        }
    }
    callback();
}

void TaskContext::cancel() {
    std::vector<std::function<void()>> callbacks;
    {
        const std::lock_guard lock(state_->mutex);
        if (std::exchange(state_->cancelled, true)) return;
        callbacks.swap(state_->on_cancel);
    }
    for (const auto& callback : callbacks) callback();
}

Connection TaskContext::connection(const std::string& conn_id) const {
    const auto found = state_->job.connections.find(conn_id);
    if (found != state_->job.connections.end()) return found->second;
    // Not among those that the parameters name: the daemon decides, and words the refusal.
    return connection_of(state_->channel.call({{"type", "connection"}, {"conn_id", conn_id}}));
}

Secret TaskContext::secret(const std::string& secret_name) const {
    const auto given = state_->job.secrets.find(secret_name);
    if (given != state_->job.secrets.end()) return given->second;
    {
        const std::lock_guard lock(state_->mutex);
        const auto known = state_->secrets.find(secret_name);
        if (known != state_->secrets.end()) return known->second;
    }
    const Json reply = state_->channel.call({{"type", "secret"}, {"name", secret_name}});
    Secret value{reply.at("value").get<std::string>()};
    const std::lock_guard lock(state_->mutex);
    return state_->secrets.emplace(secret_name, std::move(value)).first->second;
}

const std::string& TaskContext::file(const std::string& path) const {
    if (state_->job.files) {
        const auto found = state_->job.files->find(path);
        if (found != state_->job.files->end()) return found->second;
    }
    throw Error(ErrorCode::not_found, "the DAG's bundle has no file \"" + path + '"');
}

const DatasetSpec& TaskContext::dataset(const std::string& dataset_name) const {
    const auto found = state_->datasets.find(dataset_name);
    if (found != state_->datasets.end()) return *found->second;
    throw Error(
        ErrorCode::not_found,
        "data set \"" + dataset_name + "\" is not known to DAG \"" + info().dag_id + '"'
    );
}

std::optional<std::string> TaskContext::schema_connection(const std::string& schema) const {
    const auto found = state_->job.schemas.find(schema);
    if (found == state_->job.schemas.end()) return std::nullopt;
    return found->second.conn_id;
}

std::string TaskContext::physical_schema(const std::string& schema) const {
    const auto found = state_->job.schemas.find(schema);
    return found == state_->job.schemas.end() ? schema : found->second.physical;
}

const std::string& TaskContext::lake_connection() const { return state_->job.lake; }

bool TaskContext::is_latest_run() {
    return state_->channel.call({{"type", "latest"}}).at("latest").get<bool>();
}

std::string TaskContext::partition(const std::string& dataset_name) const {
    const auto found = state_->job.partitions.find(dataset_name);
    if (found != state_->job.partitions.end()) return found->second;
    const Json reply = state_->channel.call({{"type", "partition"}, {"dataset", dataset_name}});
    return reply.at("partition").get<std::string>();
}

std::vector<InputSlice> TaskContext::inputs(const InputQuery& query) {
    Json request = to_json(query);
    request["type"] = "inputs";
    std::vector<InputSlice> slices;
    const Json reply = state_->channel.call(request);
    for (const auto& slice : reply.at("slices")) slices.push_back(slice_of(slice));
    return slices;
}

OutputClaim TaskContext::claim_output(
    const std::string& dataset_name,
    const std::string& partition_label,
    const std::string& slice,
    std::int64_t at_least
) {
    const Json reply = state_->channel.call(
        {{"type", "claim"},
         {"dataset", dataset_name},
         {"partition", partition_label},
         {"slice", slice},
         {"at_least", at_least}}
    );
    return {reply.at("generation").get<std::int64_t>(), reply.at("folder").get<std::string>()};
}

void TaskContext::commit_output(const OutputCommit& output) {
    Json notice = to_json(output);
    notice["type"] = "output";
    state_->channel.send(notice);
}

const std::optional<PokeInfo>& TaskContext::poke() const { return state_->job.poke; }
Json TaskContext::ask(const Json& request) { return state_->channel.call(request); }

void TaskContext::checkpoint(const Json& state) {
    state_->channel.call({{"type", "checkpoint"}, {"state", state}});
}

const Json& TaskContext::previous_checkpoint() const { return state_->checkpoint; }

}  // namespace sluice::task
