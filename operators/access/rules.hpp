// rules.hpp — a file of access rules: which roles read which views of a warehouse schema, and which
// rows of the tables behind them. Plain data.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace sluice::access {

struct Reader {
    std::vector<std::string> views;           // names without schema
    std::map<std::string, std::string> rows;  // table: SQL that is true of what may be seen
};

struct Rules {
    std::string etl;                        // "" = none
    std::string owner;                      // of the views, so that rules of rows hold behind them
    std::map<std::string, Reader> readers;  // by role

    /// Every view that somebody reads, every table with rules: sorted.
    [[nodiscard]] std::vector<std::string> views() const;
    [[nodiscard]] std::vector<std::string> tables() const;
    /// Every role, the owner first.
    [[nodiscard]] std::vector<std::string> roles() const;
};

/// YAML or JSON, by the name.
Parsed<Rules> read(std::string_view text, const std::string& file);

}  // namespace sluice::access
