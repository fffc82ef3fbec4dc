#include "executor/attempt_channel.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"
#include "model/latest.hpp"
#include "task/job.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

[[noreturn]] void nothing(const std::string& what) {
    throw Error(ErrorCode::unavailable, "this daemon has no " + what);
}

RunQuestion question_of(const Json& request) {
    RunQuestion question;
    request.at("dag_id").get_to(question.dag_id);
    question.run_id = request.value("run_id", "");
    if (const auto date = request.find("logical_date_us"); date != request.end())
        question.logical_date = from_micros(date->get<std::int64_t>());
    return question;
}

Json to_json(const RunFacts& facts) {
    Json out{{"seen", facts.seen.value}, {"dag_known", facts.dag_known}};
    if (!facts.run) return out;
    Json tasks = Json::object();
    for (const auto& [id, states] : facts.run->tasks) {
        Json& names = tasks[id] = Json::array();
        for (const TaskState state : states) names.push_back(name(state));
    }
    out["run"] = {
        {"run_id", facts.run->run_id},
        {"state", name(facts.run->state)},
        {"triggering_user", facts.run->triggering_user},
        {"tasks", std::move(tasks)}
    };
    return out;
}

RunWish wish_of(const Json& request) {
    RunWish wish;
    request.at("dag_id").get_to(wish.dag_id);
    request.at("run_id").get_to(wish.run_id);
    if (const auto date = request.find("logical_date_us"); date != request.end())
        wish.logical_date = from_micros(date->get<std::int64_t>());
    wish.conf = request.value("conf", Json::object()).dump();
    wish.reset = request.value("reset", false);
    request.at("by").get_to(wish.by);
    return wish;
}

}  // namespace

task::Connection require_connection(
    const Services& services, Redactor& redactor, const std::string& conn_id
) {
    auto found = services.connection ? services.connection(conn_id) : std::nullopt;
    if (!found) {
        std::string variable = "SLUICE_CONN_";
        for (const char c : conn_id)
            variable += std::isalnum(static_cast<unsigned char>(c)) != 0
                            ? static_cast<char>(std::toupper(static_cast<unsigned char>(c)))
                            : '_';
        throw Error(
            ErrorCode::not_found,
            "connection \"" + conn_id + "\" is not defined: set " + variable +
                " (a URI or JSON), or `sluice connections add " + conn_id + '`'
        );
    }
    redactor.add(found->password);
    return std::move(*found);
}

Secret require_secret(
    const Services& services, Redactor& redactor, const std::string& secret_name
) {
    auto found = services.secret ? services.secret(secret_name) : std::nullopt;
    if (!found)
        throw Error(
            ErrorCode::not_found,
            "secret \"" + secret_name + "\" is not defined: put it into the home's secrets folder"
        );
    redactor.add(*found);
    return std::move(*found);
}

AttemptChannel::AttemptChannel(
    const AttemptOrder& order, const Services& services, Redactor& redactor, TaskLog& log
)
    : order_(order), services_(services), redactor_(redactor), log_(log) {}

Json AttemptChannel::call(const Json& request) {
    const std::string type = request.at("type");
    if (type == "connection")
        return to_json(require_connection(services_, redactor_, request.at("conn_id")));
    if (type == "secret")
        return {{"value", require_secret(services_, redactor_, request.at("name")).reveal()}};
    if (type == "partition") {
        if (!services_.partition) nothing("partitions");
        return {{"partition", services_.partition(order_, request.at("dataset"))}};
    }
    if (type == "inputs") {
        if (!services_.inputs) nothing("ledger");
        Json slices = Json::array();
        for (const auto& slice : services_.inputs(order_, task::query_of(request)))
            slices.push_back(to_json(slice));
        return {{"slices", std::move(slices)}};
    }
    if (type == "claim") {
        if (!services_.claim) nothing("ledger");
        const auto claim = services_.claim(
            order_,
            {request.at("dataset"),
             request.at("partition"),
             request.at("slice"),
             request.at("at_least")}
        );
        return {{"generation", claim.generation}, {"folder", claim.folder}};
    }
    if (type == "lake") {
        if (!services_.lake) nothing("ledger");
        return Json::parse(services_.lake(order_, request.at("question").dump()));
    }
    if (type == "map_keys") {
        if (!services_.map_keys) nothing("mappings");
        return Json::parse(services_.map_keys(order_, request.dump()));
    }
    if (type == "metrics") return answer_metrics(request);
    if (type == "progress") {
        take_progress(request);
        return Json::object();
    }
    if (type == "latest")
        return {{"latest", is_latest_run(*order_.dag, *order_.run, order_.start_date)}};
    if (type == "checkpoint") {
        if (!services_.save_checkpoint) nothing("checkpoints");
        services_.save_checkpoint(order_, redactor_.redact(request.at("state").dump()));
        const std::lock_guard lock(mutex_);
        checkpointed_ = true;
        return Json::object();
    }
    if (type == "run_facts") {
        if (!services_.run_facts) nothing("other DAGs");
        return to_json(services_.run_facts(question_of(request)));
    }
    if (type == "trigger_run") {
        if (!services_.trigger_run) nothing("other DAGs");
        return {{"run_id", services_.trigger_run(order_, wish_of(request))}};
    }
    throw Error(ErrorCode::invalid, "a task asked for \"" + type + "\", which nobody answers");
}

void AttemptChannel::send(const Json& notice) {
    const std::string type = notice.at("type");
    if (type == "log") {
        const auto level = level_of(notice.at("level").get<std::string>());
        log_.append(
            level.value_or(task::Level::info),
            notice.at("message").get_ref<const std::string&>(),
            notice.at("source").get_ref<const std::string&>()
        );
    } else if (type == "xcom") {
        std::string value =
            redactor_.redact(notice.at("value").dump(-1, ' ', false, Json::error_handler_t::replace)
            );
        const std::string key = notice.at("key");
        value = stored(key, std::move(value));
        const std::lock_guard lock(mutex_);
        std::erase_if(xcoms_, [&](const XcomValue& xcom) { return xcom.key == key; });
        xcoms_.push_back({key, std::move(value)});
    } else if (type == "output") {
        const std::lock_guard lock(mutex_);
        outputs_.push_back(task::output_of(notice));
    } else if (type == "progress") {
        take_progress(notice);
    } else {
        throw Error(ErrorCode::invalid, "a task sent \"" + type + "\", which nobody takes");
    }
}

Json AttemptChannel::answer_metrics(const Json& request) {
    if (request.at("what") == "put") {
        const std::lock_guard lock(mutex_);
        metrics_[request.at("dataset")] = request.at("values").dump();
        return Json::object();
    }
    if (!services_.metric_history) return {{"points", Json::array()}};
    return Json::parse(services_.metric_history(order_, request.dump()));
}

void AttemptChannel::take_progress(const Json& said) {
    const Instant now = SystemClock().now();
    const std::lock_guard lock(mutex_);
    const Instant since = progress_.what.empty() ? now : progress_.since;
    progress_ = {
        .fraction = std::clamp(said.at("fraction").get<double>(), 0.0, 1.0),
        .what = redactor_.redact(said.at("what").get<std::string>()),
        .rows = said.value("rows", std::int64_t{-1}),
        .bytes = said.value("bytes", std::int64_t{-1}),
        .since = said.contains("since_us") ? from_micros(said.at("since_us").get<std::int64_t>())
                                           : since,
        .at = now,
    };
}

std::string AttemptChannel::metrics() const {
    const std::lock_guard lock(mutex_);
    if (metrics_.empty()) return "";
    Json all = Json::object();
    for (const auto& [dataset, values] : metrics_) all[dataset] = Json::parse(values);
    return all.dump();
}

AttemptChannel::~AttemptChannel() {
    for (const std::string& hash : held_) services_.artefacts->let_go(hash);
}

std::string AttemptChannel::stored(const std::string& key, std::string value) {
    if (services_.artefacts == nullptr) {
        if (value.size() <= limits::inline_value_bytes) return value;
        throw Error(
            ErrorCode::limit,
            "XCom \"" + key + "\" has " + std::to_string(value.size()) +
                " bytes; inline_value_bytes is " + std::to_string(limits::inline_value_bytes)
        );
    }
    try {
        value = services_.artefacts->spill(std::move(value));
    } catch (const Error& error) {
        throw Error(error.code(), "XCom \"" + key + "\": " + error.what());
    }
    if (const auto ref = reference_of(value)) {
        const std::lock_guard lock(mutex_);
        services_.artefacts->hold(ref->hash);
        held_.push_back(ref->hash);
    }
    return value;
}

std::vector<XcomValue> AttemptChannel::take_xcoms() {
    const std::lock_guard lock(mutex_);
    return std::move(xcoms_);
}

std::vector<OutputCommit> AttemptChannel::take_outputs() {
    const std::lock_guard lock(mutex_);
    return std::move(outputs_);
}

bool AttemptChannel::checkpointed() const {
    const std::lock_guard lock(mutex_);
    return checkpointed_;
}

Progress AttemptChannel::progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
}

}  // namespace sluice::executor
