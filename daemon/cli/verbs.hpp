// verbs.hpp — the command line's verbs, one file and one namespace each; main.cpp adds them to
// the parser.
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

namespace dags {
void add(CLI::App& app);
}
namespace runs {
void add(CLI::App& app);
}
namespace tasks {
void add(CLI::App& app);
}
namespace approve {
void add(CLI::App& app);
}
namespace backfill {
void add(CLI::App& app);
}
namespace pools {
void add(CLI::App& app);
}
namespace outbox {
void add(CLI::App& app);
}
namespace assets {
void add(CLI::App& app);
}
namespace quarantine {
void add(CLI::App& app);
}
namespace lake {
void add(CLI::App& app);
}
namespace wait_ready {
void add(CLI::App& app);
}
namespace explain {
void add(CLI::App& app);
}
namespace why {
void add(CLI::App& app);
}
namespace vault {
void add(CLI::App& app);
}
namespace users {
void add(CLI::App& app);
}

}  // namespace sluice::cli
