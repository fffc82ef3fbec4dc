#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "operators/command/command.hpp"
#include "operators/command/handover.hpp"
#include "operators/command/operators.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* python_schema = R"json({
  "type": "object",
  "properties": {
    "script": {"type": "string", "minLength": 1, "x-file": true, "x-template": "none", "description": "A script, relative to the DAG file; it is part of the DAG's version."},
    "code": {"type": ["string", "array"], "items": {"type": "string"}, "description": "The script itself, as one string or a list of lines."},
    "args": {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "default": [], "description": "Arguments: sys.argv[1:]."},
    "env": {
      "type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true},
      "description": "Added to the daemon's allow-listed environment."
    },
    "python": {"type": "string", "minLength": 1, "default": "python3", "description": "An interpreter, or the folder of a virtual environment."},
    "skip_on_exit_code": {"type": ["integer", "null"], "default": 99, "description": "Exit code that skips the task."}
  },
  "oneOf": [{"required": ["script"]}, {"required": ["code"]}],
  "additionalProperties": false
})json";

std::string joined(const Json& lines) {
    if (!lines.is_array()) return text_of(lines);
    std::string out;
    for (const Json& line : lines) out += text_of(line) + '\n';
    return out;
}

/// The script as a file in the scratch folder.
std::string place_script(task::TaskContext& ctx, const Json& params) {
    const bool from_bundle = params.contains("script");
    const std::string name =
        from_bundle ? fs::path(params.at("script").get<std::string>()).filename().string()
                    : std::string("code.py");
    const std::string path = ctx.scratch() + '/' + name;
    std::ofstream file(path, std::ios::binary);
    file << (from_bundle ? ctx.file(params.at("script")) : joined(params.at("code")));
    if (!file.flush()) throw Error(ErrorCode::internal, "cannot write " + path);
    return path;
}

std::string interpreter(const std::string& written) {
    return fs::is_directory(written) ? written + "/bin/python" : written;
}

Outcome run_script(task::TaskContext& ctx, const Json& params) {
    CommandOrder order;
    // Unbuffered, so that lines are in the log when they are printed.
    order.argv = {interpreter(params.value("python", "python3")), "-u", place_script(ctx, params)};
    if (const auto args = params.find("args"); args != params.end())
        for (const Json& argument : *args) order.argv.push_back(text_of(argument));
    order.code = params.dump();
    if (params.contains("script")) order.code += ctx.file(params.at("script"));
    Json env;
    if (const auto found = params.find("env"); found != params.end()) {
        env = *found;
        order.env = &env;
    }
    if (const auto skip = params.find("skip_on_exit_code"); skip != params.end())
        order.skip_on_exit_code = skip->is_null() ? -1 : skip->get<int>();
    return run_command(ctx, std::move(order));
}

}  // namespace

task::Operator python_operator() {
    return {
        .name = "python",
        .summary =
            "Runs a Python script in an interpreter of its own; its task's inlets and outlets are "
            "files to it.",
        .schema = python_schema,
        .traits = {.hands_over = true},
        .check = check_handover,
        .run = run_script,
    };
}

}  // namespace sluice::ops
