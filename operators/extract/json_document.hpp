// json_document.hpp — the records of one JSON document, however large: they are found while it is
// read, and no more than one is held. Their text is that of the file, digit for digit.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "operators/extract/json_lines.hpp"
#include "operators/extract/raw_json.hpp"

namespace sluice::extract {

/// Without a path: the elements of the document if it is an array, else itself. Throws
/// Failure(data_quality) naming the byte for what is no JSON (what `each` has got by then is no
/// whole), and for a document that has nothing at the path.
void read_json_document(
    const JsonInput& input,
    const std::optional<JsonPath>& path,
    const std::function<void(std::string_view record)>& each
);

}  // namespace sluice::extract
