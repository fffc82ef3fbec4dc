#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli::wait_ready {
namespace {

struct Options {
    std::string home{".sluice"};
    int pid{0};
    int timeout_s{60};
};

bool healthy(const std::string& home) {
    const auto address = address_of(home);
    if (!address) return false;
    try {
        // Health needs no token; any text keeps the client from logging in.
        Client client({.home = home, .url = *address, .token = "none"});
        const auto health = client.get("/api/v2/monitor/health");
        return health.at("metadatabase").at("status") == "healthy" &&
               health.at("scheduler").at("status") == "healthy";
    } catch (const Error&) {
        return false;
    }
}

void wait(const Options& options) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_s);
    while (!healthy(options.home)) {
        if (options.pid > 0 && ::kill(options.pid, 0) != 0)
            throw Error(ErrorCode::unavailable, "the daemon ended before it was ready");
        if (std::chrono::steady_clock::now() > deadline)
            throw Error(ErrorCode::unavailable, "the daemon of " + options.home + " is not ready");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    std::cout << "ready at " << address_of(options.home).value_or("") << '\n';
}

}  // namespace

void add(CLI::App& app) {
    auto* verb = app.add_subcommand("wait-ready", "wait until the daemon of a home is healthy");
    const auto options = std::make_shared<Options>();
    verb->add_option("--home", options->home)->capture_default_str();
    verb->add_option("--pid", options->pid, "give up when this process has ended");
    verb->add_option("--timeout", options->timeout_s, "seconds")->capture_default_str();
    verb->callback([options] { wait(*options); });
}

}  // namespace sluice::cli::wait_ready
