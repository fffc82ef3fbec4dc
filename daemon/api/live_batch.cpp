#include "api/live_batch.hpp"

#include <cstdlib>

#include "api/json.hpp"
#include "http/message.hpp"
#include "model/states.hpp"

namespace sluice::api {
namespace {

std::int64_t moment(const DagRun& run, Instant otherwise) {
    switch (run.state) {
        case RunState::queued:
            return to_millis(run.queued_at);
        case RunState::running:
            return to_millis(run.start_date.value_or(otherwise));
        case RunState::success:
        case RunState::failed:
            return to_millis(run.end_date.value_or(otherwise));
    }
    return to_millis(otherwise);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<long long> number(std::string_view text) {
    const std::string copy(text);
    char* end = nullptr;
    const long long value = std::strtoll(copy.c_str(), &end, 10);
    if (copy.empty() || *end != '\0') return std::nullopt;
    return value;
}

bool read_log_topic(std::string_view rest, Topic& topic) {
    const auto at = rest.rfind('@');
    topic.key = std::string(rest.substr(0, at));
    const auto line =
        at == std::string_view::npos ? std::optional(0LL) : number(rest.substr(at + 1));
    const auto parts = split(topic.key, '/');
    if (parts.size() != 5 || !line || *line < 0) return false;
    const auto map = number(http::percent_decode(parts[3], http::Plus::literal));
    const auto try_number = number(parts[4]);
    if (!map || !try_number) return false;
    topic.kind = Topic::Kind::log;
    topic.dag_id = http::percent_decode(parts[0], http::Plus::literal);
    topic.run_id = http::percent_decode(parts[1], http::Plus::literal);
    topic.task_id = http::percent_decode(parts[2], http::Plus::literal);
    topic.map_index = static_cast<MapIndex>(*map);
    topic.try_number = static_cast<int>(*try_number);
    topic.line = static_cast<std::uint64_t>(*line);
    return true;
}

}  // namespace

void Batch::add(const Batch& later) {
    seq = later.seq;
    for (const auto& [key, news] : later.tasks) tasks[key] = news;
    for (const auto& [key, news] : later.runs) runs[key] = news;
    for (const auto& [id, news] : later.dags) {
        DagNews& known = dags[id];
        const bool defined = known.defined || news.defined;
        if (news.has_state) known = news;
        known.defined = defined;
    }
    import_errors = import_errors || later.import_errors;
}

Batch batch_of(const runtime::Change& change) {
    Batch batch;
    batch.seq = change.seq;
    for (const TaskInstance& instance : change.instances) {
        TaskNews news;
        news.letter = letter(instance.state);
        news.try_number = instance.try_number;
        news.live = holds_slots(instance.state);
        Instant at = change.at;
        if (instance.state == TaskState::running && instance.start_date) at = *instance.start_date;
        if (is_finished(instance.state) && instance.end_date) at = *instance.end_date;
        news.at_ms = to_millis(at);
        batch.tasks[instance.key] = news;
    }
    for (const DagRun& run : change.runs)
        batch.runs[run.key] = {
            run.dag_id,
            run.run_id,
            run.version,
            run.state,
            moment(run, change.at),
            std::string(name(run.type)),
            run.logical_date,
            run.run_after,
        };
    for (const DagState& state : change.dags) {
        DagNews& news = batch.dags[state.dag_id];
        news.has_state = true;
        news.paused = state.is_paused;
        news.next = state.next_run_after;
        news.gone = state.is_stale;
    }
    for (const std::string& dag_id : change.dags_deleted) {
        DagNews& news = batch.dags[dag_id];
        news.has_state = true;
        news.gone = true;
    }
    batch.import_errors = change.import_errors;
    for (const std::string& dag_id : change.definitions) batch.dags[dag_id].defined = true;
    return batch;
}

std::optional<std::vector<Topic>> parse_topics(std::string_view text) {
    std::vector<Topic> topics;
    for (const std::string_view item : split(text, ',')) {
        if (item.empty()) continue;
        Topic topic;
        if (item == "dags") {
            topics.push_back(topic);
        } else if (item.starts_with("dag:") && item.size() > 4) {
            topic.kind = Topic::Kind::dag;
            topic.dag_id = http::percent_decode(item.substr(4), http::Plus::literal);
            topics.push_back(std::move(topic));
        } else if (item.starts_with("run:")) {
            const auto parts = split(item.substr(4), '/');
            if (parts.size() != 2) return std::nullopt;
            topic.kind = Topic::Kind::run;
            topic.dag_id = http::percent_decode(parts[0], http::Plus::literal);
            topic.run_id = http::percent_decode(parts[1], http::Plus::literal);
            topics.push_back(std::move(topic));
        } else if (item.starts_with("log:")) {
            if (!read_log_topic(item.substr(4), topic)) return std::nullopt;
            topics.push_back(std::move(topic));
        } else {
            return std::nullopt;
        }
    }
    return topics;
}

}  // namespace sluice::api
