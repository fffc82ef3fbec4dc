#include "operators/extract/column_names.hpp"

#include "operators/engine/failure.hpp"

namespace sluice::extract {

namespace {

/// More than these are no columns: somebody uses values as names.
constexpr std::size_t most_columns = 5000;

std::string without_case(std::string name) {
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return name;
}

}  // namespace

std::string ColumnNames::free(const std::string& name) {
    // taken_ has one name that is none of them.
    const std::string base = name.empty() ? "column_" + std::to_string(taken_.size()) : name;
    std::string free = base;
    for (int n = 2; !taken_.insert(without_case(free)).second; ++n)
        free = base + "_" + std::to_string(n);
    if (taken_.size() > most_columns + 1) engine::bad_data(too_many_);
    return free;
}

}  // namespace sluice::extract
