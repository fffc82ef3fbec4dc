// scan.hpp — looks for personal data in columns of a table: takes a sample of distinct values of
// each and asks the detectors. Values stay here: evidence has counts only.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "operators/privacy/detect.hpp"
#include "task/context.hpp"

namespace sluice::privacy {

/// Collects distinct values of columns, up to a number each.
class Scan {
public:
    Scan(std::vector<std::string> columns, std::size_t most);
    /// One value that is not null, in the order of rows.
    void add(std::size_t column, std::string_view value);
    struct Settings {
        double least{0.6};
        bool guess_secrets{true};
        int this_year{9999};
        std::vector<std::string> keys;  // columns that tell rows apart
    };
    [[nodiscard]] std::vector<Evidence> findings(const Settings& settings) const;

private:
    struct Column {
        std::string name;
        std::vector<std::string> values;
        bool rising{true};
        double last{-1};
    };
    std::vector<Column> columns_;
    std::vector<std::set<std::string, std::less<>>> seen_;
    std::size_t most_;
};

/// The year of the data: of the run's interval, else today's.
int year_of(const task::TaskContext& context);

}  // namespace sluice::privacy
