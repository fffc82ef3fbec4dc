// main.cpp — argv and exit codes. 0 = done; 1 = it could not be done, the reason is on standard
// error; 2 = the command line is wrong.
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "base/error.hpp"
#include "cli/lineage.hpp"
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
    sluice::add_worker(app, argv);
    sluice::add_check(app);
    sluice::add_sample(app);
    sluice::cli::dags::add(app);
    sluice::add_check(*app.get_subcommand("dags"));
    sluice::add_dags_test(app);
    sluice::add_dags_plan(app);
    sluice::cli::runs::add(app);
    sluice::cli::tasks::add(app);
    sluice::cli::approve::add(app);
    sluice::cli::why::add(app);
    sluice::cli::lineage::add(app);
    sluice::cli::backfill::add(app);
    sluice::cli::pools::add(app);
    sluice::cli::outbox::add(app);
    sluice::cli::vault::add(app);
    sluice::cli::users::add(app);
    sluice::cli::assets::add(app);
    sluice::cli::quarantine::add(app);
    sluice::cli::lake::add(app);
    sluice::cli::wait_ready::add(app);
    sluice::cli::explain::add(app);
    sluice::cli::config::add(app);
    sluice::cli::db::add(app);
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
