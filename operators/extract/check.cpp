#include "operators/extract/check.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "operators/extract/source.hpp"
#include "task/problem.hpp"

namespace sluice::extract {

using Json = nlohmann::json;

const char* const schema = R"json({
  "type": "object",
  "required": ["from", "to"],
  "additionalProperties": false,
  "properties": {
    "from": {
      "type": "object",
      "description": "A table, files or an HTTP API; the connection's type says which.",
      "required": ["conn_id"],
      "additionalProperties": false,
      "properties": {
        "conn_id": {"type": "string", "description": "The connection to read from."},
        "table": {"type": "string", "description": "Table: its name, with its schema if not public."},
        "query": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql", "description": "Table: a SELECT in place of a table."},
        "query_file": {"type": "string", "x-file": true, "description": "Table: a file with the SELECT."},
        "columns": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Table: only these columns."},
        "where": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql", "description": "Table: a condition."},
        "chunk": {
          "type": "object",
          "description": "Table: read in ranges of a column, several at once; a retry reads those that are missing.",
          "additionalProperties": false,
          "properties": {
            "column": {"type": "string", "minLength": 1, "description": "What orders the ranges; default: the data set's key."},
            "rows": {"type": "integer", "minimum": 1, "description": "Rows a range (default 500000)."},
            "parallel": {"type": "integer", "minimum": 1, "maximum": 16, "description": "Ranges at once (default 2)."}
          }
        },
        "path": {"type": "string", "description": "Files: path or glob (*, ?, **) under the connection's folder; of an HTTP server the path of one."},
        "format": {"enum": ["csv", "json", "jsonl", "parquet"], "description": "Files: by the name if absent."},
        "compression": {"enum": ["gzip", "zstd", "zip", "none"], "description": "Files: by the name if absent."},
        "delimiter": {"type": "string", "minLength": 1, "maxLength": 1, "description": "CSV: default is a comma."},
        "quote": {"type": "string", "minLength": 1, "maxLength": 1, "description": "CSV: default is a double quote."},
        "header": {"type": "boolean", "description": "CSV: the first line names the columns (default true); else they are the declared ones, in order."},
        "encoding": {"enum": ["utf-8"], "description": "CSV: utf-8."},
        "skip": {"type": "integer", "minimum": 0, "description": "CSV: lines before the header."},
        "null_tokens": {"type": "array", "items": {"type": "string"}, "description": "CSV: unquoted fields that become NULL; default: the empty field, NULL, null, N/A, NA, -, \\N."},
        "records": {"type": "string", "description": "JSON, HTTP: JSONPath of the records; default are the elements of the array ($[*])."},
        "nested": {"enum": ["keep", "flatten", "json"], "description": "JSON, HTTP: nested values are JSON text (keep, the default, and json), or the members of objects are columns a_b (flatten; arrays stay JSON text)."},
        "on_missing": {"enum": ["fail", "empty"], "description": "Files: what a missing file is."},
        "endpoint": {"type": "string", "description": "HTTP: path on the connection's server."},
        "method": {"enum": ["GET", "POST"], "description": "HTTP: default GET."},
        "headers": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true}, "description": "HTTP: request headers; credentials belong to the connection."},
        "query_params": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true}, "description": "HTTP: parameters of the address."},
        "body": {"description": "HTTP: a string as it is; anything else as JSON."},
        "pagination": {
          "type": "object",
          "description": "HTTP: how the next page is asked for; absent: there is one page.",
          "required": ["type"],
          "additionalProperties": false,
          "properties": {
            "type": {"enum": ["page", "offset", "cursor", "link", "next_url"], "description": "By number, by offset, by a cursor in the reply, by the header Link (rel=next), by an address in the reply."},
            "param": {"type": "string", "minLength": 1, "description": "Its parameter; default page, offset, cursor."},
            "size_param": {"type": "string", "minLength": 1, "description": "Parameter for the size of a page; absent: none is sent."},
            "size": {"type": "integer", "minimum": 1, "description": "Records a page."},
            "start": {"type": "integer", "minimum": 0, "description": "First page (default 1) or offset (default 0)."},
            "cursor_path": {"type": "string", "description": "JSONPath of the cursor, or of the next address (default $.next), in the reply; the last page has none, null or an empty one."},
            "stop_when_empty": {"type": "boolean", "description": "A page without records is the last. Default true for page and offset (false: a page shorter than size is), else false."}
          }
        },
        "rate_limit": {"type": "string", "pattern": "^[1-9][0-9]*/(s|m|min|h|d)$", "description": "HTTP: requests a second, minute, hour or day, as 5/s."},
        "max_pages": {"type": "integer", "minimum": 1, "description": "HTTP: more pages fail the task (default 100000)."}
      }
    },
    "to": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "A data set of tier raw."},
    "incremental": {
      "description": "A column: rows with start <= column < end of the data interval. Or an object. Absent: the whole source.",
      "oneOf": [
        {"type": "string"},
        {"type": "object", "additionalProperties": false, "required": ["column"], "properties": {
          "column": {"type": "string", "description": "Rows with start <= column < end of the data interval."},
          "lookback": {"type": "string", "description": "And so much before it; for a cursor, again what is so much older than the last value."}}},
        {"type": "object", "additionalProperties": false, "required": ["cursor"], "properties": {
          "cursor": {"type": "string", "description": "Rows beyond the last value of this column that was read."},
          "key": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Columns that tell rows of one value apart: late ones are read too."},
          "lookback": {"type": "string"},
          "initial": {"type": ["string", "number"], "description": "The first value; absent: everything."}}},
        {"type": "object", "additionalProperties": false, "required": ["files"], "properties": {
          "files": {"enum": ["modified"], "description": "Files that were not read before as they are now."}}}
      ]
    },
    "on_schema_change": {"enum": ["fail", "evolve", "ignore"], "description": "For columns that are not declared: fail (default), add them, drop them."},
    "max_rejects": {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?%$", "description": "Lines that may be unreadable: a number or a share (\"0.5%\"); default 0."},
    "rejects": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "Where they are kept; default raw.<x>_rejects."}
  }
})json";

std::string rejects_name(const Json& params) {
    return params.value("rejects", params.at("to").get<std::string>() + "_rejects");
}

namespace {

/// The sources that `from` may be meant for: its connection's type is not known before the run.
std::vector<const DataSource*> candidates(const Json& from) {
    std::vector<const DataSource*> out;
    for (const DataSource& source : sources()) {
        const auto named = std::ranges::count_if(source.reads, [&](const auto& key) {
            return from.contains(key);
        });
        if (named > 0) out.push_back(&source);
    }
    return out;
}

void check_from(task::CheckResult& result, const Json& from) {
    std::set<std::string> ways;
    for (const DataSource& source : sources())
        ways.insert(source.reads.begin(), source.reads.end());
    if (std::ranges::count_if(ways, [&](const auto& key) { return from.contains(key); }) != 1) {
        task::problem(
            result,
            "E-EXTRACT-FROM",
            "/from",
            "exactly one of table, query, query_file, path and endpoint says what is read"
        );
        return;
    }
    const auto meant = candidates(from);
    for (const auto& member : from.items()) {
        const std::string& key = member.key();
        if (key == "conn_id" || ways.contains(key)) continue;
        const bool taken = std::ranges::any_of(meant, [&](const DataSource* source) {
            return std::ranges::find(source->keys, key) != source->keys.end();
        });
        if (taken) continue;
        std::set<std::string> readers;
        for (const DataSource& source : sources())
            if (std::ranges::find(source.keys, key) != source.keys.end())
                readers.insert(source.reads.front());
        std::string whose;
        for (const std::string& way : readers) whose += (whose.empty() ? "" : " or ") + way;
        task::problem(
            result,
            "E-EXTRACT-FROM",
            "/from/" + key,
            "\"" + key + "\" needs " + whose + ", not " + meant.front()->reads.front()
        );
    }
    for (const DataSource* source : meant)
        if (source->check) source->check(from, result);
}

DatasetSpec rejects_spec(const std::string& name, const DatasetSpec& dataset) {
    DatasetSpec spec;
    spec.name = name;
    spec.partition = dataset.partition;
    spec.description = "Lines of " + dataset.name + " that could not be read";
    const bool classified =
        std::any_of(dataset.columns.begin(), dataset.columns.end(), [](const ColumnSpec& column) {
            return !column.pii_class.empty();
        });
    for (const auto& [column_name, type] :
         {std::pair{"line_no", "bigint"},
          std::pair{"line", "varchar"},
          std::pair{"reason", "varchar"}}) {
        ColumnSpec column;
        column.name = column_name;
        column.type = type;
        // The line holds whatever the row holds.
        if (classified && column.name == "line") column.pii_class = "sensitive";
        spec.columns.push_back(column);
    }
    return spec;
}

void check_incremental(
    task::CheckResult& result, const task::CheckInput& input, const Json& incremental
) {
    const bool files = incremental.contains("files");
    if (files && !input.params.at("from").contains("path"))
        task::problem(
            result,
            "E-EXTRACT-FROM",
            "/incremental/files",
            "\"files\" is for files, which are read by \"path\""
        );
    if ((files || incremental.contains("cursor")) && input.task.max_active_tis_per_dag != 1)
        task::problem(
            result,
            "E-EXTRACT-CURSOR",
            "/incremental",
            "two runs at once would both read what is new",
            "give the task \"max_active_tis_per_dag\": 1"
        );
}

}  // namespace

task::CheckResult check(const task::CheckInput& input) {
    task::CheckResult result;
    const Json& params = input.params;
    const std::string to = params.at("to").get<std::string>();
    check_from(result, params.at("from"));
    if (to.substr(0, 4) != "raw.") {
        task::problem(
            result,
            "E-EXTRACT-TO",
            "/to",
            "an extract writes to the tier raw, not to " + to,
            "write \"raw." + to.substr(to.find('.') + 1) + "\""
        );
    }
    const Json incremental = params.value("incremental", Json());
    if (incremental.is_object()) {
        check_incremental(result, input, incremental);
    }
    DatasetSpec dataset;
    if (const DatasetSpec* known = input.dataset(to)) dataset = *known;
    dataset.name = to;
    result.writes.push_back(dataset);
    if (std::ranges::any_of(candidates(params.at("from")), &DataSource::has_rejects)) {
        result.writes.push_back(rejects_spec(rejects_name(params), dataset));
    }
    return result;
}

}  // namespace sluice::extract
