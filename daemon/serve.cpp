// serve.cpp — the verbs standalone and serve: a daemon in the foreground, until a signal.
#include <array>
#include <csignal>
#include <ctime>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "config.hpp"
#include "instance.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

void start_logging(const Config& config) {
    // stderr, one line an event: a service manager or a redirect keeps it.
    auto logger = spdlog::stderr_color_mt("sluice");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    logger->set_level(spdlog::level::from_str(config.log_level));
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

/// Lets attempts that are under way end, for as long as is set or until a second signal.
void drain(Instance& instance, Duration at_most, const sigset_t& signals) {
    instance.drain();
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    constexpr timespec look{.tv_sec = 0, .tv_nsec = 10'000'000};
    while (!instance.drained() && std::chrono::steady_clock::now() < deadline)
        if (sigtimedwait(&signals, nullptr, &look) > 0) return;
}

void serve(const Config& config) {
    start_logging(config);
    // Blocked in every thread, taken by this one; children get them back from the spawner.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    Instance instance(config);
    std::cout << "Sluice serves at " << instance.url() << "  (user admin, password in "
              << (config.home / "admin.password").string() << ")" << std::endl;
    constexpr timespec look{.tv_sec = 0, .tv_nsec = 200'000'000};
    for (;;) {
        const int signal = sigtimedwait(&signals, nullptr, &look);
        if (signal > 0) {
            spdlog::info("stopping on {}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
            drain(instance, config.drain, signals);
            return;
        }
        if (instance.deposed())
            throw Error(
                ErrorCode::conflict, "this daemon no longer owns the run state; see its log"
            );
    }
}

void add_common(CLI::App& verb, Config& config) {
    verb.add_option("--home", config.home, "home folder: logs, lake, secrets")
        ->capture_default_str();
    verb.add_option("--port", config.port, "port of API and dashboard; 0 = any free one")
        ->capture_default_str();
    verb.add_option("--address", config.address, "address to listen on")->capture_default_str();
    verb.add_option("--dags", config.dags, "DAG folder (default: HOME/dags)");
    verb.add_option(
        "--web-dir", config.web_dir, "serve the dashboard from this folder (development)"
    );
    verb.add_option("--parallelism", config.parallelism, "attempts at once")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));
    verb.add_option(
            "--threads", config.threads, "threads of the task pool (default: by parallelism)"
    )
        ->check(CLI::Range(1, 10'000));
    verb.add_option_function<double>(
            "--dag-stale-after",
            [&config](double seconds) {
                config.dag_stale_after =
                    std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
            },
            "seconds until a DAG whose file is missing at the start is stale (default: 300)"
    )
        ->check(CLI::Range(0.0, 86'400.0));
    verb.add_option_function<std::string>(
        "--retention-runs",
        [&config](const std::string& text) {
            const auto keep = parse_duration(text);
            if (!keep || *keep < std::chrono::hours{1})
                throw CLI::ValidationError("--retention-runs", "a duration such as 400d");
            config.retention_runs = *keep;
        },
        "run state whose runs ended longer ago is removed, a partition at a time (off by default)"
    );
    verb.add_option_function<double>(
            "--drain",
            [&config](double seconds) {
                config.drain = std::chrono::round<Duration>(std::chrono::duration<double>(seconds));
            },
            "seconds that running tasks may take to end at a stop (default: 5, serve: 20); what "
            "has not ended is lost, which is no failure, and starts again"
    )
        ->check(CLI::Range(0.0, 86'400.0));
    verb.add_option("--log-level", config.log_level, "debug, info, warn or error")
        ->capture_default_str();
    verb.add_flag(
        "--dags-active-at-creation{false}",
        config.dags_are_paused_at_creation,
        "new DAGs are not paused (Airflow: dags_are_paused_at_creation = False)"
    );
}

}  // namespace

void add_serve(CLI::App& app) {
    const auto config = std::make_shared<Config>();
    auto* standalone = app.add_subcommand(
        "standalone",
        "serve with a private PostgreSQL of the home: one command, nothing else to set up"
    );
    add_common(*standalone, *config);
    standalone->callback([config] { serve(*config); });

    auto* with_server = app.add_subcommand("serve", "serve with an existing PostgreSQL");
    add_common(*with_server, *config);
    with_server->add_option("--database-url", config->database_url, "postgresql://...")->required();
    with_server->add_option(
        "--advertise",
        config->advertise,
        "where the other daemons on this database reach this one (default: http://ADDRESS:PORT)"
    );
    with_server->callback([config, with_server] {
        if (with_server->count("--drain") == 0) config->drain = std::chrono::seconds{20};
        serve(*config);
    });
}

}  // namespace sluice
