// dags_test_verb.cpp — `sluice dags test FILE DATE`: one whole DAG run without daemon or run-state
// database, which leaves nothing behind.
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "stop_signals.hpp"
#include "trial_run.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

void test_dag(const std::string& file, const TrialOptions& options) {
    spdlog::set_level(spdlog::level::warn);
    const StopSignals signals;
    bool succeeded = false;
    {
        Dag dag = read_trial_dag(file);
        for (const auto& dataset : dag.datasets)
            if (!dataset.owner.empty())
                std::cerr << "note: " << dataset.name << " is written by the DAG " << dataset.owner
                          << ", which is not run here: nothing is read from it\n";
        TrialRun run(std::move(dag), options);
        succeeded = run.run([&signals] { return signals.came(); });
    }
    if (!succeeded) throw Error(ErrorCode::internal, "the run failed");
    std::cout << "the run succeeded; nothing was kept\n";
}

}  // namespace

void add_dags_test(CLI::App& app) {
    auto* dags = app.get_subcommand("dags");
    const auto options = std::make_shared<TrialOptions>();
    const auto file = std::make_shared<std::string>();
    auto* verb =
        dags->add_subcommand("test", "run a DAG file once, here, and leave nothing behind");
    verb->add_option("file", *file, "the DAG file")->required();
    verb->add_option("date", options->date, "logical date, ISO 8601")->required();
    verb->add_option("--conf,-c", options->conf, "JSON object for the run's params");
    verb->add_option("--home", options->home, "where connections and secrets are looked up")
        ->capture_default_str();
    verb->callback([file, options] { test_dag(*file, *options); });
}

}  // namespace sluice
