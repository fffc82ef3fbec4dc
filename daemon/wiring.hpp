// wiring.hpp — the verbs that need every part of Sluice at once; wiring.cpp is the one place that
// builds and joins all objects.
#pragma once

namespace CLI {
class App;
}

namespace sluice {

/// standalone, serve
void add_serve(CLI::App& app);
/// worker: what the executor starts, never a user
void add_worker(CLI::App& app, char** argv);
/// check: DAG files and policies, without a daemon
void add_check(CLI::App& app);
/// dags test; after add_dags
void add_dags_test(CLI::App& app);
void add_dags_plan(CLI::App& app);
/// sample
void add_sample(CLI::App& app);

}  // namespace sluice
