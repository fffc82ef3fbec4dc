#include "operators/transform/schema.hpp"

namespace sluice::transform {

const char* schema() {
    return R"json({
  "type": "object",
  "required": ["to"],
  "additionalProperties": false,
  "properties": {
    "from": {
      "description": "The data set the steps work on. With sql: {alias: data set} where a scope is needed, else left out.",
      "oneOf": [
        {"type": "string", "x-dataset": "in", "x-template": "none"},
        {"$ref": "#/definitions/scoped"},
        {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"$ref": "#/definitions/dataset"}}
      ]
    },
    "to": {"type": "string", "x-dataset": "out", "x-template": "none", "description": "The data set to write; a table of a schema makes the SQL run in that warehouse."},
    "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/step"}, "description": "Steps in order, compiled into one statement."},
    "sql": {"$ref": "#/definitions/sql", "description": "One select statement in place of steps."},
    "sql_file": {"type": "string", "x-file": true, "x-template": "none", "description": "A file with the statement."},
    "materialized": {"enum": ["table", "view", "materialized_view"], "default": "table", "description": "Warehouse only."},
    "key": {"$ref": "#/definitions/names", "description": "Materialized view or table: its unique index."},
    "engine": {"enum": ["auto", "duckdb"], "default": "auto", "description": "Which engine runs it."},
    "audit": {"type": "boolean", "default": true, "description": "Rows carry their provenance columns."}
  },
  "definitions": {
    "names": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
    "sql": {"type": ["string", "array", "object"], "items": {"type": "string"}, "x-template": "sql"},
    "scoped": {"type": "object", "required": ["dataset"], "properties": {
      "dataset": {"type": "string", "x-dataset": "in", "x-template": "none"},
      "partitions": {"enum": ["interval", "latest", "all"]},
      "lookback": {"type": "string", "format": "duration"}}},
    "dataset": {"oneOf": [{"type": "string", "x-dataset": "in", "x-template": "none"}, {"$ref": "#/definitions/scoped"}]},
    "datasets": {"oneOf": [
      {"type": "string", "x-dataset": "in", "x-template": "none"},
      {"type": "array", "minItems": 1, "items": {"type": "string", "x-dataset": "in", "x-template": "none"}}]},
    "expressions": {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"$ref": "#/definitions/sql"}},
    "step": {
      "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
      "properties": {
        "rename": {"oneOf": [{"const": "snake_case"}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": "string"}}], "description": "snake_case, or {old: new}."},
        "select": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"$ref": "#/definitions/expressions"}], "description": "Names, or {new: expression}."},
        "drop": {"$ref": "#/definitions/names"},
        "normalize": {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"oneOf": [
          {"enum": ["trim", "lower", "upper", "title", "nfc", "squeeze", "ascii"]},
          {"type": "array", "minItems": 1, "items": {"enum": ["trim", "lower", "upper", "title", "nfc", "squeeze", "ascii"]}}]}},
        "cast": {"oneOf": [{"const": "declared"}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"oneOf": [
          {"type": "string"},
          {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "parse": {"$ref": "#/definitions/names"}, "on_error": {"enum": ["fail", "set_null"], "default": "fail"}}}]}}]},
        "fill_null": {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"oneOf": [
          {"type": ["string", "number", "boolean"]},
          {"type": "object", "required": ["expr"], "properties": {"expr": {"$ref": "#/definitions/sql"}}},
          {"type": "object", "required": ["forward"], "properties": {"forward": {"type": "object", "required": ["order_by"], "properties": {"by": {"$ref": "#/definitions/names"}, "order_by": {"$ref": "#/definitions/sql"}}}}}]}},
        "drop_null": {"$ref": "#/definitions/names"},
        "dedup": {"type": "object", "required": ["key"], "properties": {"key": {"$ref": "#/definitions/names"}, "order_by": {"$ref": "#/definitions/sql"}}},
        "filter": {"$ref": "#/definitions/sql"},
        "derive": {"$ref": "#/definitions/expressions"},
        "join": {"type": "object", "required": ["dataset"], "properties": {
          "dataset": {"$ref": "#/definitions/dataset"},
          "using": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": "string"}}]},
          "condition": {"$ref": "#/definitions/sql"},
          "how": {"enum": ["inner", "left", "semi", "anti", "asof"], "default": "inner"},
          "select": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}, {"type": "object", "minProperties": 1, "properties": {}, "additionalProperties": {"type": "string"}}]},
          "cardinality": {"enum": ["many_to_one", "one_to_one", "many_to_many"], "default": "many_to_one"}}},
        "union": {"$ref": "#/definitions/datasets"},
        "aggregate": {"type": "object", "required": ["measures"], "properties": {"group_by": {"$ref": "#/definitions/names"}, "measures": {"$ref": "#/definitions/expressions"}}},
        "pivot": {"type": "object", "required": ["column", "values", "measure"], "properties": {"column": {"type": "string"}, "values": {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}, "measure": {"$ref": "#/definitions/sql"}}},
        "unpivot": {"type": "object", "required": ["columns"], "properties": {"columns": {"$ref": "#/definitions/names"}, "name": {"type": "string"}, "value": {"type": "string"}}},
        "sql": {"$ref": "#/definitions/sql"}
      }
    }
  }
})json";
}

}  // namespace sluice::transform
