// written_file.hpp — the form of a file that `load` writes, by its name and by what `to` says, and
// how it is read back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/connect/files.hpp"
#include "operators/engine/database.hpp"

namespace sluice::extract {

struct FileForm {
    std::string format;  // csv, jsonl, json, parquet
    connect::Compression compression{connect::Compression::none};
    std::string delimiter;  // csv
    bool header{true};      // csv
};

/// Throws Error(invalid) if `to` and its name do not say it.
FileForm form_of(const nlohmann::json& to);
/// "(format csv, ...)" of COPY.
std::string copy_options(const FileForm& form);

/// Of a file of text; lines in quotes are none.
struct FileLines {
    std::int64_t count{0};
    std::int64_t longest{0};  // bytes
};
FileLines lines_in(const std::filesystem::path& file, const FileForm& form);

/// The rows that a written file has; none where its format does not show them.
std::optional<std::int64_t> rows_in(
    engine::Database& database,
    const std::filesystem::path& file,
    const FileForm& form,
    const FileLines& lines
);

/// What the engine reads back as it wrote it: not JSON, whose decimals it reads as doubles.
bool reads_back(const FileForm& form);
inline constexpr std::string_view no_hash_of_json =
    "what a file of JSON says cannot be compared exactly: use counts, or write CSV or Parquet";
/// SQL of the rows of such a file, as these columns.
std::string read_back(
    const std::filesystem::path& file,
    const FileForm& form,
    const FileLines& lines,
    const std::vector<engine::ColumnInfo>& columns
);

}  // namespace sluice::extract
