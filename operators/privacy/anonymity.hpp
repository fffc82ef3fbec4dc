// anonymity.hpp — k-anonymity and l-diversity of a table, asked of whatever holds it in plain SQL
// that both dialects have.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sluice::privacy {

struct Anonymity {
    std::vector<std::string> quasi;
    std::int64_t k{0};      // rows a class must have; 0 = not asked
    std::string sensitive;  // a column of which a class must have
    std::int64_t l{0};      // so many values; 0 = not asked
};

using Rows = std::vector<std::vector<std::optional<std::string>>>;
using Ask = std::function<Rows(const std::string& sql)>;

struct AnonymityReport {
    std::int64_t total{};
    std::int64_t smallest{};      // rows of the smallest class
    std::int64_t least_values{};  // of the sensitive column, in the poorest class
    std::int64_t classes{};       // that are too small or too poor
    std::int64_t rows{};          // in them
    std::string worst;  // the quasi column with the most values that are rare by themselves
    [[nodiscard]] bool holds() const { return classes == 0; }
    /// "3 classes with 7 of 5000 rows are too small (smallest 1, k 5); state tells most apart"
    [[nodiscard]] std::string told(const Anonymity& asked) const;
};

/// `from` is SQL that stands after FROM. A NULL is a value like others.
AnonymityReport measure(const Ask& ask, const std::string& from, const Anonymity& asked);

/// SQL over `from` (DuckDB): the rows as they are, but the quasi columns of classes that are too
/// small or too poor are null, and a last column `suppressed_` tells them.
std::string suppressed_sql(
    const std::string& from, const std::vector<std::string>& columns, const Anonymity& asked
);

}  // namespace sluice::privacy
