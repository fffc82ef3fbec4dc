// row_text.hpp — the text of a row that its hash is made of.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "operators/engine/chunk.hpp"

namespace sluice::engine {

/// True if RowText writes cells of the DuckDB type as canonical_text() does; of other types it
/// takes what canonical_text() made of them.
bool writes_canonical(std::string_view duckdb_type);

/// `n` for NULL, else `v<bytes>:<canonical text>`, one column after another.
class RowText {
public:
    void clear() { size_ = 0; }
    /// Throws Error(internal) for a type that it does not write.
    void add(const Cells& column, std::size_t row);
    [[nodiscard]] std::string_view text() const { return {bytes_.data(), size_}; }

private:
    char* reserve(std::size_t bytes);
    void add_text(std::string_view text);
    void add_number(std::uint64_t size, bool negative);
    void add_number(std::int64_t value);

    std::vector<char> bytes_;
    std::size_t size_{0};
};

}  // namespace sluice::engine
