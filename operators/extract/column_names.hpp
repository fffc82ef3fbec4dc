// column_names.hpp — the columns of a table that is made from what a file calls its fields.
#pragma once

#include <set>
#include <string>

namespace sluice::extract {

/// Gives each field a name of its own: the engine takes "Id" and "ID" for one, so the second
/// becomes ID_2.
class ColumnNames {
public:
    /// `too_many`: what bad_data() says if there are more columns than a table may have.
    explicit ColumnNames(std::string too_many) : too_many_(std::move(too_many)) {}
    std::string free(const std::string& name);

private:
    const std::string too_many_;
    std::set<std::string> taken_{"_sluice_source"};
};

}  // namespace sluice::extract
