#include "operators/lake/ledger.hpp"

#include <nlohmann/json.hpp>

namespace sluice::lake {
namespace {

using Json = nlohmann::json;

Json ask(task::TaskContext& context, Json question) {
    return context.ask({{"type", "lake"}, {"question", std::move(question)}});
}

std::optional<Instant> time_of(const Json& item, const char* key) {
    const Json& value = item.at(key);
    if (value.is_null()) return std::nullopt;
    return from_micros(value.get<std::int64_t>());
}

Generation generation_of(const Json& item) {
    Generation one;
    item.at("dataset").get_to(one.dataset);
    item.at("partition").get_to(one.partition);
    item.at("slice").get_to(one.slice);
    item.at("generation").get_to(one.number);
    item.at("state").get_to(one.state);
    item.at("rows").get_to(one.rows);
    item.at("bytes").get_to(one.bytes);
    item.at("content_hash").get_to(one.content_hash);
    item.at("files").get_to(one.files);
    item.at("folder").get_to(one.folder);
    item.at("writer").get_to(one.writer);
    one.interval_end = time_of(item, "interval_end");
    one.committed_at = time_of(item, "committed_at");
    one.superseded_at = time_of(item, "superseded_at");
    item.at("over").get_to(one.over);
    return one;
}

Json key_json(const Generation& one) {
    return {
        {"dataset", one.dataset},
        {"partition", one.partition},
        {"slice", one.slice},
        {"generation", one.number}
    };
}

}  // namespace

std::vector<Slice> slices_of(const std::vector<Generation>& generations) {
    std::vector<Slice> slices;
    for (std::size_t begin = 0; begin < generations.size();) {
        std::size_t end = begin + 1;
        while (end < generations.size() &&
               generations[end].partition == generations[begin].partition &&
               generations[end].slice == generations[begin].slice)
            ++end;
        slices.push_back(Slice(generations).subspan(begin, end - begin));
        begin = end;
    }
    return slices;
}

std::string told(const Generation& generation) {
    std::string out = generation.dataset;
    for (const std::string& part : {generation.partition, generation.slice})
        if (!part.empty()) out += ' ' + part;
    return out + " generation " + std::to_string(generation.number);
}

Lake Ledger::lake() {
    const Json answer = ask(context_, {{"what", "datasets"}});
    Lake lake;
    answer.at("datasets").get_to(lake.datasets);
    for (const Json& hold : answer.at("holds"))
        lake.holds.push_back({hold.at("dataset"), hold.at("reason")});
    lake.as_of = time_of(answer, "as_of").value();
    lake.now = time_of(answer, "now").value();
    return lake;
}

std::vector<Generation> Ledger::generations(const std::string& dataset) {
    const Json answer = ask(context_, {{"what", "generations"}, {"dataset", dataset}});
    std::vector<Generation> found;
    for (const Json& item : answer.at("generations")) found.push_back(generation_of(item));
    return found;
}

std::vector<bool> Ledger::remove(const std::vector<Deletion>& deletions) {
    Json list = Json::array();
    for (const Deletion& deletion : deletions) {
        list.push_back(key_json(deletion.generation));
        list.back()["state"] = deletion.generation.state;
        list.back()["reason"] = deletion.reason;
    }
    const Json answer = ask(context_, {{"what", "remove"}, {"generations", std::move(list)}});
    return answer.at("deleted").get<std::vector<bool>>();
}

void Ledger::files_removed(const std::vector<Generation>& generations) {
    Json list = Json::array();
    for (const Generation& one : generations) list.push_back(key_json(one));
    ask(context_, {{"what", "files_removed"}, {"generations", std::move(list)}});
}

void Ledger::replace(
    const Generation& from, const OutputCommit& with, const std::string& delete_reason
) {
    ask(context_,
        {{"what", "replace"},
         {"from", key_json(from)},
         {"delete_reason", delete_reason},
         {"with",
          {{"generation", with.generation},
           {"rows", with.rows},
           {"bytes", with.bytes},
           {"content_hash", with.content_hash},
           {"files", Json::parse(with.files)},
           {"input", Json::parse(with.input)},
           {"code_hash", with.code_hash}}}});
}

void Ledger::roll_back(const Generation& to) {
    Json question = key_json(to);
    question["what"] = "roll_back";
    ask(context_, std::move(question));
}

}  // namespace sluice::lake
