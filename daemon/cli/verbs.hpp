// verbs.hpp — the command line's verbs, one file each; main.cpp adds them to the parser.
// A verb prints to standard output and throws Error for what goes wrong; main maps it to an exit
// code.
#pragma once

#include <functional>
#include <string>

#include "cli/client.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

/// Adds --home, --url and --token.
void add_target(CLI::App& verb, Target& target);

void add_dags(CLI::App& app);
void add_runs(CLI::App& app);
void add_tasks(CLI::App& app);
void add_approve(CLI::App& app);
void add_backfill(CLI::App& app);
void add_pools(CLI::App& app);
void add_outbox(CLI::App& app);
void add_assets(CLI::App& app);
void add_wait_ready(CLI::App& app);
void add_explain(CLI::App& app);
void add_why(CLI::App& app);
void add_vault(CLI::App& app);
void add_users(CLI::App& app);

}  // namespace sluice::cli
