// draft.hpp — a DAG while it is being read; inside spec only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "model/catalogue.hpp"
#include "model/dag.hpp"
#include "model/template.hpp"
#include "model/zone.hpp"
#include "spec/loader.hpp"

namespace sluice::spec {

/// A name of a data set in a task's parameters.
struct DatasetUse {
    std::string name;
    std::string pointer;
};

/// What a branch may choose: ids of tasks and groups right below it.
struct Way {
    std::vector<std::string> names;
    std::string pointer;
};

/// What is known of a task beside its model.
struct DraftTask {
    std::string pointer;
    nlohmann::json with;
    std::set<std::string> written_upstream;  // full ids of tasks and groups
    std::vector<DatasetUse> reads;
    std::vector<DatasetUse> writes;
    std::set<std::string> side_writes;  // rejects, quarantine: undeclared
    std::set<std::string> xcom_tasks;
    std::vector<Way> ways;                 // values whose schema says x-downstream
    std::set<std::string> previous_tasks;  // depends_on_previous_tasks: full ids
    bool rule_written{false};              // the task itself has a trigger_rule
    bool is_gate{false};
};

/// Beside dag.mappings.
struct DraftMapping {
    std::string pointer;  // of `expand`
    nlohmann::json expand;
    std::vector<std::string> names;  // that `map` has; empty = known at run time only
};

struct DraftGroup {
    std::string pointer;
    std::set<std::string> upstream;
    int depth{0};
};

/// A task's place in `Dag::tasks`.
inline std::size_t at(TaskNo task) { return static_cast<std::size_t>(task); }

struct Draft {
    Dag dag;
    const nlohmann::json& root;
    const Catalogue& catalogue;
    Problems& problems;
    const FileReader& read_file;
    const SourceMap& places;
    const OtherDatasets& others;
    bool stored{false};  // a stored version: its operators' parameters were checked long ago
    std::optional<Zone> zone{};
    std::vector<DraftTask> tasks{};  // beside dag.tasks
    std::map<std::string, DraftGroup> groups{};
    std::vector<DraftMapping> mappings{};      // beside dag.mappings
    bool operators_known{true};                // else who writes what is not known either
    std::map<std::string, std::string> ids{};  // full id -> pointer
    struct CallbackUse {
        std::string kind;
        std::string pointer;  // of its parameters
        nlohmann::json with;
    };
    std::vector<CallbackUse> callbacks{};
};

// The steps, in order. Each notes its problems and goes on.
void read_top_level(Draft& draft);
void read_datasets(Draft& draft);
void read_tasks(Draft& draft);
void check_operators(Draft& draft);
void check_mappings(Draft& draft);
void connect_tasks(Draft& draft);
void check_dependencies(Draft& draft);
void check_schedule_fit(Draft& draft);

// Parts of the schedule object (schedule_days.cpp).
void read_events(Draft& draft, Fields& fields);
/// `jitter` and `calendar`.
void read_schedule_days(Draft& draft, Fields& fields);
/// A problem if the calendar closes every day on which the schedule fires.
void check_ticks(Draft& draft);

// other_datasets.cpp: data sets of other DAGs
/// The other DAG's data set of this name becomes one of this DAG's; nullptr if there is none.
DatasetSpec* adopt_dataset(Draft& draft, const std::string& name);
/// E-DATASET-WRITERS if another DAG writes or declares it too.
void check_only_writer(Draft& draft, const std::string& name, const std::string& pointer);
/// E-DATASET-UNKNOWN for assets of the schedule that nobody writes or declares.
void check_schedule_assets(Draft& draft);
/// Keeps what the version inherits in its bundle: part of its hash.
void keep_inherited(Draft& draft);
/// What a stored bundle has inherited.
OtherDatasets inherited_in(const std::map<std::string, std::string>& files);
/// Notes an `expand` of a task or group; `around` is the mapping that it stands in. Returns the
/// mapping's number, or `around`.
MapNo add_mapping(
    Draft& draft,
    const nlohmann::json& written,
    const std::string& pointer,
    const std::string& owner,
    MapNo around
);

/// What `map` has for the tasks of a mapping: its own names and those of the one around it; empty =
/// known at run time only.
std::vector<std::string> map_names(const Draft& draft, MapNo map);

/// E-NOT-YET for the keys of `value` that `schema` marks with x-not-yet.
void refuse_not_yet(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const std::string& pointer,
    Problems& problems
);
/// The same in the whole depth, by the schema of an operator.
void refuse_not_yet_deep(
    const nlohmann::json& value,
    const nlohmann::json& schema,
    const std::string& pointer,
    Problems& problems
);
/// The keys on_..._callback and deadlines of a task or of the DAG.
void read_callbacks(
    Draft& draft,
    const nlohmann::json& owner,
    const std::string& pointer,
    std::vector<Callback>& callbacks,
    std::vector<Deadline>& deadlines
);
/// The parameters of every callback, held to the schema of its operator.
void check_callbacks(Draft& draft);

/// Checks against a part of the language and adds what is wrong.
bool check_language(
    const nlohmann::json& value,
    const nlohmann::json& part,
    const std::string& pointer,
    Problems& problems
);

/// The bundle's copy of a file the DAG names; a problem if it cannot be had.
const std::string* bundle_file(Draft& draft, const std::string& path, const std::string& pointer);

/// {name: JSON Schema} of `params` as written; canonical text.
std::string read_params(
    const nlohmann::json* params, const std::string& pointer, bool scheduled, Problems& problems
);

/// "raw.x", "sales.y": a tier or a schema of the DAG, then a name. A problem says what is wrong.
bool check_dataset_name(
    const std::string& name, const std::string& pointer, const Dag& dag, Problems& problems
);
bool is_lake_tier(const std::string& schema);

/// The keys of the object at `pointer` as they stand in the file: columns of a data set have an
/// order, JSON objects in memory have none.
std::vector<std::string> keys_in_order(
    const nlohmann::json& object, const std::string& pointer, const SourceMap& places
);

/// Names of the form a.b outside strings and comments of SQL, quotes taken off.
std::set<std::string> qualified_names(const std::string& sql);

/// Problems of a policy, its place being `file`; the value if it can be read.
std::vector<Problem> check_policy_text(std::string_view text, const std::string& file);

}  // namespace sluice::spec
