#include <nlohmann/json.hpp>

#include "base/json_text.hpp"
#include "operators/command/command.hpp"
#include "operators/command/handover.hpp"
#include "operators/command/operators.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

constexpr const char* shell_schema = R"({
  "type": "object",
  "properties": {
    "argv": {
      "type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]},
      "description": "Program and arguments, run without a shell."
    },
    "bash_command": {
      "type": "string", "minLength": 1,
      "description": "Run by `bash -euo pipefail`. Values of templates are not quoted for the shell: pass them through `env`."
    },
    "env": {
      "type": "object", "additionalProperties": {"type": ["string", "number", "boolean"], "x-secret": true},
      "description": "Environment of the command; without it the daemon's allow-listed one."
    },
    "append_env": {"type": "boolean", "default": false, "description": "Add `env` to the daemon's environment instead of replacing it."},
    "cwd": {"type": "string", "description": "Working folder; a private temporary folder if absent."},
    "stdin": {"type": "string", "x-secret": true, "description": "Text for standard input."},
    "exit_ok": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "default": [0], "description": "Exit codes that mean success."},
    "skip_on_exit_code": {"type": ["integer", "null"], "default": 99, "description": "Exit code that skips the task."}
  },
  "oneOf": [{"required": ["argv"]}, {"required": ["bash_command"]}],
  "additionalProperties": false
})";

Outcome run_shell(task::TaskContext& ctx, const Json& params) {
    CommandOrder order;
    if (params.contains("argv")) {
        for (const Json& argument : params.at("argv")) order.argv.push_back(text_of(argument));
    } else {
        order.argv = {"bash", "-euo", "pipefail", "-c", params.at("bash_command")};
    }
    Json env;
    if (const auto found = params.find("env"); found != params.end()) {
        env = *found;
        order.env = &env;
    }
    order.code = params.dump();
    order.append_env = params.value("append_env", false);
    order.cwd = params.value("cwd", "");
    order.input = params.value("stdin", "");
    order.exit_ok = params.value("exit_ok", std::vector<int>{0});
    if (const auto skip = params.find("skip_on_exit_code"); skip != params.end())
        order.skip_on_exit_code = skip->is_null() ? -1 : skip->get<int>();
    return run_command(ctx, std::move(order));
}

}  // namespace

task::Operator shell_operator() {
    return {
        .name = "shell",
        .summary =
            "Runs a command or a bash script; its output is the task's log, its task's inlets and "
            "outlets are files to it.",
        .schema = shell_schema,
        .traits = {.hands_over = true},
        .check = check_handover,
        .run = run_shell,
    };
}

}  // namespace sluice::ops
