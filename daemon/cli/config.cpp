#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/limits.hpp"
#include "cli/local_verbs.hpp"
#include "cli/table.hpp"
#include "cli/verbs.hpp"
#include "model/expansion.hpp"
#include "runtime/deliveries.hpp"

namespace sluice::cli::config {
namespace {

void list() {
    using namespace limits;
    const auto row = [](const char* name, auto value, const char* meaning) {
        return std::vector<std::string>{name, std::to_string(value), meaning};
    };
    std::cout << table({
        {"limit", "value", "of"},
        row("dag_file_bytes", dag_file_bytes, "a DAG file"),
        row("dag_file_depth", dag_file_depth, "nesting in a DAG file"),
        row("tasks_per_dag", tasks_per_dag, "tasks of one DAG"),
        row("map_length", map_length, "instances of one mapped task in a run"),
        row("run_id_bytes", run_id_bytes, "a run id"),
        row("dag_id_bytes", dag_id_bytes, "a DAG id"),
        row("log_line_bytes", log_line_bytes, "one line of a task log"),
        row("error_text_bytes", error_text_bytes, "the error text of an attempt"),
        row("inline_value_bytes", inline_value_bytes, "an XCom, conf or rendered field"),
        row("artefact_bytes", artefact_bytes, "an XCom, conf or rendered field over that: a file"),
        row("frame_bytes", frame_bytes, "a frame of the worker protocol"),
        row("request_body_bytes", request_body_bytes, "the body of an API request"),
        row("request_header_bytes", request_header_bytes, "the header of an API request"),
        row("api_queue_events", api_queue_events, "commands waiting for the scheduler"),
        row("connections", connections, "HTTP connections"),
        row("page_rows", page_rows, "rows in one page of the API"),
        row("backfill_runs", backfill_runs, "runs of one backfill"),
        row("max_lost_attempts", max_lost_attempts, "lost attempts in a row before a task fails"),
        row("path_component_bytes", path_component_bytes, "a component of a log's path"),
    });
    std::cout
        << '\n'
        << table({
               {"setting", "default", "of"},
               {"retention.runs",
                "off",
                "serve --retention-runs 400d: a partition of runs goes when all ended so long ago"},
               {"callbacks.tries",
                std::to_string(runtime::callback_tries),
                "an undelivered callback is given up after so many"},
           });
}

}  // namespace

void add(CLI::App& app) {
    auto* config = app.add_subcommand("config", "limits and settings");
    config->require_subcommand(1);
    auto* verb = config->add_subcommand("list", "every limit, with its value");
    // Asks nobody, but takes what every verb takes.
    const auto target = std::make_shared<Target>();
    add_target(*verb, *target);
    verb->callback([target] { list(); });
}

}  // namespace sluice::cli::config
