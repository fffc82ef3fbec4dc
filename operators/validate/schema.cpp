#include "operators/validate/schema.hpp"

namespace sluice::validate {

const char* schema() {
    return R"json({
  "type": "object",
  "required": ["from"],
  "additionalProperties": false,
  "properties": {
    "from": {"description": "The data set whose rows are checked; for a gate one or a list: the checks hold for each.", "oneOf": [
      {"type": "string", "x-dataset": "in", "x-template": "none"},
      {"type": "array", "minItems": 1, "items": {"type": "string", "x-dataset": "in", "x-template": "none"}},
      {"type": "object", "required": ["dataset"], "properties": {
        "dataset": {"type": "string", "x-dataset": "in", "x-template": "none"},
        "partitions": {"enum": ["interval", "latest", "all"]},
        "lookback": {"type": "string", "format": "duration"}}}]},
    "to": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "Where good rows go, typed as declared. Without it the task is a gate."},
    "quarantine": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "Where rows set aside go; default <from>_quarantine."},
    "contract": {"type": "boolean", "default": true, "description": "Declared columns are there, castable, and not null where they must not be."},
    "checks": {"type": "array", "items": {"$ref": "#/definitions/check"}, "description": "Each has one rule."},
    "on_fail": {"enum": ["quarantine", "drop", "warn", "fail"], "description": "What happens to rows that break a rule: quarantine with `to`, else fail."},
    "max_bad": {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?%$", "default": "5%", "description": "Rows set aside beyond it fail the task; nothing is published then."},
    "anomalies": {"type": "array", "items": {"$ref": "#/definitions/anomaly"}, "description": "Metrics of this interval against those of earlier ones."}
  },
  "definitions": {
    "names": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
    "sql": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql"},
    "bound": {"type": ["number", "string"]},
    "anomaly": {
      "type": "object", "required": ["metric"], "additionalProperties": false,
      "properties": {
        "metric": {"enum": ["row_count", "null_share", "distinct_count", "sum", "avg", "min", "max"]},
        "column": {"type": "string", "description": "Of every metric but row_count."},
        "method": {"enum": ["sigma", "relative", "seasonal"], "default": "sigma", "description": "sigma: more than `k` standard deviations from the mean; relative: by more than the share `k` of the median; seasonal: sigma, among intervals of the same weekday (of less than a day: the same hour; of weeks and more: the same month)."},
        "k": {"type": "number", "minimum": 0, "description": "3; of relative 0.5."},
        "min_history": {"type": "integer", "minimum": 2, "default": 7, "description": "Earlier intervals needed to judge; with fewer nothing is said but that."},
        "on_fail": {"enum": ["warn", "fail"], "default": "warn"}
      }
    },
    "check": {
      "type": "object", "minProperties": 1, "additionalProperties": false,
      "properties": {
        "not_null": {"$ref": "#/definitions/names", "description": "Columns that must have a value."},
        "unique": {"$ref": "#/definitions/names", "description": "All but the first row of a key, by row hash, break it."},
        "accepted_values": {"type": "string", "description": "A column and its `values`."},
        "range": {"type": "string", "description": "A column between `min` and `max`."},
        "length": {"type": "string", "description": "A text column whose length is between `min` and `max`."},
        "regex": {"type": "string", "description": "A text column whose whole value fits `pattern` (RE2)."},
        "castable": {"type": "string", "description": "A column that can be cast `as` a type."},
        "foreign_key": {"$ref": "#/definitions/names", "description": "Columns whose values are in `references`."},
        "expr": {"$ref": "#/definitions/sql", "description": "An expression that must be true or null."},
        "row_count": {"type": "object", "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}}},
        "freshness": {"type": "string", "description": "A column with a value not older than `max_age` before the interval's end."},
        "schema": {"enum": ["exact", "superset"], "description": "The table's columns against the declared ones."},
        "compare": {"type": "string", "x-dataset": "in", "x-template": "none", "description": "Another data set with equal `aggregates`, or with the same set of values of `key`."},
        "no_overlap": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string"}, "description": "[from, to] of rows that must not overlap, `by` key."},
        "scd2": {"const": true, "description": "Versions do not overlap, one is current, none is empty."},
        "k_anonymity": {"$ref": "#/definitions/names", "description": "At least `k` rows are alike in these columns."},
        "l_diversity": {"$ref": "#/definitions/names", "description": "Rows alike in these columns have at least `l` different values of `sensitive`."},
        "pii_scan": {"description": "No column looks like personal data, by its values and their checksums: true, or the columns to look at.", "oneOf": [{"const": true}, {"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
        "monotonic": {"type": "string", "description": "A column whose values never fall, `by` key, in the order of the rows or in that of `order_by`."},
        "order_by": {"$ref": "#/definitions/names"},
        "values": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
        "min": {"$ref": "#/definitions/bound"}, "max": {"$ref": "#/definitions/bound"},
        "pattern": {"type": "string", "x-template": "none"},
        "as": {"type": "string"}, "parse": {"$ref": "#/definitions/names"},
        "references": {"type": "string", "x-dataset": "in", "x-template": "none", "description": "data.set or data.set(column)."},
        "lookback": {"type": "string", "format": "duration"},
        "max_age": {"type": "string", "format": "duration"},
        "aggregates": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": "string"}}]},
        "group_by": {"$ref": "#/definitions/names"},
        "tolerance": {"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?%$"},
        "scope": {"enum": ["interval", "all"], "default": "interval"},
        "by": {"$ref": "#/definitions/names"},
        "key": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": "string"}}]},
        "k": {"type": "integer", "minimum": 2}, "l": {"type": "integer", "minimum": 2},
        "sensitive": {"type": "string"}, "force": {"type": "boolean"},
        "id": {"type": "string"},
        "where": {"$ref": "#/definitions/sql"},
        "on_fail": {"enum": ["quarantine", "drop", "warn", "fail"]},
        "max_bad": {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?%$"}
      }
    }
  }
})json";
}

}  // namespace sluice::validate
