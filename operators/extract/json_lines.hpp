// json_lines.hpp — JSON into the engine: one object a line, or documents that hold them. What is no
// JSON object is set aside with the number of its line or record.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "operators/extract/json_columns.hpp"
#include "operators/extract/source.hpp"

namespace sluice::extract {

struct JsonInput {
    std::string name;  // becomes `_sluice_source`
    /// Fills a buffer and returns the bytes, 0 at the end.
    std::function<std::size_t(char*, std::size_t)> read;
};

/// A line or record longer than this is set aside, or fails its document.
inline constexpr std::size_t json_record_bytes = std::size_t{16} << 20;

enum class JsonText { lines, document };

/// The table sluice_rejects must exist. `records`: the JSONPath of the objects of a document; "" =
/// the elements of its array, or itself. Without objects there is no query: nothing is known of the
/// columns.
Extracted load_json(
    task::TaskContext& context,
    engine::Database& database,
    const std::vector<JsonInput>& inputs,
    JsonText text,
    const std::string& records,
    Nested nested
);

}  // namespace sluice::extract
