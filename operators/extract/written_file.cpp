#include "operators/extract/written_file.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

namespace {

namespace fs = std::filesystem;
using engine::literal;

std::string packing_of(const FileForm& form) {
    if (form.compression == connect::Compression::gzip) return "gzip";
    return form.compression == connect::Compression::zstd ? "zstd" : "none";
}

std::string word(bool value) { return value ? "true" : "false"; }

/// "{'id': 'BIGINT', ...}"
std::string types_of(const std::vector<engine::ColumnInfo>& columns) {
    std::string out;
    for (const engine::ColumnInfo& column : columns)
        out += (out.empty() ? "" : ", ") + literal(column.name) + ": " +
               literal(column.type.starts_with("ENUM") ? std::string("VARCHAR") : column.type);
    return "{" + out + "}";
}

}  // namespace

FileForm form_of(const nlohmann::json& to) {
    const fs::path path = to.at("path").get<std::string>();
    FileForm form;
    form.compression = connect::compression_of(path);
    const std::string written = to.value("compression", "");
    if (written == "gzip") form.compression = connect::Compression::gzip;
    if (written == "zstd") form.compression = connect::Compression::zstd;
    if (written == "none") form.compression = connect::Compression::none;
    form.format = to.value("format", "");
    if (form.format.empty()) {
        const bool packed =
            connect::compression_of(path) != connect::Compression::none && path.has_extension();
        const std::string ending = (packed ? path.stem() : path).extension().string();
        if (ending == ".csv" || ending == ".tsv") form.format = "csv";
        if (ending == ".jsonl" || ending == ".ndjson") form.format = "jsonl";
        if (ending == ".json") form.format = "json";
        if (ending == ".parquet") form.format = "parquet";
    }
    if (form.format.empty())
        throw Error(
            ErrorCode::invalid,
            "the format of \"" + path.string() +
                "\" cannot be told from its name: write \"format\" (csv, jsonl, json or parquet)"
        );
    if (written == "zip" || form.compression == connect::Compression::zip)
        throw Error(ErrorCode::invalid, "files are compressed by gzip or zstd, not by zip");
    const bool tabs = path.string().find(".tsv") != std::string::npos;
    form.delimiter = to.value("delimiter", tabs ? "\t" : ",");
    form.header = to.value("header", true);
    return form;
}

std::string copy_options(const FileForm& form) {
    const std::string packing = packing_of(form);
    if (form.format == "parquet")
        return "(format parquet, compression " + (packing == "none" ? "zstd" : packing) + ")";
    if (form.format == "csv")
        return "(format csv, header " + word(form.header) + ", delimiter " +
               literal(form.delimiter) + ", compression " + packing + ")";
    return "(format json, array " + word(form.format == "json") + ", compression " + packing + ")";
}

FileLines lines_in(const fs::path& file, const FileForm& form) {
    connect::FileReader reader(file, form.compression);
    std::vector<char> buffer(std::size_t{1} << 18);
    FileLines lines;
    std::int64_t length = 0;
    bool quoted = false;
    while (const std::size_t got = reader.read(buffer.data(), buffer.size()))
        for (std::size_t i = 0; i < got; ++i) {
            ++length;
            if (buffer[i] == '"' && form.format == "csv") quoted = !quoted;
            if (buffer[i] != '\n' || quoted) continue;
            ++lines.count;
            lines.longest = std::max(lines.longest, length);
            length = 0;
        }
    return lines;
}

std::optional<std::int64_t> rows_in(
    engine::Database& database, const fs::path& file, const FileForm& form, const FileLines& lines
) {
    if (form.format == "parquet")
        return database.integer(
            "select count(*) from read_parquet(" + literal(file.string()) + ")"
        );
    if (form.format == "json") return std::nullopt;
    return lines.count - (form.format == "csv" && form.header ? 1 : 0);
}

bool reads_back(const FileForm& form) { return form.format == "parquet" || form.format == "csv"; }

std::string read_back(
    const fs::path& file,
    const FileForm& form,
    const FileLines& lines,
    const std::vector<engine::ColumnInfo>& columns
) {
    const std::string name = literal(file.string());
    if (form.format == "parquet") return "select * from read_parquet(" + name + ")";
    // What the engine takes by itself, or as much as there is.
    constexpr std::int64_t line_bytes = 2'097'152;
    constexpr std::int64_t buffer_bytes = 32'000'000;
    return "select * from read_csv(" + name +
           ", auto_detect = false, header = " + word(form.header) +
           ", delim = " + literal(form.delimiter) +
           R"(, quote = '"', escape = '"', allow_quoted_nulls = false, max_line_size = )" +
           std::to_string(std::max(line_bytes, lines.longest + 2)) +
           ", buffer_size = " + std::to_string(std::max(buffer_bytes, 2 * lines.longest + 4)) +
           ", compression = " + literal(packing_of(form)) + ", columns = " + types_of(columns) +
           ")";
}

}  // namespace sluice::extract
