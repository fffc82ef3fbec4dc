// main.cpp — argv and exit codes. 0 = done; 1 = it could not be done, the reason is on standard
// error; 2 = the command line is wrong.
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "base/error.hpp"
#include "cli/local_verbs.hpp"
#include "cli/verbs.hpp"
#include "wiring.hpp"

int main(int argc, char** argv) {
    CLI::App app{
        "Sluice: JSON DAG files in, finished and recorded data-pipeline runs out", "sluice"
    };
    app.set_version_flag("--version", SLUICE_VERSION);
    app.require_subcommand(1);
    sluice::add_serve(app);
    sluice::add_worker(app);
    sluice::add_check(app);
    sluice::add_sample(app);
    sluice::cli::add_dags(app);
    sluice::add_dags_test(app);
    sluice::cli::add_runs(app);
    sluice::cli::add_tasks(app);
    sluice::cli::add_approve(app);
    sluice::cli::add_why(app);
    sluice::cli::add_backfill(app);
    sluice::cli::add_pools(app);
    sluice::cli::add_outbox(app);
    sluice::cli::add_vault(app);
    sluice::cli::add_users(app);
    sluice::cli::add_assets(app);
    sluice::cli::add_wait_ready(app);
    sluice::cli::add_explain(app);
    sluice::cli::add_config(app);
    sluice::cli::add_db(app);
    try {
        app.parse(argc, argv);
        return 0;
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return code == 0 ? 0 : 2;
    } catch (const CLI::Error& error) {
        return app.exit(error);
    } catch (const sluice::Error& error) {
        std::fprintf(stderr, "sluice: %s\n", error.what());
        return 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sluice: %s\n", error.what());
        return 1;
    }
}
