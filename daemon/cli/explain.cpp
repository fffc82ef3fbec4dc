#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/table.hpp"
#include "cli/verbs.hpp"
#include "model/states.hpp"

namespace sluice::cli::explain {
namespace {

void states() {
    std::vector<std::vector<std::string>> rows{{"task instance: from", "to"}};
    for (int i = 0; i < task_state_count; ++i) {
        const auto from = static_cast<TaskState>(i);
        std::string to;
        for (const auto& [a, b] : legal_task_transitions())
            if (a == from) to += (to.empty() ? "" : ", ") + std::string(name(b));
        rows.push_back({std::string(name(from)), to});
    }
    rows.push_back({});
    rows.push_back({"DAG run: from", "to"});
    for (const auto from :
         {RunState::queued, RunState::running, RunState::success, RunState::failed}) {
        std::string to;
        for (const auto& [a, b] : legal_run_transitions())
            if (a == from) to += (to.empty() ? "" : ", ") + std::string(name(b));
        rows.push_back({std::string(name(from)), to});
    }
    std::cout << table(rows);
}

}  // namespace

void add(CLI::App& app) {
    auto* explain = app.add_subcommand("explain", "what Sluice does, in tables");
    explain->require_subcommand(1);
    auto* verb =
        explain->add_subcommand("states", "the states and the legal transitions between them");
    // Asks nobody, but takes what every verb takes.
    const auto target = std::make_shared<Target>();
    add_target(*verb, *target);
    verb->callback([target] { states(); });
}

}  // namespace sluice::cli::explain
