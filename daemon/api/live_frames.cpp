#include "api/live_frames.hpp"

#include <algorithm>

#include "api/services.hpp"
#include "api/ui.hpp"
#include "http/stream.hpp"

namespace sluice::api {
namespace {

constexpr std::size_t known_runs = 5'000;

}  // namespace

LiveFrames::LiveFrames(runtime::Runtime& runtime, store::Queries& queries, Versions& versions)
    : runtime_(runtime), queries_(queries), versions_(versions) {}

void LiveFrames::remember(
    RunKey key, const std::string& dag_id, const std::string& run_id, VersionId id
) {
    if (names_.contains(key)) return;
    if (names_.size() >= known_runs) names_.clear();
    RunName name{dag_id, run_id, runtime_.registry().find_version(id), 0};
    if (!name.dag) {
        const auto row = queries_.run(key);
        if (row) {
            name.version_number = row->version_number;
            name.dag = versions_.dag(id, dag_id, row->version_number);
        }
    } else {
        name.version_number = name.dag->version_number;
    }
    names_[key] = std::move(name);
}

const LiveFrames::RunName* LiveFrames::name_of(RunKey key) {
    const auto found = names_.find(key);
    if (found != names_.end()) return &found->second;
    const auto row = queries_.run(key);
    if (!row) return nullptr;
    remember(key, row->run.dag_id, row->run.run_id, row->run.version);
    return &names_[key];
}

Json LiveFrames::tasks_for(const std::vector<Topic>& topics, const Batch& batch) {
    Json list = Json::array();
    const bool wanted = std::ranges::any_of(topics, [](const Topic& topic) {
        return topic.kind == Topic::Kind::dag || topic.kind == Topic::Kind::run;
    });
    if (!wanted) return list;
    for (const auto& [key, news] : batch.tasks) {
        const RunName* run = name_of(key.run);
        if (run == nullptr || !run->dag) continue;
        const bool mine = std::ranges::any_of(topics, [&](const Topic& topic) {
            return topic.dag_id == run->dag_id &&
                   (topic.kind == Topic::Kind::dag ||
                    (topic.kind == Topic::Kind::run && topic.run_id == run->run_id));
        });
        const auto no = static_cast<std::size_t>(key.task);
        if (!mine || no >= run->dag->tasks.size()) continue;
        list.push_back(
            {run->dag_id,
             run->run_id,
             run->dag->tasks[no].id,
             key.map_index,
             std::string(1, news.letter),
             news.try_number,
             news.at_ms}
        );
    }
    return list;
}

Json LiveFrames::runs_for(const std::vector<Topic>& topics, const Batch& batch) {
    Json list = Json::array();
    for (const auto& [key, news] : batch.runs) {
        const bool mine = std::ranges::any_of(topics, [&](const Topic& topic) {
            switch (topic.kind) {
                case Topic::Kind::dags:
                    return true;
                case Topic::Kind::dag:
                    return topic.dag_id == news.dag_id;
                case Topic::Kind::run:
                    return topic.dag_id == news.dag_id && topic.run_id == news.run_id;
                case Topic::Kind::log:
                    return false;
            }
            return false;
        });
        if (!mine) continue;
        remember(key, news.dag_id, news.run_id, news.version);
        list.push_back(
            {news.dag_id,
             news.run_id,
             std::string(1, letter(news.state)),
             news.at_ms,
             news.type,
             news.logical_date ? Json(to_millis(*news.logical_date)) : Json(),
             to_millis(news.run_after),
             names_[key].version_number}
        );
    }
    return list;
}

Json LiveFrames::dags_for(const std::vector<Topic>& topics, const Batch& batch) {
    Json list = Json::array();
    for (const auto& [id, news] : batch.dags) {
        const bool mine = std::ranges::any_of(topics, [&](const Topic& topic) {
            return topic.kind == Topic::Kind::dags ||
                   (topic.kind == Topic::Kind::dag && topic.dag_id == id);
        });
        if (!mine) continue;
        if (news.gone) {
            list.push_back({id, nullptr});
            continue;
        }
        Json what = Json::object();
        if (news.has_state) {
            what["paused"] = news.paused.value_or(false);
            what["next"] = news.next ? Json(to_millis(*news.next)) : Json();
        }
        if (news.defined) {
            const auto listed = runtime_.registry().find(id);
            if (listed) what["ver"] = listed->dag->version_number;
            what["new"] = true;
        }
        list.push_back({id, std::move(what)});
    }
    return list;
}

std::string LiveFrames::frame_for(const std::vector<Topic>& topics, const Batch& batch) {
    Json json;
    json["seq"] = batch.seq.value;
    if (Json tasks = tasks_for(topics, batch); !tasks.empty()) json["ti"] = std::move(tasks);
    if (Json runs = runs_for(topics, batch); !runs.empty()) json["run"] = std::move(runs);
    if (Json dags = dags_for(topics, batch); !dags.empty()) json["dag"] = std::move(dags);
    if (batch.import_errors) json["err"] = runtime_.registry().import_errors().size();
    if (json.size() == 1) return {};
    return http::sse_event(std::to_string(batch.seq.value), "b", dump(json));
}

std::string LiveFrames::progress_for(
    const std::vector<Topic>& topics, const std::vector<TaskProgress>& progress
) {
    Json list = Json::array();
    for (const TaskProgress& one : progress) {
        const RunName* run = name_of(one.task.run);
        const auto no = static_cast<std::size_t>(one.task.task);
        if (run == nullptr || !run->dag || no >= run->dag->tasks.size()) continue;
        const bool mine = std::ranges::any_of(topics, [&](const Topic& topic) {
            return topic.kind == Topic::Kind::run && topic.dag_id == run->dag_id &&
                   topic.run_id == run->run_id;
        });
        if (!mine) continue;
        Json item = progress_json(one, run->dag->tasks[no].id);
        item["dag"] = run->dag_id;
        item["run"] = run->run_id;
        list.push_back(std::move(item));
    }
    return list.empty() ? std::string() : http::sse_event("", "progress", dump(list));
}

}  // namespace sluice::api
