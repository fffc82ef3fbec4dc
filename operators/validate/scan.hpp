// scan.hpp — one pass over the rows of a side: how many there are, how many break each rule of
// rows, and whatever other aggregates are wanted. However many checks a data set has, its rows are
// read once for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operators/validate/rules.hpp"
#include "operators/validate/side.hpp"

namespace sluice::validate {

class Scan {
public:
    explicit Scan(Side& side) : side_(side) {}

    /// Each `add` returns the place of its answer. Before `run` only.
    std::size_t add(std::string aggregate);
    /// A rule of rows: how many rows break it.
    std::size_t add(const Rule& rule);

    void run();
    [[nodiscard]] const std::string& sql() const { return sql_; }
    [[nodiscard]] std::int64_t rows() const { return rows_; }
    [[nodiscard]] const std::optional<std::string>& text(std::size_t place) const;
    [[nodiscard]] std::int64_t count(std::size_t place) const;

private:
    Side& side_;
    std::vector<std::string> aggregates_;
    std::string joins_;
    std::string sql_;
    std::int64_t rows_{0};
    std::vector<std::optional<std::string>> answers_;
};

/// A few rows that break a rule which looks at one row, as JSON; "" = none, or nothing of them may
/// be shown.
std::string samples_of(
    const Rule& rule,
    Side& side,
    const std::vector<std::string>& key,
    const binding::Columns& columns
);

}  // namespace sluice::validate
