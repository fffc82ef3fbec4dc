#include "spec/language.hpp"

#include <nlohmann/json.hpp>

namespace sluice::spec {
namespace {

using nlohmann::json;

constexpr const char* top_level = R"json({
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "A DAG of Sluice",
  "type": "object",
  "required": ["dag_id", "tasks"],
  "additionalProperties": false,
  "properties": {
    "$schema": {"type": "string", "description": "For editors; ignored."},
    "dag_id": {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": 250, "description": "Name of the DAG: letters, digits, `_`, `.`, `-`."},
    "description": {"type": "string", "description": "One line for lists."},
    "doc_md": {"type": "string", "description": "Documentation in Markdown."},
    "owner": {"type": "string", "default": "sluice", "description": "Who answers for it."},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 100}, "default": [], "description": "For finding it."},
    "schedule": {"$ref": "#/definitions/schedule", "default": null, "description": "When runs are made; null = only when triggered. See Schedule."},
    "timezone": {"type": "string", "default": "UTC", "description": "IANA name: of the schedule, of naive times in files and data, of partition labels, of SQL."},
    "start_date": {"$ref": "#/definitions/time", "description": "First logical date, inclusive; required with a schedule."},
    "end_date": {"$ref": "#/definitions/time", "description": "Last logical date, inclusive."},
    "catchup": {"type": "boolean", "default": false, "description": "Make the runs that were missed since `start_date`."},
    "on_unpause": {"enum": ["latest", "none", "all"], "description": "Which missed runs un-pausing makes; by default latest for interval schedules, none for triggers."},
    "is_paused_upon_creation": {"type": "boolean", "description": "Paused when first seen; default is the server's (true)."},
    "max_active_runs": {"type": "integer", "minimum": 1, "default": 16, "description": "Runs of this DAG at a time."},
    "max_active_tasks_per_run": {"type": "integer", "minimum": 1, "default": 16, "description": "Tasks of one run at a time."},
    "max_active_tasks_per_dag": {"type": "integer", "minimum": 1, "description": "Tasks of all runs of this DAG at a time; no limit by default."},
    "dagrun_timeout": {"$ref": "#/definitions/duration", "description": "A run that takes longer fails."},
    "max_consecutive_failed_dag_runs": {"type": "integer", "minimum": 0, "default": 0, "description": "Pause the DAG after so many failed runs in a row; 0 = never."},
    "fail_fast": {"type": "boolean", "default": false, "description": "The first task that fails for good ends the run: what runs is stopped and failed, the rest skipped, teardowns excepted. All tasks use all_success."},
    "deadlines": {"$ref": "#/definitions/deadlines", "description": "When to complain about a late run."},
    "on_success_callback": {"$ref": "#/definitions/callbacks", "description": "Done when a run succeeds."},
    "on_failure_callback": {"$ref": "#/definitions/callbacks", "description": "Done when a run fails."},
    "default_args": {"$ref": "#/definitions/default_args", "description": "Task keys for all tasks; a task's own key wins, then its group's, then these."},
    "params": {"$ref": "#/definitions/params", "description": "What a trigger may set: {name: JSON Schema with `default`, or a plain value}."},
    "schemas": {"type": "object", "propertyNames": {"pattern": "^[a-z_][a-z0-9_]*$"}, "additionalProperties": {"type": "string", "minLength": 1}, "default": {}, "description": "{SQL schema: conn_id}: the warehouse schemas this DAG reads or writes."},
    "lake": {"type": "string", "minLength": 1, "default": "lake", "description": "Connection of the lake."},
    "policy": {"type": "string", "minLength": 1, "x-file": true, "description": "Path of a masking policy; required if a column has a class and a `mask` task names none."},
    "datasets": {"type": "object", "additionalProperties": {"$ref": "#/definitions/dataset"}, "default": {}, "description": "{name: data set}. See Data sets."},
    "tasks": {"type": "array", "minItems": 1, "items": {"oneOf": [{"$ref": "#/definitions/task"}, {"$ref": "#/definitions/group"}]}, "description": "Tasks and groups of tasks."}
  },
  "definitions": {
    "duration": {"type": "string", "format": "duration", "description": "\"90s\", \"5m\", \"2h\", \"7d\" or ISO 8601."},
    "time": {"type": "string", "format": "date-time", "description": "ISO 8601; without offset in the DAG's timezone."},
    "size": {"type": "string", "format": "size", "description": "\"512MiB\", \"2GB\"."},
    "names": {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}], "description": "One string or a list of strings."},
    "callbacks": {"type": "array", "items": {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": {
      "http": {"type": "object", "description": "The `with` of the operator http; its Idempotency-Key is the same at every delivery."},
      "shell": {"type": "object", "description": "The `with` of the operator shell."},
      "email": {"type": "object", "description": "The `with` of the operator email; its Message-ID is the same at every delivery."}}, "additionalProperties": false},
      "description": "[{http | shell | email: that operator's `with`}]: delivered at least once, repeated until it succeeds, never changes a state. Templates know the run, and `exception`, the reason of a failure."},
    "deadlines": {"type": "array", "items": {"type": "object", "required": ["reference", "interval"], "additionalProperties": false, "properties": {
      "reference": {"enum": ["dagrun_queued_at", "dagrun_logical_date", "fixed_datetime", "average_runtime", "percentile_runtime"], "description": "From when on the time is counted. average_runtime and percentile_runtime: from when the run is queued, and as long as the DAG's last successful runs took (of a task: as long as it was from their start to its end)."},
      "interval": {"$ref": "#/definitions/duration", "description": "How long after it; may be negative."},
      "at": {"$ref": "#/definitions/time", "description": "The time of fixed_datetime."},
      "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10, "description": "average_runtime, percentile_runtime: how many past runs count."},
      "min_runs": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "With fewer past runs there is no deadline; by default `limit`."},
      "percentile": {"type": "integer", "minimum": 1, "maximum": 100, "default": 95, "description": "percentile_runtime: so many of a hundred past runs took no longer."},
      "callback": {"$ref": "#/definitions/callbacks", "description": "Done once if the run, or the task, has not ended by then."},
      "predicted_callback": {"$ref": "#/definitions/callbacks", "description": "Done once before that, as soon as work that has not begun usually takes longer than is left (the critical path, by the mean of each task's last attempts)."}}}},
    "params": {"type": "object", "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
)json";

constexpr const char* schedules = R"json(
    "asset_names": {"type": "array", "minItems": 1, "items": {"oneOf": [{"type": "string"}, {"$ref": "#/definitions/asset_expression"}]}},
    "asset_expression": {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": {
      "all": {"$ref": "#/definitions/asset_names"}, "any": {"$ref": "#/definitions/asset_names"}}},
    "calendar": {"x-title": "Calendar", "type": "object", "additionalProperties": false, "properties": {
      "dates": {"type": "array", "items": {"type": "string"}, "description": "Closed days of the DAG's timezone: \"2026-12-25\", or \"2026-12-24/2026-12-26\", both included."},
      "file": {"type": "string", "minLength": 1, "x-file": true, "description": "Path of a JSON list of more of them."},
      "weekends": {"type": "boolean", "default": false, "description": "Saturdays and Sundays are closed too."},
      "rule": {"enum": ["skip", "next_business_day"], "default": "skip", "description": "What becomes of a tick on a closed day: none, or one at the same wall-clock time of the next open day."}}},
    "schedule": {"x-title": "Schedule", "oneOf": [
      {"type": "null", "x-note": "only triggered"},
      {"type": "string", "x-note": "a cron expression or preset, short for {\"cron\": …}; \"@once\", \"@continuous\""},
      {"type": "array", "minItems": 1, "items": {"type": "string"}, "x-note": "when all of these assets were updated"},
      {"type": "object", "required": ["cron"], "additionalProperties": false, "x-note": "trigger at T; interval [T − window, T), with previous_tick [last tick, T)", "properties": {
        "cron": {"$ref": "#/definitions/names", "description": "Cron expressions or presets."},
        "window": {"oneOf": [{"const": "previous_tick"}, {"$ref": "#/definitions/duration"}], "default": "0s", "description": "Length of the data interval, or previous_tick."},
        "run_immediately": {"oneOf": [{"type": "boolean"}, {"$ref": "#/definitions/duration"}], "description": "Whether the first run is the last tick before now; a duration: if it was not longer ago."},
        "jitter": {"$ref": "#/definitions/duration", "default": "0s", "description": "Runs start later by less than this, the same for a DAG and tick at each look."},
        "calendar": {"$ref": "#/definitions/calendar", "description": "Days without ticks."}}},
      {"type": "object", "required": ["cron_interval"], "additionalProperties": false, "x-note": "interval between two ticks, logical date = its start, run after its end + delay", "properties": {
        "cron_interval": {"type": "string", "description": "Cron expression or preset."},
        "delay": {"$ref": "#/definitions/duration", "default": "0s", "description": "How long after the interval's end the run starts."},
        "jitter": {"$ref": "#/definitions/duration", "default": "0s", "description": "Runs start later by less than this, the same for a DAG and tick at each look."},
        "calendar": {"$ref": "#/definitions/calendar", "description": "Days without ticks."}}},
      {"type": "object", "required": ["delta"], "additionalProperties": false, "x-note": "fixed steps from start_date, trigger kind", "properties": {
        "delta": {"$ref": "#/definitions/duration", "description": "The step."},
        "jitter": {"$ref": "#/definitions/duration", "default": "0s", "description": "Runs start later by less than this, the same for a DAG and tick at each look."},
        "calendar": {"$ref": "#/definitions/calendar", "description": "Days without ticks."}}},
      {"type": "object", "required": ["delta_interval"], "additionalProperties": false, "x-note": "fixed steps from start_date, interval kind", "properties": {
        "delta_interval": {"$ref": "#/definitions/duration", "description": "The step."},
        "delay": {"$ref": "#/definitions/duration", "default": "0s", "description": "How long after the interval's end the run starts."},
        "jitter": {"$ref": "#/definitions/duration", "default": "0s", "description": "Runs start later by less than this, the same for a DAG and tick at each look."},
        "calendar": {"$ref": "#/definitions/calendar", "description": "Days without ticks."}}},
      {"type": "object", "required": ["events"], "additionalProperties": false, "x-note": "trigger at these times", "properties": {
        "events": {"type": "array", "items": {"$ref": "#/definitions/time"}, "minItems": 1, "description": "The times."},
        "restrict_to_events": {"type": "boolean", "default": false, "description": "Manual runs take the latest of them as interval."},
        "jitter": {"$ref": "#/definitions/duration", "default": "0s", "description": "Runs start later by less than this, the same for a DAG and tick at each look."},
        "calendar": {"$ref": "#/definitions/calendar", "description": "Days without ticks."}}},
      {"type": "object", "required": ["assets"], "additionalProperties": false, "x-note": "when assets were updated", "properties": {
        "assets": {"$ref": "#/definitions/asset_expression", "description": "{all | any: [names]}, nested."},
        "batch": {"type": "boolean", "default": true, "description": "One run for all updates so far, or one for each."},
        "or_cron": {"type": "string", "description": "And by time: both make runs, each for itself."}}}
    ]},
)json";

constexpr const char* tasks = R"json(
    "task": {"x-title": "Tasks", "type": "object", "required": ["task_id", "operator"], "additionalProperties": false, "properties": {
      "task_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "Name of the task; inside a group the full id is `group_id.task_id`."},
      "operator": {"type": "string", "minLength": 1, "description": "What it does. See the operator reference."},
      "with": {"type": "object", "default": {}, "description": "The operator's parameters."},
      "upstream": {"$ref": "#/definitions/names", "default": [], "description": "Full ids of tasks or groups (a group = its last tasks); added to the inferred ones."},
      "trigger_rule": {"enum": ["all_success", "all_failed", "all_done", "all_done_min_one_success", "all_skipped", "one_failed", "one_success", "one_done", "none_failed", "none_failed_min_one_success", "none_skipped", "always"], "default": "all_success", "description": "Which ends of its upstreams let it run."},
      "expand": {"$ref": "#/definitions/expand", "description": "One instance for each item: {name: list, template or {range}} (cross product), {zip: {...}, fill}, a list of objects, or a template that gives one. Read as `{{ map.name }}`. Inside a mapped group each index has a list of its own."},
      "map_index_template": {"type": "string", "minLength": 1, "description": "Template that names an instance after it ran; a mapped task's only."},
      "retries": {"type": "integer", "minimum": 0, "maximum": 10000, "default": 0, "description": "How often a failed attempt is repeated."},
      "retry_delay": {"$ref": "#/definitions/duration", "default": "300s", "description": "How long after the failure."},
      "retry_exponential_backoff": {"type": ["boolean", "number"], "minimum": 0, "maximum": 100, "default": false, "description": "The delay grows by this factor; true = 2, 0 and 1 = off."},
      "max_retry_delay": {"$ref": "#/definitions/duration", "description": "It grows no further."},
      "retry_policy": {"type": "array", "items": {"type": "object", "required": ["error_class", "action"], "additionalProperties": false, "properties": {
        "error_class": {"enum": ["transient", "rate_limited", "auth", "schema", "data_quality", "resource", "permanent"], "description": "The class that operators give their errors."}, "action": {"enum": ["retry", "fail"], "description": "Try again while retries last, or fail at once."}, "delay": {"$ref": "#/definitions/duration", "description": "Instead of retry_delay; what a server asks for goes before."}}}, "description": "What to do by class of error, in order; the first rule of the class decides. Without one, transient, rate_limited and resource are retried."},
      "execution_timeout": {"$ref": "#/definitions/duration", "description": "An attempt that takes longer fails."},
      "deadlines": {"$ref": "#/definitions/deadlines", "description": "As for the DAG."},
      "params": {"$ref": "#/definitions/params", "description": "Over the DAG's params."},
      "description": {"type": "string", "description": "One line for lists."},
      "doc_md": {"type": "string", "description": "Documentation in Markdown."},
      "owner": {"type": "string", "description": "Who answers for it; the DAG's by default."},
      "pool": {"type": "string", "minLength": 1, "default": "default_pool", "description": "The pool whose slots it takes."},
      "pool_slots": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 1, "description": "How many; more than the pool has is an error."},
      "priority_weight": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647, "default": 1, "description": "The bigger, the sooner."},
      "weight_rule": {"enum": ["downstream", "upstream", "absolute", "critical_path"], "default": "downstream", "description": "Whose weights are added to its own; critical_path: the seconds that the longest way from here to the end has taken on average."},
      "depends_on_past": {"type": "boolean", "default": false, "description": "Waits until it has succeeded or been skipped in the run before: the previous scheduled one with `catchup`, else the previous one by logical date."},
      "wait_for_downstream": {"type": "boolean", "default": false, "description": "And for its direct downstreams there."},
      "depends_on_previous_tasks": {"$ref": "#/definitions/names", "description": "Waits for these tasks in the run before; full ids, in the place of the two keys above."},
      "ignore_first_depends_on_past": {"type": "boolean", "default": true, "description": "A task that no earlier run had waits for nothing."},
      "wait_for_past_depends_before_skipping": {"type": "boolean", "default": false, "description": "A skip waits for the past too."},
      "max_active_tis_per_dag": {"type": "integer", "minimum": 1, "description": "Instances of this task at a time, over all runs."},
      "max_active_tis_per_dagrun": {"type": "integer", "minimum": 1, "description": "Instances of this task at a time, in one run."},
      "is_setup": {"type": "boolean", "default": false, "description": "Prepares what a teardown below it cleans up; clearing work in between clears both."},
      "is_teardown": {"type": "boolean", "default": false, "description": "Cleans up when all its upstreams are done, if one of the setups among them succeeded; the end of the run does not depend on it."},
      "on_failure_fail_dagrun": {"type": "boolean", "default": false, "description": "A failed teardown fails the run."},
      "resources": {"type": "object", "additionalProperties": false, "properties": {
        "threads": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 1, "description": "Threads."},
        "memory": {"$ref": "#/definitions/size", "default": "1GiB", "description": "Memory."},
        "temp": {"$ref": "#/definitions/size", "description": "Temporary files."}}, "description": "Of a data operator or child process: {threads, memory, temp}."},
      "on_lost": {"enum": ["retry", "fail"], "default": "retry", "description": "What becomes of an attempt that ended with its daemon; fail is for commands that must not run twice."},
      "reuse": {"type": "boolean", "default": false, "description": "If code, parameters and inputs equal those of the live output, end in success without doing it again."},
      "on_empty": {"enum": ["ok", "warn", "skip", "fail"], "default": "ok", "description": "What a data operator does that got no rows."},
      "inlets": {"$ref": "#/definitions/names", "description": "Data sets read by an operator that Sluice cannot look into; shell and python find their files."},
      "outlets": {"$ref": "#/definitions/names", "description": "Data sets written by such an operator, by shell and python under $SLUICE_OUT; its success updates these assets."},
      "attest": {"type": "string", "minLength": 1, "description": "The reason to trust declared classes of columns that Sluice cannot trace."},
      "do_xcom_push": {"type": "boolean", "default": true, "description": "Keep the result as XCom."},
      "multiple_outputs": {"type": "boolean", "default": false, "description": "An object as result becomes one XCom for each key."},
      "on_execute_callback": {"$ref": "#/definitions/callbacks", "description": "Done when an attempt starts."},
      "on_success_callback": {"$ref": "#/definitions/callbacks", "description": "Done when it succeeds."},
      "on_failure_callback": {"$ref": "#/definitions/callbacks", "description": "Done when it fails."},
      "on_retry_callback": {"$ref": "#/definitions/callbacks", "description": "Done when it will be repeated."},
      "on_skipped_callback": {"$ref": "#/definitions/callbacks", "description": "Done when it is skipped."}
    }},
    "expand": {"type": ["object", "array", "string"], "minProperties": 1, "minItems": 1, "minLength": 1},
    "group": {"x-title": "Groups", "type": "object", "required": ["group_id", "tasks"], "additionalProperties": false, "properties": {
      "group_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "Name of the group; groups nest, the full id has all names with dots."},
      "tasks": {"type": "array", "minItems": 1, "items": {"oneOf": [{"$ref": "#/definitions/task"}, {"$ref": "#/definitions/group"}]}, "description": "Tasks and groups."},
      "upstream": {"$ref": "#/definitions/names", "default": [], "description": "Upstreams of its first tasks."},
      "default_args": {"$ref": "#/definitions/default_args", "description": "Task keys for its tasks, over the DAG's."},
      "tooltip": {"type": "string", "description": "Shown beside its name."},
      "expand": {"$ref": "#/definitions/expand", "description": "As of a task: one copy of the whole group for each item; within it an index waits for its own index alone."}
    }},
)json";

constexpr const char* datasets = R"json(
    "column": {"oneOf": [{"type": "string", "minLength": 1}, {"type": "object", "required": ["type"], "additionalProperties": false, "properties": {
      "type": {"type": "string", "minLength": 1, "description": "SQL type, then `not null`, then `@class`."},
      "parse": {"$ref": "#/definitions/names", "description": "How text becomes the type; forms are tried in order: `iso`, a strptime pattern, `epoch_s`, `epoch_ms`, `decimal_comma`, `money`."},
      "description": {"type": "string", "description": "For the catalogue."}}}],
      "description": "\"varchar not null @email\", or {type, parse, description}."},
    "dataset": {"x-title": "Data sets", "type": "object", "additionalProperties": false, "properties": {
      "columns": {"type": "object", "minProperties": 1, "propertyNames": {"minLength": 1, "maxLength": 63}, "additionalProperties": {"$ref": "#/definitions/column"}, "description": "{column: \"type not null @class\" or {type, parse, description}}: the contract."},
      "key": {"$ref": "#/definitions/names", "description": "The natural key; default of `key` wherever an operator asks for one."},
      "format": {"enum": ["parquet"], "default": "parquet", "description": "Of a lake data set."},
      "partition": {"enum": ["none", "hour", "day", "month", "quarter", "year"], "description": "Of a lake data set; from the preset of the schedule, else day."},
      "partition_by": {"type": "string", "minLength": 1, "description": "Of a table that a load writes: the date or time of its partitions, `ordered_at` or `month(ordered_at)`: hour, day, month, quarter, year; by itself from the preset of the schedule, else day. They are made as rows come."},
      "indexes": {"type": "array", "items": {"$ref": "#/definitions/names"}, "description": "Of a table: [names]; those of keys come by themselves."},
      "description": {"type": "string", "description": "For the catalogue."}
    }}
  }
})json";

constexpr const char* policy_text = R"json({
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "A masking policy of Sluice",
  "type": "object",
  "required": ["key", "allow", "classes"],
  "additionalProperties": false,
  "properties": {
    "$schema": {"type": "string", "description": "For editors; ignored."},
    "key": {"type": "string", "minLength": 1, "description": "Name of the master secret: 256 bits as hex. A key for each method, domain and version is derived from it."},
    "key_version": {"type": "integer", "minimum": 1, "default": 1, "description": "Goes into every derived key; the secret NAME.vN is used if there is one."},
    "rekey_from": {"type": "integer", "minimum": 1, "description": "The version before; required from key_version 2 on, for all pseudonyms change."},
    "vault": {"type": "string", "minLength": 1, "default": "vault", "description": "Connection (PostgreSQL) of the token vault."},
    "key_prefix": {"type": "boolean", "default": false, "description": "Keyed pseudonyms begin with kN:, so that those of two versions can be told apart."},
    "allow": {"type": "object", "additionalProperties": false, "description": "Classes that may stay readable, by place.", "properties": {
      "curated": {"$ref": "#/definitions/classes"}, "warehouse": {"$ref": "#/definitions/classes"}, "stream": {"$ref": "#/definitions/classes"}, "report": {"$ref": "#/definitions/classes"}}},
    "indirect": {"enum": ["report", "deny", "allow"], "default": "report", "description": "A classified column used only in a filter, join or order."},
    "classes": {"type": "object", "propertyNames": {"$ref": "#/definitions/class"}, "additionalProperties": {"$ref": "#/definitions/rule"}, "description": "{class: rule}; a class without a rule is refused."},
    "columns": {"type": "object", "additionalProperties": {"$ref": "#/definitions/column_rule"}, "description": "{`data.set.column` or `column`: rule}; beats the rule of the class."}
  },
  "definitions": {
    "class": {"enum": ["quasi", "personal", "sensitive", "secret", "email", "phone", "name", "address", "card", "iban", "national_id", "ip", "dob", "geo", "token"]},
    "classes": {"type": "array", "uniqueItems": true, "items": {"$ref": "#/definitions/class"}},
    "method": {"enum": ["sha256", "md5", "hmac", "partial", "email", "token", "ff1", "siv", "shift_date", "bucket", "round", "year", "geo", "noise", "fake", "nullify", "constant", "drop"]},
    "columns": {"oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}]},
    "options": {"type": "object", "required": ["method"], "additionalProperties": false, "properties": {
      "method": {"$ref": "#/definitions/method", "description": "How it is masked."},
      "normalize": {"type": "array", "items": {"enum": ["trim", "lower", "nfc"]}, "description": "Done to the text first, so that equal people stay equal."},
      "domain": {"type": "string", "minLength": 1, "description": "Values of one domain get one pseudonym everywhere; the class by default. Of email: keep, hmac or tld, what becomes of the address's domain."},
      "nulls": {"enum": ["keep", "mask"], "default": "keep", "description": "What becomes of null."},
      "salt": {"type": "string", "minLength": 1, "description": "sha256, md5: name of a secret."},
      "legacy": {"type": "boolean", "default": false, "description": "md5: yes, for a class all the same."},
      "encoding": {"enum": ["hex", "b64url", "b32"], "default": "hex", "description": "hmac: how it is written."},
      "length": {"type": "integer", "minimum": 1, "maximum": 64, "description": "hmac: characters; at least 64 bits."},
      "raw_key": {"type": "string", "minLength": 1, "description": "hmac, ff1: name of a secret, in hex, that is the key itself: for values that other systems make too."},
      "keep_first": {"type": "integer", "minimum": 0, "maximum": 64, "default": 0, "description": "partial, ff1: characters that stay."},
      "keep_last": {"type": "integer", "minimum": 0, "maximum": 64, "description": "partial (4), ff1 (0): characters that stay."},
      "min_masked": {"type": "integer", "minimum": 0, "maximum": 64, "default": 4, "description": "partial: if fewer would be hidden, all are."},
      "char": {"type": "string", "minLength": 1, "default": "*", "description": "partial: what stands for one."},
      "format": {"enum": ["keep", "flat"], "default": "keep", "description": "partial: whether - . ( ) and blanks stay."},
      "local": {"enum": ["first", "none", "hmac"], "default": "first", "description": "email: what is left before the @."},
      "stars": {"type": "integer", "minimum": 1, "maximum": 20, "default": 3, "description": "email: how many."},
      "alphabet": {"enum": ["digits", "alnum36", "alpha26", "custom"], "default": "digits", "description": "ff1: what is encrypted; other characters stay in place, capitals become small letters."},
      "characters": {"type": "string", "minLength": 2, "description": "ff1: those of alphabet custom."},
      "luhn": {"enum": ["break", "repair", "none"], "description": "ff1: whether a masked card number fails Luhn's check or passes it; break for the class card."},
      "tweak": {"type": "string", "maxLength": 128, "description": "ff1: hex, in place of the characters kept."},
      "on_invalid": {"enum": ["fail", "hide"], "default": "fail", "description": "ff1: what becomes of values with fewer than a million possibilities."},
      "subject": {"type": "string", "minLength": 1, "description": "shift_date: the column whose value decides the shift. token: whose it is; each has a key of their own, which can be destroyed."},
      "days": {"type": "integer", "minimum": 1, "maximum": 36500, "default": 30, "description": "shift_date: at most so many, either way; at least 7."},
      "row": {"$ref": "#/definitions/columns", "description": "noise, token: the columns that tell a row from the others."},
      "convergent": {"type": "boolean", "default": true, "description": "token: equal values have one token; else one for each `row`."},
      "scale": {"oneOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.]+%$"}], "description": "noise: at most so much, either way; a number, or a share of the value."},
      "width": {"type": "number", "description": "bucket: of numbers."},
      "bounds": {"type": "array", "minItems": 1, "items": {"type": "number"}, "description": "bucket: of numbers, rising."},
      "unit": {"enum": ["day", "week", "month", "quarter", "year", "decade"], "description": "bucket: of dates."},
      "to": {"type": "number", "default": 1, "description": "round: to multiples of it."},
      "digits": {"type": "integer", "minimum": 0, "maximum": 6, "default": 1, "description": "geo: decimal places that stay; at most 3 for the class geo."},
      "dictionary": {"enum": ["first_name", "last_name", "full_name", "city"], "description": "fake: what is put in the place of the value."},
      "locale": {"enum": ["en", "de", "es", "fr", "pt"], "default": "en", "description": "fake: of the dictionary."},
      "value": {"description": "constant: what stands for every value."}}},
    "rule": {"oneOf": [{"$ref": "#/definitions/method"}, {"$ref": "#/definitions/options"}]},
    "column_rule": {"oneOf": [{"$ref": "#/definitions/method"}, {"$ref": "#/definitions/options"},
      {"type": "object", "required": ["outputs"], "additionalProperties": false, "properties": {"outputs": {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/definitions/rule"}}}}]}
  }
})json";

}  // namespace

std::string language_text() { return std::string(top_level) + schedules + tasks + datasets; }
std::string policy_language_text() { return policy_text; }

namespace {

json make_language() {
    json out = json::parse(language_text());
    auto& definitions = out["definitions"];
    json defaults = definitions["task"];
    defaults.erase("required");
    defaults["x-title"] = "Default arguments";
    for (const char* key :
         {"task_id", "operator", "with", "upstream", "expand", "map_index_template"})
        defaults["properties"].erase(key);
    definitions["default_args"] = std::move(defaults);
    return out;
}

}  // namespace

const json& language() {
    static const json made = make_language();
    return made;
}

const json& definition(const std::string& name) { return language().at("definitions").at(name); }

const json& policy_language() {
    static const json made = json::parse(policy_text);
    return made;
}

}  // namespace sluice::spec
