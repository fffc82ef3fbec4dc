// --home, --url and --token of every verb that talks to a daemon.
#include <CLI/CLI.hpp>

#include "cli/verbs.hpp"

namespace sluice::cli {

void add_target(CLI::App& verb, Target& target) {
    verb.add_option("--home", target.home, "home folder of the daemon")->capture_default_str();
    verb.add_option("--url", target.url, "address of the daemon, instead of --home");
    verb.add_option("--token", target.token, "access token, with --url");
}

}  // namespace sluice::cli
