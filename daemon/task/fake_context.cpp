#include "task/fake_context.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "model/names.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

std::string key_of(
    const std::string& dataset, const std::string& partition, const std::string& slice
) {
    return dataset + '\n' + partition + '\n' + slice;
}

Level level_of(const std::string& text) {
    for (const Level level : {Level::debug, Level::info, Level::warning, Level::error})
        if (name(level) == text) return level;
    unreachable();
}

}  // namespace

std::string partition_label_utc(const std::string& partition, Instant at) {
    const std::string text = format_z(at);  // 2026-01-05T07:00:00Z
    if (partition == "hour") return "hour=" + text.substr(0, 13);
    if (partition == "day") return "dt=" + text.substr(0, 10);
    if (partition == "month") return "month=" + text.substr(0, 7);
    if (partition == "year") return "year=" + text.substr(0, 4);
    if (partition == "quarter")
        return "quarter=" + text.substr(0, 4) + 'Q' +
               std::to_string((std::stoi(text.substr(5, 2)) + 2) / 3);
    return "";
}

std::int64_t FakeLedger::claim(const std::string& slice_key, std::int64_t at_least) {
    const std::lock_guard lock(mutex_);
    auto& generation = generations_[slice_key];
    generation = std::max(generation + 1, at_least);
    return generation;
}

void FakeLedger::publish(const OutputCommit& output) {
    const std::lock_guard lock(mutex_);
    const std::string key = key_of(output.dataset, output.partition, output.slice);
    if (generations_[key] != output.generation)
        throw Error(ErrorCode::conflict, "a newer attempt has claimed " + output.dataset);
    Live live{output, {}};
    for (const auto& file : Json::parse(output.files.empty() ? "[]" : output.files))
        live.files.push_back(file.at("path").get<std::string>());
    live_[key] = std::move(live);
}

std::vector<InputSlice> FakeLedger::live(const std::string& dataset) const {
    const std::lock_guard lock(mutex_);
    std::vector<InputSlice> slices;
    for (const auto& [key, live] : live_) {
        if (live.output.dataset != dataset) continue;
        slices.push_back(
            {dataset,
             live.output.partition,
             live.output.slice,
             live.output.generation,
             live.files,
             live.output.rows,
             read_in(live.output.input)}
        );
    }
    return slices;
}

void FakeLedger::put_metrics(
    const std::string& dataset, std::int64_t start, const std::string& values
) {
    const std::lock_guard lock(mutex_);
    metrics_[dataset][start] = values;
}

std::map<std::int64_t, std::string> FakeLedger::metrics(const std::string& dataset) const {
    const std::lock_guard lock(mutex_);
    const auto found = metrics_.find(dataset);
    return found == metrics_.end() ? std::map<std::int64_t, std::string>{} : found->second;
}

/// The daemon's end of the channel.
class FakeContext::Recorder final : public Channel {
public:
    Recorder(FakeLedger& ledger, const FakeContext& test)
        : ledger_(ledger), job_(test.job), test_(test) {}

    Json call(const Json& request) override {
        const std::string type = request.at("type");
        if (type == "inputs") return inputs(query_of(request));
        if (type == "claim") return claim(request);
        if (type == "partition") return {{"partition", label(request.at("dataset"), std::nullopt)}};
        if (type == "latest") return {{"latest", latest}};
        if (type == "checkpoint") {
            const std::lock_guard lock(mutex);
            checkpoint = request.at("state");
            return Json::object();
        }
        if (type == "metrics") return metrics(request);
        if (type == "progress") return Json::object();
        if (test_.answers) return test_.answers(request);
        throw Error(ErrorCode::not_found, "the test defines nothing for " + request.dump());
    }

    void send(const Json& notice) override {
        const std::lock_guard lock(mutex);
        const std::string type = notice.at("type");
        if (type == "log") logs.emplace_back(level_of(notice.at("level")), notice.at("message"));
        if (type == "xcom") xcoms[notice.at("key")] = notice.at("value");
        if (type == "output") outputs.push_back(output_of(notice));
    }

    void publish(const OutputCommit& output) { ledger_.publish(output); }

    bool latest{true};

    mutable std::mutex mutex;  // guards all below
    std::vector<std::pair<Level, std::string>> logs;
    std::map<std::string, Json> xcoms;
    std::vector<OutputCommit> outputs;
    Json checkpoint;

private:
    std::string label(const std::string& dataset, std::optional<Duration> back) const {
        if (!job_.info.data_interval) return "";
        const Instant at = job_.info.data_interval->start - back.value_or(Duration{});
        for (const auto& known : *job_.datasets)
            if (known.name == dataset) return partition_label_utc(known.partition, at);
        return partition_label_utc("day", at);
    }

    Json inputs(const InputQuery& query) const {
        std::vector<InputSlice> slices = ledger_.live(query.dataset);
        std::string low;
        std::string high;
        for (const auto& slice : slices) high = std::max(high, slice.partition);
        if (query.partitions == InputQuery::Partitions::latest) low = high;
        if (query.partitions == InputQuery::Partitions::interval) {
            low = label(query.dataset, query.lookback);
            high = label(query.dataset, std::nullopt);
        }
        Json out = Json::array();
        for (const auto& slice : slices)
            if (low <= slice.partition && slice.partition <= high) out.push_back(to_json(slice));
        return {{"slices", out}};
    }

    Json metrics(const Json& request) const {
        const auto& interval = job_.info.data_interval;
        if (request.at("what") == "put") {
            if (interval)
                ledger_.put_metrics(
                    request.at("dataset"), to_micros(interval->start), request.at("values").dump()
                );
            return Json::object();
        }
        Json points = Json::array();
        for (const auto& [start, values] : ledger_.metrics(request.at("dataset"))) {
            const Json all = Json::parse(values);
            const auto found = all.find(request.at("metric").get<std::string>());
            if (start < request.at("before").get<std::int64_t>() && found != all.end())
                points.push_back({start, *found});
        }
        return {{"points", std::move(points)}};
    }

    Json claim(const Json& request) {
        const std::string dataset = request.at("dataset");
        const std::string partition = request.at("partition");
        const std::int64_t generation =
            ledger_.claim(key_of(dataset, partition, request.at("slice")), request.at("at_least"));
        std::string place = dataset;
        std::ranges::replace(place, '.', '/');
        if (!partition.empty()) place += '/' + partition;
        char folder[64];
        std::snprintf(folder, sizeof folder, "/g=%06lld-", static_cast<long long>(generation));
        const bool lake = dataset.starts_with("raw.") || dataset.starts_with("processed.") ||
                          dataset.starts_with("curated.");
        return {
            {"generation", generation},
            {"folder", lake ? place + folder + job_.info.attempt_id : std::string{}}
        };
    }

    FakeLedger& ledger_;
    const Job& job_;
    const FakeContext& test_;
};

FakeContext::FakeContext(FakeLedger& ledger)
    : recorder_(std::make_unique<Recorder>(ledger, *this)),
      spawner_(std::make_unique<Spawner>(Spawner::allowed_environment(""))) {
    job.info.dag_id = "test_dag";
    job.info.run_id = "manual__2026-01-05";
    job.info.task_id = "task";
    job.info.attempt_id = "1-0-1";
    job.info.run_type = "manual";
    job.datasets = std::make_shared<const std::vector<DatasetSpec>>();
    const Instant day = parse_time("2026-01-05")->at;
    interval(day, day + std::chrono::hours{24});
}

FakeContext::~FakeContext() = default;

void FakeContext::interval(Instant start, Instant end) {
    job.info.data_interval = Interval{start, end};
    job.info.logical_date = start;
}

void FakeContext::connect(Connection connection) {
    job.connections[connection.id] = std::move(connection);
}

void FakeContext::folder(const std::string& conn_id, const std::string& path) {
    Connection connection;
    connection.id = conn_id;
    connection.type = "fs";
    connection.extra = Json{{"path", path}}.dump();
    connect(std::move(connection));
}

void FakeContext::datasets(std::vector<DatasetSpec> all) {
    job.datasets = std::make_shared<const std::vector<DatasetSpec>>(std::move(all));
}

void FakeContext::files(std::map<std::string, std::string> bundle) {
    job.files = std::make_shared<const std::map<std::string, std::string>>(std::move(bundle));
}

TaskContext& FakeContext::context() {
    recorder_->latest = latest;
    if (!context_)
        context_ = std::make_unique<TaskContext>(job, *recorder_, Place{"", spawner_.get()});
    return *context_;
}

Outcome FakeContext::run(const Operator& op, const Json& params) {
    Outcome outcome;
    try {
        outcome = op.run(context(), params);
    } catch (const std::exception& error) {
        outcome = fail(ErrorClass::permanent, error.what());
    }
    if (outcome.kind == OutcomeKind::success)
        for (const auto& output : outputs()) recorder_->publish(output);
    return outcome;
}

std::vector<std::pair<Level, std::string>> FakeContext::logs() const {
    const std::lock_guard lock(recorder_->mutex);
    return recorder_->logs;
}

std::vector<OutputCommit> FakeContext::outputs() const {
    const std::lock_guard lock(recorder_->mutex);
    return recorder_->outputs;
}

Json FakeContext::xcom(const std::string& key) const {
    const std::lock_guard lock(recorder_->mutex);
    const auto found = recorder_->xcoms.find(key);
    return found == recorder_->xcoms.end() ? Json() : found->second;
}

Json FakeContext::last_checkpoint() const {
    const std::lock_guard lock(recorder_->mutex);
    return recorder_->checkpoint;
}

}  // namespace sluice::task
