#include "operators/extract/rejects.hpp"

#include "base/hash.hpp"
#include "operators/extract/csv.hpp"

namespace sluice::extract {

void Rejects::add(
    std::int64_t line, std::string_view text, std::string_view reason, const std::string& source
) {
    rows_.integer(line);
    // What is not UTF-8 cannot be kept as text: its hex is.
    rows_.text(valid_utf8(text) ? std::string(text) : "\\x" + to_hex(text));
    rows_.text(reason);
    rows_.text(source);
    rows_.end_row();
}

}  // namespace sluice::extract
