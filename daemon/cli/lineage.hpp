// lineage.hpp — the verb `lineage`.
#pragma once

namespace CLI {
class App;
}

namespace sluice::cli::lineage {
void add(CLI::App& app);
}
