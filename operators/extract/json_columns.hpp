// json_columns.hpp — which columns JSON objects have: one a key, or, flattened, one a path.
#pragma once

#include <string>

#include "operators/engine/database.hpp"

namespace sluice::extract {

enum class Nested { keep, flatten };

/// `from.nested`: "keep" and "json" are one; nested values are JSON text.
Nested nested_of(const std::string& written);

/// SQL: `expression as "name", ` for each column of the table sluice_objects(object), in the order
/// in which keys come. Flattened, the members of {"a": {"b": 1}} are columns a_b; arrays stay JSON
/// text. A name that is taken gets _2. Throws Failure(data_quality) if keys are data.
std::string json_columns(engine::Database& database, Nested nested);

}  // namespace sluice::extract
