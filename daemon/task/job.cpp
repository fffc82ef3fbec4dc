#include "task/job.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "model/dataset_json.hpp"
#include "model/names.hpp"
#include "task/members.hpp"

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

constexpr Members info_members{
    Member{"dag_id", &TaskInfo::dag_id},
    Member{"run_id", &TaskInfo::run_id},
    Member{"task_id", &TaskInfo::task_id},
    Member{"map_index", &TaskInfo::map_index},
    Member{"try_number", &TaskInfo::try_number},
    Member{"max_tries", &TaskInfo::max_tries},
    Member{"attempt_id", &TaskInfo::attempt_id},
    Member{"run_type", &TaskInfo::run_type},
    Member{"timezone", &TaskInfo::timezone},
    Member{"test_mode", &TaskInfo::test_mode}
};

Json to_json(const TaskInfo& info) {
    Json out = info_members.json(info);
    out["logical_date"] = to_json(info.logical_date);
    if (info.data_interval)
        out["data_interval"] = {
            to_micros(info.data_interval->start), to_micros(info.data_interval->end)
        };
    return out;
}

TaskInfo info_of(const Json& json) {
    TaskInfo info = info_members.read(json);
    info.logical_date = instant_of(json.at("logical_date"));
    if (const auto interval = json.find("data_interval"); interval != json.end())
        info.data_interval = Interval{*instant_of(interval->at(0)), *instant_of(interval->at(1))};
    return info;
}

constexpr Members resource_members{
    Member{"threads", &Resources::threads},
    Member{"memory_bytes", &Resources::memory_bytes},
    Member{"temp_bytes", &Resources::temp_bytes},
    Member{"written", &Resources::written}
};

/// All but the password.
constexpr Members connection_members{
    Member{"id", &Connection::id},
    Member{"type", &Connection::type},
    Member{"host", &Connection::host},
    Member{"port", &Connection::port},
    Member{"login", &Connection::login},
    Member{"schema", &Connection::schema},
    Member{"extra", &Connection::extra}
};

constexpr Members output_members{
    Member{"dataset", &OutputCommit::dataset},
    Member{"partition", &OutputCommit::partition},
    Member{"slice", &OutputCommit::slice},
    Member{"generation", &OutputCommit::generation},
    Member{"rows", &OutputCommit::rows},
    Member{"bytes", &OutputCommit::bytes},
    Member{"content_hash", &OutputCommit::content_hash},
    Member{"files", &OutputCommit::files},
    Member{"input", &OutputCommit::input},
    Member{"code_hash", &OutputCommit::code_hash}
};

constexpr Members slice_members{
    Member{"dataset", &InputSlice::dataset},
    Member{"partition", &InputSlice::partition},
    Member{"slice", &InputSlice::slice},
    Member{"generation", &InputSlice::generation},
    Member{"files", &InputSlice::files},
    Member{"rows", &InputSlice::rows},
    Member{"read", &InputSlice::read}
};

}  // namespace

std::string_view name(Level level) { return name_in(levels, level); }
std::string_view name(OutcomeKind kind) { return name_in(kinds, kind); }

std::string read_in(const std::string& input) {
    const Json list = Json::parse(input, nullptr, false);
    if (!list.is_array()) return {};
    for (const Json& element : list)
        if (element.is_object() && element.contains("read")) return element["read"].dump();
    return {};
}

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

Json to_json(const DatasetSpec& dataset) { return dataset_json(dataset); }
DatasetSpec dataset_of(const Json& json) { return dataset_of_json(json); }

Json to_json(const Connection& connection) {
    Json out = connection_members.json(connection);
    out["password"] = connection.password.reveal();
    return out;
}

Connection connection_of(const Json& json) {
    Connection connection = connection_members.read(json);
    connection.password = Secret{json.at("password").get<std::string>()};
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

Json to_json(const OutputCommit& output) { return output_members.json(output); }
OutputCommit output_of(const Json& json) { return output_members.read(json); }

Json to_json(const InputSlice& slice) { return slice_members.json(slice); }
InputSlice slice_of(const Json& json) { return slice_members.read(json); }

Json to_json(const InputQuery& query) {
    Json out{
        {"dataset", query.dataset}, {"partitions", name_in(partition_words, query.partitions)}
    };
    if (query.lookback) out["lookback_us"] = query.lookback->count();
    if (query.with_read) out["with_read"] = true;
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
    query.with_read = json.value("with_read", false);
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
        {"resources", resource_members.json(job.resources)},
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
        job.resources = resource_members.read(frame.at("resources"));
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
