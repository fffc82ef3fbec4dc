#include "task/job.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "model/names.hpp"

namespace sluice::task {
namespace {

using Json = nlohmann::json;

constexpr NameTable<Level, 4> levels{
    {{Level::debug, "debug"},
     {Level::info, "info"},
     {Level::warning, "warning"},
     {Level::error, "error"}}
};
constexpr NameTable<OutcomeKind, 5> kinds{
    {{OutcomeKind::success, "success"},
     {OutcomeKind::waiting, "waiting"},
     {OutcomeKind::skipped, "skipped"},
     {OutcomeKind::failed, "failed"},
     {OutcomeKind::lost, "lost"}}
};
constexpr NameTable<InputQuery::Partitions, 3> partition_words{
    {{InputQuery::Partitions::interval, "interval"},
     {InputQuery::Partitions::latest, "latest"},
     {InputQuery::Partitions::all, "all"}}
};

Json to_json(const std::optional<Instant>& at) { return at ? Json(to_micros(*at)) : Json(); }

std::optional<Instant> instant_of(const Json& json) {
    if (json.is_null()) return std::nullopt;
    return from_micros(json.get<std::int64_t>());
}

Json to_json(const TaskInfo& info) {
    Json out{
        {"dag_id", info.dag_id},
        {"run_id", info.run_id},
        {"task_id", info.task_id},
        {"map_index", info.map_index},
        {"try_number", info.try_number},
        {"max_tries", info.max_tries},
        {"attempt_id", info.attempt_id},
        {"run_type", info.run_type},
        {"logical_date", to_json(info.logical_date)},
        {"timezone", info.timezone},
        {"test_mode", info.test_mode}
    };
    if (info.data_interval)
        out["data_interval"] = {
            to_micros(info.data_interval->start), to_micros(info.data_interval->end)
        };
    return out;
}

TaskInfo info_of(const Json& json) {
    TaskInfo info;
    json.at("dag_id").get_to(info.dag_id);
    json.at("run_id").get_to(info.run_id);
    json.at("task_id").get_to(info.task_id);
    json.at("map_index").get_to(info.map_index);
    json.at("try_number").get_to(info.try_number);
    json.at("max_tries").get_to(info.max_tries);
    json.at("attempt_id").get_to(info.attempt_id);
    json.at("run_type").get_to(info.run_type);
    json.at("timezone").get_to(info.timezone);
    json.at("test_mode").get_to(info.test_mode);
    info.logical_date = instant_of(json.at("logical_date"));
    if (const auto interval = json.find("data_interval"); interval != json.end())
        info.data_interval = Interval{*instant_of(interval->at(0)), *instant_of(interval->at(1))};
    return info;
}

Json to_json(const ColumnSpec& column) {
    return {
        {"name", column.name},
        {"type", column.type},
        {"not_null", column.not_null},
        {"class", column.pii_class},
        {"origins", column.origins},
        {"parse", column.parse},
        {"origins", column.origins},
        {"description", column.description}
    };
}

ColumnSpec column_of(const Json& json) {
    ColumnSpec column;
    json.at("name").get_to(column.name);
    json.at("type").get_to(column.type);
    json.at("not_null").get_to(column.not_null);
    json.at("class").get_to(column.pii_class);
    json.at("origins").get_to(column.origins);
    json.at("parse").get_to(column.parse);
    json.at("origins").get_to(column.origins);
    json.at("description").get_to(column.description);
    return column;
}

Json resources_json(const Resources& resources) {
    return {
        {"threads", resources.threads},
        {"memory_bytes", resources.memory_bytes},
        {"temp_bytes", resources.temp_bytes},
        {"written", resources.written}
    };
}

Resources resources_of(const Json& json) {
    Resources resources;
    json.at("threads").get_to(resources.threads);
    json.at("memory_bytes").get_to(resources.memory_bytes);
    json.at("temp_bytes").get_to(resources.temp_bytes);
    json.at("written").get_to(resources.written);
    return resources;
}

}  // namespace

std::string_view name(Level level) { return name_in(levels, level); }
std::string_view name(OutcomeKind kind) { return name_in(kinds, kind); }

Json json_or_text(std::string_view text) {
    // Counted first: writing a value out again is recursive.
    std::size_t depth = 0;
    std::size_t deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\') ++i;
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
        if ((c == ']' || c == '}') && depth > 0) --depth;
    }
    if (deepest <= limits::dag_file_depth) {
        Json value = Json::parse(text, nullptr, false);
        if (!value.is_discarded()) return value;
    }
    return std::string(text);
}

Json to_json(const DatasetSpec& dataset) {
    Json columns = Json::array();
    for (const auto& column : dataset.columns) columns.push_back(to_json(column));
    return {
        {"name", dataset.name},
        {"columns", std::move(columns)},
        {"declared", dataset.declared},
        {"key", dataset.key},
        {"partition", dataset.partition},
        {"partition_by", dataset.partition_by},
        {"indexes", dataset.indexes},
        {"description", dataset.description},
        {"writer", dataset.writer},
        {"readers", dataset.readers}
    };
}

DatasetSpec dataset_of(const Json& json) {
    DatasetSpec dataset;
    json.at("name").get_to(dataset.name);
    for (const auto& column : json.at("columns")) dataset.columns.push_back(column_of(column));
    json.at("declared").get_to(dataset.declared);
    json.at("key").get_to(dataset.key);
    json.at("partition").get_to(dataset.partition);
    json.at("partition_by").get_to(dataset.partition_by);
    json.at("indexes").get_to(dataset.indexes);
    json.at("description").get_to(dataset.description);
    json.at("writer").get_to(dataset.writer);
    json.at("readers").get_to(dataset.readers);
    return dataset;
}

Json to_json(const Connection& connection) {
    return {
        {"id", connection.id},
        {"type", connection.type},
        {"host", connection.host},
        {"port", connection.port},
        {"login", connection.login},
        {"password", connection.password.reveal()},
        {"schema", connection.schema},
        {"extra", connection.extra}
    };
}

Connection connection_of(const Json& json) {
    Connection connection;
    json.at("id").get_to(connection.id);
    json.at("type").get_to(connection.type);
    json.at("host").get_to(connection.host);
    json.at("port").get_to(connection.port);
    json.at("login").get_to(connection.login);
    connection.password = Secret{json.at("password").get<std::string>()};
    json.at("schema").get_to(connection.schema);
    json.at("extra").get_to(connection.extra);
    return connection;
}

namespace {

Json to_json(const WaitOrder& wait) {
    Json out{
        {"kind", static_cast<int>(wait.kind)},
        {"event", wait.event},
        {"seen", wait.seen.value},
        {"resume", wait.resume}
    };
    if (wait.until) out["until_us"] = to_micros(*wait.until);
    return out;
}

WaitOrder wait_of(const Json& json) {
    WaitOrder wait;
    wait.kind = static_cast<WaitKind>(std::clamp(json.at("kind").get<int>(), 0, 2));
    json.at("event").get_to(wait.event);
    wait.seen = {json.at("seen").get<std::int64_t>()};
    json.at("resume").get_to(wait.resume);
    if (const auto until = json.find("until_us"); until != json.end())
        wait.until = from_micros(until->get<std::int64_t>());
    return wait;
}

}  // namespace

Json to_json(const Outcome& outcome) {
    Json out{
        {"kind", name(outcome.kind)},
        {"error_class", sluice::name(outcome.error_class)},
        {"message", outcome.message},
        {"unchanged", outcome.unchanged}
    };
    if (outcome.retry_after) out["retry_after_us"] = outcome.retry_after->count();
    if (outcome.branch)
        out["branch"] = {
            {"chosen", outcome.branch->chosen}, {"skip_all_below", outcome.branch->skip_all_below}
        };
    if (outcome.skip_on_timeout) out["skip_on_timeout"] = true;
    if (outcome.wait) out["wait"] = to_json(*outcome.wait);
    return out;
}

Outcome outcome_of(const Json& json) {
    Outcome outcome;
    const auto kind = value_in(kinds, json.at("kind").get<std::string>());
    const auto error_class = error_class_of(json.at("error_class").get<std::string>());
    if (!kind || !error_class) throw Error(ErrorCode::invalid, "unknown outcome " + json.dump());
    outcome.kind = *kind;
    outcome.error_class = *error_class;
    json.at("message").get_to(outcome.message);
    json.at("unchanged").get_to(outcome.unchanged);
    if (const auto after = json.find("retry_after_us"); after != json.end())
        outcome.retry_after = Duration{after->get<std::int64_t>()};
    if (const auto branch = json.find("branch"); branch != json.end()) {
        auto& way = outcome.branch.emplace();
        branch->at("chosen").get_to(way.chosen);
        branch->at("skip_all_below").get_to(way.skip_all_below);
    }
    outcome.skip_on_timeout = json.value("skip_on_timeout", false);
    if (const auto wait = json.find("wait"); wait != json.end()) outcome.wait = wait_of(*wait);
    return outcome;
}

Json to_json(const OutputCommit& output) {
    return {
        {"dataset", output.dataset},
        {"partition", output.partition},
        {"slice", output.slice},
        {"generation", output.generation},
        {"rows", output.rows},
        {"bytes", output.bytes},
        {"content_hash", output.content_hash},
        {"files", output.files},
        {"input", output.input},
        {"code_hash", output.code_hash}
    };
}

OutputCommit output_of(const Json& json) {
    OutputCommit output;
    json.at("dataset").get_to(output.dataset);
    json.at("partition").get_to(output.partition);
    json.at("slice").get_to(output.slice);
    json.at("generation").get_to(output.generation);
    json.at("rows").get_to(output.rows);
    json.at("bytes").get_to(output.bytes);
    json.at("content_hash").get_to(output.content_hash);
    json.at("files").get_to(output.files);
    json.at("input").get_to(output.input);
    json.at("code_hash").get_to(output.code_hash);
    return output;
}

Json to_json(const InputSlice& slice) {
    return {
        {"dataset", slice.dataset},
        {"partition", slice.partition},
        {"slice", slice.slice},
        {"generation", slice.generation},
        {"files", slice.files},
        {"rows", slice.rows}
    };
}

InputSlice slice_of(const Json& json) {
    InputSlice slice;
    json.at("dataset").get_to(slice.dataset);
    json.at("partition").get_to(slice.partition);
    json.at("slice").get_to(slice.slice);
    json.at("generation").get_to(slice.generation);
    json.at("files").get_to(slice.files);
    json.at("rows").get_to(slice.rows);
    return slice;
}

Json to_json(const InputQuery& query) {
    Json out{
        {"dataset", query.dataset}, {"partitions", name_in(partition_words, query.partitions)}
    };
    if (query.lookback) out["lookback_us"] = query.lookback->count();
    return out;
}

InputQuery query_of(const Json& json) {
    InputQuery query;
    json.at("dataset").get_to(query.dataset);
    const auto partitions = value_in(partition_words, json.at("partitions").get<std::string>());
    if (!partitions) throw Error(ErrorCode::invalid, "unknown partitions in " + json.dump());
    query.partitions = *partitions;
    if (const auto lookback = json.find("lookback_us"); lookback != json.end())
        query.lookback = Duration{lookback->get<std::int64_t>()};
    return query;
}

namespace {

Json to_json(const std::optional<PokeInfo>& poke) {
    if (!poke) return {};
    return {
        {"first_at_us", to_micros(poke->first_at)}, {"pokes", poke->pokes}, {"resume", poke->resume}
    };
}

std::optional<PokeInfo> poke_of(const Json& json) {
    if (json.is_null()) return std::nullopt;
    return PokeInfo{
        from_micros(json.at("first_at_us").get<std::int64_t>()),
        json.at("pokes").get<int>(),
        json.at("resume").get<std::string>()
    };
}

}  // namespace

Json to_json(const Job& job) {
    Json datasets = Json::array();
    if (job.datasets)
        for (const auto& dataset : *job.datasets) datasets.push_back(to_json(dataset));
    Json schemas = Json::object();
    for (const auto& [schema, place] : job.schemas)
        schemas[schema] = {{"conn_id", place.conn_id}, {"physical", place.physical}};
    Json connections = Json::array();
    for (const auto& [id, connection] : job.connections) connections.push_back(to_json(connection));
    Json secrets = Json::object();
    for (const auto& [secret, value] : job.secrets) secrets[secret] = value.reveal();
    return {
        {"info", to_json(job.info)},
        {"operator", job.operator_name},
        {"params", Json::parse(job.params)},
        {"resources", resources_json(job.resources)},
        {"on_empty", job.on_empty},
        {"reuse", job.reuse},
        {"push_xcom", job.push_xcom},
        {"multiple_outputs", job.multiple_outputs},
        {"lake", job.lake},
        {"policy", job.policy},
        {"datasets", std::move(datasets)},
        {"files", job.files ? Json(*job.files) : Json::object()},
        {"partitions", job.partitions},
        {"schemas", std::move(schemas)},
        {"connections", std::move(connections)},
        {"secrets", std::move(secrets)},
        {"inlets", job.inlets},
        {"outlets", job.outlets},
        {"dag_params", Json::parse(job.dag_params)},
        {"checkpoint", Json::parse(job.checkpoint)},
        {"execution_timeout_us",
         job.execution_timeout ? Json(job.execution_timeout->count()) : Json()},
        {"poke", to_json(job.poke)}
    };
}

Job job_of(const Json& frame) {
    try {
        Job job;
        job.info = info_of(frame.at("info"));
        frame.at("operator").get_to(job.operator_name);
        job.params = frame.at("params").dump();
        job.resources = resources_of(frame.at("resources"));
        frame.at("on_empty").get_to(job.on_empty);
        frame.at("reuse").get_to(job.reuse);
        frame.at("push_xcom").get_to(job.push_xcom);
        frame.at("multiple_outputs").get_to(job.multiple_outputs);
        frame.at("lake").get_to(job.lake);
        frame.at("policy").get_to(job.policy);
        std::vector<DatasetSpec> datasets;
        for (const auto& dataset : frame.at("datasets")) datasets.push_back(dataset_of(dataset));
        job.datasets = std::make_shared<const std::vector<DatasetSpec>>(std::move(datasets));
        job.files = std::make_shared<const std::map<std::string, std::string>>(
            frame.at("files").get<std::map<std::string, std::string>>()
        );
        frame.at("partitions").get_to(job.partitions);
        for (const auto& [schema, place] : frame.at("schemas").items())
            job.schemas[schema] = {place.at("conn_id"), place.at("physical")};
        for (const auto& item : frame.at("connections")) {
            Connection connection = connection_of(item);
            job.connections.emplace(connection.id, std::move(connection));
        }
        for (const auto& [secret, value] : frame.at("secrets").items())
            job.secrets.emplace(secret, Secret{value.get<std::string>()});
        frame.at("inlets").get_to(job.inlets);
        frame.at("outlets").get_to(job.outlets);
        job.dag_params = frame.at("dag_params").dump();
        job.checkpoint = frame.at("checkpoint").dump();
        if (const auto& timeout = frame.at("execution_timeout_us"); !timeout.is_null())
            job.execution_timeout = Duration{timeout.get<std::int64_t>()};
        job.poke = poke_of(frame.at("poke"));
        return job;
    } catch (const Json::exception& error) {
        throw Error(ErrorCode::invalid, std::string("start frame: ") + error.what());
    }
}

}  // namespace sluice::task
