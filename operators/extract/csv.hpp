// csv.hpp — reads CSV as it comes: BOM, CRLF, quoted line breaks, and broken lines, which are set
// aside with their reason instead of ending the file. Works in bounded memory.
//
// A record that is wrong costs one line only: its first physical line is rejected and reading goes
// on with the next one, so an unclosed quote does not swallow what follows. A header that is wrong
// throws Failure(data_quality): nothing is known of the rows then.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::extract {

struct CsvOptions {
    std::string name{"the file"};  // for messages
    char delimiter{','};
    char quote{'"'};
    bool header{true};
    std::int64_t skip{0};  // lines before the header
};

struct CsvField {
    std::string_view text;
    bool quoted{false};
};

struct CsvReject {
    std::int64_t line{};    // 1-based, physical
    std::string_view text;  // of a line that is too long only its beginning
    std::string reason;
};

struct CsvHandler {
    /// Given once, before all rows, if there is a header. Returns the number of fields of a row.
    std::function<std::size_t(const std::vector<CsvField>&)> header;
    std::function<void(const std::vector<CsvField>&)> row;
    std::function<void(const CsvReject&)> reject;
};

/// A record longer than this is broken, and with it its whole line.
inline constexpr std::size_t csv_record_bytes = std::size_t{1} << 20;

/// `read` fills a buffer and returns the bytes, 0 at the end. Without a header rows have `columns`
/// fields.
void read_csv(
    const CsvOptions& options,
    std::size_t columns,
    const std::function<std::size_t(char*, std::size_t)>& read,
    const CsvHandler& handler
);

bool valid_utf8(std::string_view text);
/// Throws Failure(data_quality) if the text begins as UTF-16 or UTF-32 does.
void refuse_utf16(const std::string& name, std::string_view begin);

}  // namespace sluice::extract
