// table.hpp — plain text tables for terminals and pipes: columns padded, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace sluice::cli {

/// The first row is the header. Widths count code points.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace sluice::cli
