// local_verbs.hpp — verbs that need no running daemon, or only its home.
#pragma once

namespace CLI {
class App;
}

namespace sluice::cli {

namespace db {
void add(CLI::App& app);
}
namespace config {
void add(CLI::App& app);
}

}  // namespace sluice::cli
