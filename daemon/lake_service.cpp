#include "lake_service.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.hpp"

namespace sluice {
namespace {

using Json = nlohmann::json;

store::GenerationKey key_of(const Json& item) {
    return {
        {item.at("dataset"), item.at("partition"), item.at("slice")},
        item.at("generation").get<std::int64_t>()
    };
}

Json time_json(const std::optional<Instant>& at) { return at ? Json(to_micros(*at)) : Json(); }

Json generations_json(const std::vector<store::Generation>& generations) {
    Json list = Json::array();
    for (const store::Generation& one : generations) {
        const store::SliceKey& key = one.slice.key;
        Json files = Json::array();
        if (!one.slice.files.empty())
            for (const Json& file : Json::parse(one.slice.files)) files.push_back(file.at("path"));
        list.push_back(
            {{"dataset", key.dataset},
             {"partition", key.partition},
             {"slice", key.slice},
             {"generation", one.slice.generation},
             {"state", one.slice.state},
             {"rows", one.slice.rows},
             {"bytes", one.slice.bytes},
             {"content_hash", one.slice.content_hash},
             {"files", std::move(files)},
             {"folder", generation_folder(key, one.slice.generation, one.attempt)},
             {"writer", one.dag_id + '.' + one.task_id},
             {"interval_end",
              time_json(one.interval ? std::optional{one.interval->end} : std::nullopt)},
             {"committed_at", time_json(one.slice.committed_at)},
             {"superseded_at", time_json(one.superseded_at)},
             {"over", one.over}}
        );
    }
    return list;
}

/// "dag_id.task_id run_id": who did it, for the ledger.
std::string who(const AttemptOrder& order) {
    const Task& task = order.dag->tasks[static_cast<std::size_t>(order.key.task.task)];
    return order.dag->dag_id + '.' + task.id + ' ' + order.run->run_id;
}

/// A clock that stands still in a run: a re-run of it decides the same.
Instant as_of(const AttemptOrder& order, Instant now) {
    const auto& run = *order.run;
    return std::min(now, run.data_interval ? run.data_interval->end : run.run_after);
}

Json holds_json(const std::vector<store::LakeHold>& holds) {
    Json list = Json::array();
    for (const store::LakeHold& hold : holds)
        if (!hold.lifted_at) list.push_back({{"dataset", hold.dataset}, {"reason", hold.reason}});
    return list;
}

Json remove(store::LakeStore& lake, const AttemptOrder& order, const Json& question) {
    std::vector<store::Deletion> deletions;
    for (const Json& item : question.at("generations"))
        deletions.push_back({key_of(item), item.at("state"), item.at("reason")});
    return {{"deleted", lake.remove(deletions, who(order))}};
}

Json files_removed(store::LakeStore& lake, const Json& question) {
    std::vector<store::GenerationKey> keys;
    for (const Json& item : question.at("generations")) keys.push_back(key_of(item));
    lake.files_removed(keys);
    return Json::object();
}

Json replace(store::LakeStore& lake, const AttemptOrder& order, const Json& question) {
    const Json& with = question.at("with");
    store::Replacement replacement{
        .from = key_of(question.at("from")),
        .with = {},
        .attempt = order.key,
        .by = who(order),
        .delete_reason = question.at("delete_reason"),
    };
    replacement.with.generation = with.at("generation").get<std::int64_t>();
    replacement.with.rows = with.at("rows").get<std::int64_t>();
    replacement.with.bytes = with.at("bytes").get<std::int64_t>();
    replacement.with.content_hash = with.at("content_hash").get<std::string>();
    replacement.with.files = with.at("files").dump();
    replacement.with.input = with.at("input").dump();
    replacement.with.code_hash = with.at("code_hash").get<std::string>();
    lake.replace(replacement);
    return Json::object();
}

}  // namespace

std::string generation_folder(
    const store::SliceKey& key, std::int64_t generation, const AttemptKey& attempt
) {
    const auto dot = key.dataset.find('.');
    std::string folder = key.dataset.substr(0, dot) + '/' + key.dataset.substr(dot + 1);
    if (!key.partition.empty()) folder += '/' + key.partition;
    std::string number = std::to_string(generation);
    number.insert(0, number.size() < 6 ? 6 - number.size() : 0, '0');
    std::string name =
        std::to_string(attempt.task.run.value) + '-' + std::to_string(attempt.task.task);
    if (attempt.task.map_index != unmapped) name += "-m" + std::to_string(attempt.task.map_index);
    return folder + "/g=" + number + '-' + name + '-' + std::to_string(attempt.start);
}

std::string answer_lake(
    store::LakeStore& lake, const AttemptOrder& order, const std::string& question, Instant now
) {
    const Json asked = Json::parse(question);
    const std::string what = asked.at("what");
    Json answer;
    if (what == "datasets") {
        answer = {
            {"datasets", lake.datasets()},
            {"holds", holds_json(lake.holds())},
            {"as_of", to_micros(as_of(order, now))},
            {"now", to_micros(now)}
        };
    } else if (what == "generations") {
        answer = {{"generations", generations_json(lake.generations(asked.at("dataset")))}};
    } else if (what == "remove") {
        answer = remove(lake, order, asked);
    } else if (what == "files_removed") {
        answer = files_removed(lake, asked);
    } else if (what == "replace") {
        answer = replace(lake, order, asked);
    } else if (what == "roll_back") {
        lake.roll_back(key_of(asked));
        answer = Json::object();
    } else {
        throw Error(ErrorCode::invalid, "the ledger does not know \"" + what + '"');
    }
    return answer.dump();
}

}  // namespace sluice
