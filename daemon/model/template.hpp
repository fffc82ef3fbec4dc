// template.hpp — the template engine: a sandboxed subset of Jinja for the strings of a DAG file.
// `{{ expr }}`, `{% if %}`, `{% for %}`; no IO, no clock, bounded work and output. Used by spec
// (every template is tried with typed sample values at load) and by the executor (the real ones).
// All functions are pure and may be called from any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "base/instant.hpp"

namespace sluice {

/// What templates may know of a connection. The password is not here: `conn.ID.password` renders
/// to a placeholder.
struct RenderConnection {
    std::string id;
    std::string type;
    std::string host;
    int port{0};
    std::string login;
    std::string schema;
    std::string path;         // of a file connection
    std::string extra{"{}"};  // JSON object
};

/// What templates may know of the DAG's latest successful run with an earlier logical date.
struct RenderPreviousRun {
    std::optional<Interval> data_interval;
    std::optional<Instant> start_date;
    std::optional<Instant> end_date;
};

/// Everything a template can name, as plain data; JSON values are JSON text.
struct RenderContext {
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    std::string run_type{"manual"};
    std::string owner;          // of the DAG
    std::string operator_name;  // of the task
    int map_index{-1};
    int try_number{1};
    int max_tries{0};
    std::optional<Instant> logical_date;
    std::optional<Interval> data_interval;
    std::optional<Instant> run_after;
    std::optional<Instant> start_date;  // of the attempt
    std::string timezone{"UTC"};        // the DAG's
    std::string partition_key;          // label of the run's partition: "2026-01-05", "2001Q1"
    std::string params{"{}"};           // DAG params, then task params, then the run's conf
    std::string conf{"{}"};             // of the run
    bool test_mode{false};
    std::string exception;           // of a callback: the error that made it due; "" = none
    std::string asset_events{"{}"};  // triggering_asset_events: asset -> list of events
    std::string map;                 // JSON of a mapped instance's items; "" = not mapped
    // Filled only when a template names them (TemplateReads::rare):
    std::optional<RenderPreviousRun> previous;  // prev_..._success
    std::vector<std::string> inlets;            // names of assets
    std::vector<std::string> outlets;
    std::string inlet_events{"{}"};  // asset -> list of its updates, the oldest first
    int reschedule_count{0};         // pokes before this one
    std::string map_index_template;
    std::optional<std::int64_t> expanded_count;  // instances of the mapped task
    std::map<std::string, std::map<std::string, std::string>> xcoms;  // task id -> key -> JSON
    std::map<std::string, std::string> variables;
    std::map<std::string, RenderConnection> connections;
};

/// What the templates of a `with` read from outside: fetch these before rendering.
struct TemplateReads {
    std::set<std::string> xcom_tasks;   // xcom.t, xcom['group.t'], ti.xcom_pull('t')
    std::set<std::string> variables;    // var.value.x, var.json.x
    std::set<std::string> connections;  // conn.x
    std::set<std::string> secrets;      // secret.x
    bool asset_events{false};           // triggering_asset_events
    std::set<std::string> rare;         // prev_start_date_success, inlets, ...
};
TemplateReads template_reads(const nlohmann::json& with);

/// True if the text has `{{`, `{%` or `{#` in it.
bool has_template(std::string_view text);

/// Renders every string of `with` as its operator's schema says (`x-template` on the parameter or
/// on one around it):
///   text (default)  a string that is one `{{ }}` keeps the value's type, times as ISO 8601 text;
///   sql             a string or a list of strings (joined by newlines) becomes
///                   {"text": "... $1 ...", "values": [...]}; a value is a JSON scalar or list, or
///                   {"timestamptz": "2026-01-05T00:00:00+00:00"}; also without any template;
///   none            as written.
/// Defaults of the schema are filled in and the result is checked against it.
/// A secret becomes `secret_placeholder(name)`, accepted only under `x-secret`.
/// Throws Error(invalid) that names the parameter.
nlohmann::json render_params(
    const nlohmann::json& with, const nlohmann::json& schema, const RenderContext& context
);

/// One template outside an operator's parameters. Throws Error(invalid).
nlohmann::json render_text(std::string_view text, const RenderContext& context);

/// The opaque text a secret renders to; `name` is "conn.ID.password" or "secret.NAME".
std::string secret_placeholder(std::string_view name);
/// Replaces the placeholders in every string by what `reveal` answers: the worker does it last.
void reveal_secrets(
    nlohmann::json& value, const std::function<std::string(const std::string& name)>& reveal
);
/// Replaces them by `***`: rendered fields that are stored and shown.
void mask_secrets(nlohmann::json& value);

/// What exists, for the check at load. A name outside is a Problem with a suggestion.
struct TemplateScope {
    std::vector<std::string> task_ids;     // of the DAG
    std::string params{"{}"};              // {name: default}; null = any type
    bool scheduled{true};                  // every run has a logical date
    bool mapped{false};                    // there is a `map`
    std::vector<std::string> map_names{};  // what it has; empty = known at run time only
};

/// Tries every template of `with` with typed samples, all branches. The pointers of the problems
/// begin with `pointer`; file and line are the caller's to add.
std::vector<Problem> check_templates(
    const nlohmann::json& with,
    const nlohmann::json& schema,
    const TemplateScope& scope,
    const std::string& pointer
);

}  // namespace sluice
