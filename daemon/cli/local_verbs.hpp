// local_verbs.hpp — verbs that need no running daemon, or only its home.
#pragma once

namespace CLI {
class App;
}

namespace sluice::cli {

void add_db(CLI::App& app);
void add_config(CLI::App& app);

}  // namespace sluice::cli
