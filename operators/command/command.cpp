#include "operators/command/command.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "operators/command/handover.hpp"
#include "operators/engine/failure.hpp"
#include "task/child.hpp"
#include "task/job.hpp"
#include "task/lines.hpp"
#include "task/operator.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

Json time_or_null(const std::optional<Instant>& at) {
    return at ? Json(format_offset(*at)) : Json();
}

/// What a command may want to know, without secrets.
std::string write_context(task::TaskContext& ctx, const Handover& handover) {
    const task::TaskInfo& info = ctx.info();
    Json out{
        {"dag_id", info.dag_id},
        {"run_id", info.run_id},
        {"task_id", info.task_id},
        {"map_index", info.map_index},
        {"try_number", info.try_number},
        {"run_type", info.run_type},
        {"logical_date", time_or_null(info.logical_date)},
        {"data_interval_start", nullptr},
        {"data_interval_end", nullptr},
        {"timezone", info.timezone},
        {"params", Json::parse(ctx.job().dag_params)}
    };
    if (info.data_interval) {
        out["data_interval_start"] = format_offset(info.data_interval->start);
        out["data_interval_end"] = format_offset(info.data_interval->end);
    }
    handover.describe(out);
    const std::string path = ctx.scratch() + "/context.json";
    std::ofstream(path) << out.dump(2) << '\n';
    return path;
}

void set(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
    std::erase_if(environment, [&](const std::string& entry) {
        return entry.starts_with(name + '=');
    });
    environment.push_back(name + '=' + value);
}

std::vector<std::string> environment_of(
    task::TaskContext& ctx, const CommandOrder& order, const Handover& handover
) {
    std::vector<std::string> out;
    for (const std::string& entry : ctx.spawner().environment())
        if (order.env == nullptr || order.append_env || entry.starts_with("SLUICE_INSTANCE="))
            out.push_back(entry);
    if (order.env != nullptr)
        for (const auto& [key, value] : order.env->items()) set(out, key, text_of(value));
    set(out, "SLUICE_CONTEXT", write_context(ctx, handover));
    if (!handover.folder().empty()) set(out, "SLUICE_OUT", handover.folder());
    return out;
}

Outcome outcome_of(
    const task::ChildReport& report, const CommandOrder& order, const std::string& last_error
) {
    if (report.cancelled) return task::fail(ErrorClass::permanent, "cancelled");
    if (report.exit.exit_code >= 0 && std::ranges::count(order.exit_ok, report.exit.exit_code) != 0)
        return task::success();
    if (report.exit.exit_code >= 0 && report.exit.exit_code == order.skip_on_exit_code)
        return task::skip("exit code " + std::to_string(report.exit.exit_code));
    if (report.exit.signal != 0)
        return task::fail(
            ErrorClass::resource,
            "the command was ended by " + task::signal_text(report.exit.signal)
        );
    std::string message = "exit code " + std::to_string(report.exit.exit_code);
    if (!last_error.empty()) message += ": " + last_error;
    return task::fail(ErrorClass::transient, message);
}

void push_last_line(task::TaskContext& ctx, const std::string& line) {
    if (line.size() > limits::artefact_bytes) {
        ctx.warn(
            "the last line of standard output is no XCom: it has more than artefact_bytes (" +
            std::to_string(limits::artefact_bytes) + ')'
        );
        return;
    }
    ctx.xcom("return_value", task::json_or_text(line));
}

}  // namespace

namespace {

Outcome run_child_of(task::TaskContext& ctx, CommandOrder order, Handover& handover) {
    const Resources& resources = ctx.resources();
    task::ChildOrder child{
        .argv = order.argv,
        .environment = environment_of(ctx, order, handover),
        .cwd = order.cwd.empty() ? ctx.scratch() : order.cwd,
        .input = std::move(order.input),
        .memory_bytes = resources.written ? resources.memory_bytes : 0
    };
    std::optional<std::string> last_line;
    std::string last_error;
    const auto report =
        task::run_child(ctx, child, [&](task::Stream stream, std::string_view line) {
            const bool out = stream == task::Stream::out;
            ctx.log(task::Level::info, task::cut_line(line), out ? "stdout" : "stderr");
            if (out) {
                last_line = line;
            } else if (line.find_first_not_of(" \t") != std::string_view::npos) {
                last_error = line;
            }
        });
    if (report.over_memory)
        return task::fail(
            ErrorClass::resource, task::over_memory_text(resources.memory_bytes, report.peak_bytes)
        );
    const Outcome outcome = outcome_of(report, order, last_error);
    if (outcome.kind == OutcomeKind::success) handover.take(order.code);
    if (outcome.kind == OutcomeKind::success && last_line) push_last_line(ctx, *last_line);
    return outcome;
}

}  // namespace

Outcome run_command(task::TaskContext& ctx, CommandOrder order) {
    return engine::guarded([&] {
        Handover handover(ctx);
        return run_child_of(ctx, std::move(order), handover);
    });
}

}  // namespace sluice::ops
