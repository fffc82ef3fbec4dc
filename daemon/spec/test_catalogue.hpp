// test_catalogue.hpp — a few operators for the tests of spec: small schemas with all annotations.
#pragma once

#include "model/catalogue.hpp"

namespace sluice::spec {

inline Catalogue test_catalogue() {
    const char* const parts = R"("definitions": {
        "names": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "sql": {"x-template": "sql", "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "dataset": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["dataset"], "additionalProperties": false,
            "properties": {"dataset": {"type": "string"}, "partitions": {"enum": ["interval", "latest", "all"]},
            "lookback": {"type": "string", "format": "duration"}}}]}})";
    const auto schema = [&](const char* body) {
        return std::string(R"({"type": "object", "additionalProperties": false, )") + body + ", " +
               parts + "}";
    };
    return Catalogue({
        {.name = "empty",
         .summary = "Does nothing.",
         .schema = R"({"type": "object", "additionalProperties": false, "properties": {}})"},
        {.name = "shell",
         .summary = "Runs a command.",
         .schema = schema(
             R"("properties": {"argv": {"type": "array", "minItems": 1, "items": {"type": "string"}},
             "bash_command": {"type": "string"}, "env": {"type": "object", "x-secret": true, "additionalProperties": {"type": "string"}},
             "skip_on_exit_code": {"type": "integer", "default": 99}},
             "oneOf": [{"required": ["argv"]}, {"required": ["bash_command"]}])"
         ),
         .hands_over = true},
        {.name = "python",
         .summary = "Runs a script.",
         .schema = schema(
             R"("required": ["script"], "properties": {"script": {"type": "string", "x-file": true, "x-template": "none"}})"
         )},
        {.name = "extract",
         .summary = "From a source to raw.",
         .schema = schema(R"("required": ["from", "to"], "properties": {
             "from": {"type": "object", "required": ["conn_id"]}, "to": {"$ref": "#/definitions/dataset", "x-dataset": "out"},
             "incremental": {"oneOf": [{"type": "string"}, {"type": "object"}]}, "rejects": {"type": "string", "x-dataset": "out"}})"
         ),
         .isolation = Isolation::process,
         .data = true},
        {.name = "validate",
         .summary = "Rows that keep the contract.",
         .schema = schema(R"("required": ["from"], "properties": {
             "from": {"oneOf": [{"$ref": "#/definitions/dataset"}, {"type": "array", "items": {"$ref": "#/definitions/dataset"}}], "x-dataset": "in"},
             "to": {"type": "string", "x-dataset": "out"},
             "checks": {"type": "array", "items": {"type": "object", "properties": {
                 "unique": {"$ref": "#/definitions/names"}, "foreign_key": {"type": "string"}, "references": {"type": "string", "x-dataset": "in"},
                 "pii_scan": {"type": "boolean", "x-not-yet": true}, "compare": {"type": "string", "x-dataset": "in"}}}}})"
         ),
         .isolation = Isolation::process,
         .data = true},
        {.name = "transform",
         .summary = "Steps or SQL.",
         .schema = schema(R"("required": ["to"], "properties": {
             "from": {"$ref": "#/definitions/dataset", "x-dataset": "in"}, "to": {"type": "string", "x-dataset": "out"},
             "steps": {"type": "array"}, "sql": {"$ref": "#/definitions/sql"}, "sql_file": {"type": "string", "x-file": true, "x-template": "none"}},
             "oneOf": [{"required": ["steps"]}, {"required": ["sql"]}, {"required": ["sql_file"]}])"
         ),
         .isolation = Isolation::process,
         .data = true},
        {.name = "mask",
         .summary = "By the policy.",
         .schema = schema(R"("required": ["from", "to"], "properties": {
             "from": {"type": "string", "x-dataset": "in"}, "to": {"type": "string", "x-dataset": "out"},
             "policy": {"type": "string", "x-file": true}})"),
         .isolation = Isolation::process,
         .data = true},
        {.name = "branch",
         .summary = "Chooses.",
         .schema = schema(R"("required": ["case"], "properties": {
             "case": {"type": "array", "items": {"type": "object", "properties": {
                 "when": {"type": ["string", "boolean"], "x-template": "text"},
                 "then": {"x-downstream": true, "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}}},
             "else": {"x-downstream": true, "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}})"
         )},
        {.name = "sensor", .summary = "Waits.", .schema = "{}", .not_yet = true},
    });
}

}  // namespace sluice::spec
