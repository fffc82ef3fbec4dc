// job.hpp — one attempt as the task's side sees it: what the start frame of the worker protocol
// carries. Plain data; `to_json` and `job_of` are the frame's two directions.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/dag.hpp"
#include "task/context.hpp"

namespace sluice::task {

/// A SQL schema of the DAG: the connection behind it and the schema to write instead.
struct SchemaPlace {
    std::string conn_id;
    std::string physical;
};

/// Shared parts may point into a DAG version: an inline attempt copies none of them.
struct Job {
    TaskInfo info;
    std::string operator_name;
    std::string params{"{}"};  // rendered `with`: canonical JSON
    Resources resources;
    std::string on_empty{"ok"};
    bool reuse{false};
    bool push_xcom{true};
    bool multiple_outputs{false};
    std::string lake{"lake"};
    std::string policy;  // path in `files` of the DAG's masking policy; "" = none
    std::shared_ptr<const std::vector<DatasetSpec>> datasets;
    std::shared_ptr<const std::map<std::string, std::string>> files;  // the bundle
    std::map<std::string, std::string> partitions;                    // data set -> label
    std::map<std::string, SchemaPlace> schemas;
    std::map<std::string, Connection> connections;  // only those the task names
    std::map<std::string, Secret> secrets;          // only those its fields name
    std::vector<std::string> inlets;
    std::vector<std::string> outlets;
    std::string dag_params{"{}"};    // the run's params: JSON object
    std::string checkpoint{"null"};  // of the attempt before
    std::optional<Duration> execution_timeout;
    std::optional<PokeInfo> poke;  // it has waited before
};

nlohmann::json to_json(const Job& job);
/// Throws Error(invalid) naming what is wrong.
Job job_of(const nlohmann::json& frame);

nlohmann::json to_json(const DatasetSpec& dataset);
DatasetSpec dataset_of(const nlohmann::json& json);
nlohmann::json to_json(const Connection& connection);  // with its password: for the socket only
Connection connection_of(const nlohmann::json& json);
nlohmann::json to_json(const Outcome& outcome);
Outcome outcome_of(const nlohmann::json& json);
nlohmann::json to_json(const OutputCommit& output);
OutputCommit output_of(const nlohmann::json& json);
nlohmann::json to_json(const InputSlice& slice);
InputSlice slice_of(const nlohmann::json& json);
nlohmann::json to_json(const InputQuery& query);
InputQuery query_of(const nlohmann::json& json);

/// What of its source a slice has, in the ledger's `input`: the element {"read": ...}; "" = it does
/// not say.
std::string read_in(const std::string& input);

/// What a command printed or a server answered: its JSON value if it is JSON (and nested no deeper
/// than a DAG file may be), else the text as a string.
nlohmann::json json_or_text(std::string_view text);

std::string_view name(Level level);
std::string_view name(OutcomeKind kind);

}  // namespace sluice::task
