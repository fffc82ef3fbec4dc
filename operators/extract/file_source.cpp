// file_source.cpp — from files: CSV by our own reader (bad lines are kept), JSON by
// json_lines.hpp, Parquet by the engine.
#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "operators/connect/file_digest.hpp"
#include "operators/connect/file_place.hpp"
#include "operators/connect/files.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/csv_loader.hpp"
#include "operators/extract/file_version.hpp"
#include "operators/extract/http_files.hpp"
#include "operators/extract/json_lines.hpp"
#include "operators/extract/rejects.hpp"
#include "operators/extract/source.hpp"
#include "task/problem.hpp"

namespace sluice::extract {

namespace {

namespace fs = std::filesystem;
using engine::quote;

struct File : connect::PlacedFile {
    connect::Compression compression;
};

connect::Compression compression_of(const nlohmann::json& from, const fs::path& path) {
    const std::string written = from.value("compression", "");
    if (written == "gzip") return connect::Compression::gzip;
    if (written == "zstd") return connect::Compression::zstd;
    if (written == "zip") return connect::Compression::zip;
    if (written == "none") return connect::Compression::none;
    return connect::compression_of(path);
}

std::string format_of(const nlohmann::json& from, const File& file) {
    std::string written = from.value("format", "");
    if (!written.empty()) return written;
    fs::path name = file.path.filename();
    if (file.compression != connect::Compression::none) name = name.stem();
    const std::string extension = name.extension().string();
    if (extension == ".csv" || extension == ".tsv" || extension == ".txt") return "csv";
    if (extension == ".jsonl" || extension == ".ndjson") return "jsonl";
    if (extension == ".json") return "json";
    if (extension == ".parquet") return "parquet";
    throw Error(
        ErrorCode::invalid,
        "the format of " + file.name + " cannot be told from its name: write \"format\""
    );
}

std::vector<File> find(connect::FilePlace& place, const nlohmann::json& from) {
    const std::string pattern = from.at("path").get<std::string>();
    std::vector<File> files;
    for (connect::PlacedFile& file : place.find(pattern)) {
        const connect::Compression compression = compression_of(from, file.path);
        files.push_back({std::move(file), compression});
    }
    if (!files.empty()) return files;
    const std::string in =
        " in connection \"" + from.at("conn_id").get<std::string>() + "\" (" + place.told() + ")";
    if (const std::string other = place.instead_of(pattern); !other.empty())
        throw engine::Failure(
            ErrorClass::permanent, "the source file \"" + pattern + "\"" + in + " is " + other
        );
    if (from.value("on_missing", "fail") == "fail")
        // It may come later: a retry is worth something.
        throw engine::Failure(
            ErrorClass::transient, "the source file \"" + pattern + "\" is missing" + in
        );
    return files;
}

/// One task reads files of one format.
std::string format_of(const nlohmann::json& from, const std::vector<File>& files) {
    std::string format = format_of(from, files.front());
    for (const File& file : files) {
        const std::string other = format_of(from, file);
        if (other == format) continue;
        throw engine::Failure(
            ErrorClass::permanent,
            files.front().name + " is " + format + " and " + file.name + " is " + other +
                ": write \"format\", or a path that fits one of them"
        );
    }
    return format;
}

std::function<std::size_t(char*, std::size_t)> reader_of(const File& file) {
    // Opened when it is first read: there may be many files.
    return
        [file,
         reader = std::shared_ptr<connect::FileReader>()](char* buffer, std::size_t size) mutable {
            if (!reader)
                reader = std::make_shared<connect::FileReader>(file.path, file.compression);
            return reader->read(buffer, size);
        };
}

Extracted load_parquet(
    engine::Database& database, const fs::path& root, const std::vector<File>& files
) {
    std::vector<std::string> paths;
    for (const File& file : files) paths.push_back(file.path.string());
    Extracted extracted;
    extracted.query = "select * replace (replace(_sluice_source, " +
                      engine::literal((root / "").string()) +
                      ", '') as _sluice_source) from read_parquet(" + engine::literal_list(paths) +
                      ", union_by_name = true, hive_partitioning = false, "
                      "filename = '_sluice_source')";
    extracted.reads_late = true;
    try {
        extracted.rows_in = database.integer("select count(*) from (" + extracted.query + ")");
    } catch (const engine::Failure& failure) {
        // Not the lines that show our statement.
        const std::string what = failure.what();
        throw engine::Failure(failure.error_class(), what.substr(0, what.find("\n\nLINE")));
    }
    return extracted;
}

/// Files that are written while they are read give rows that never were in them together.
void check_unchanged(const connect::FilePlace& place, const std::vector<File>& files) {
    for (const File& file : files)
        if (place.has_changed(file))
            throw engine::Failure(
                ErrorClass::transient,
                file.name +
                    " has changed or gone while it was read: write files under another "
                    "name first, then rename them"
            );
}

std::shared_ptr<connect::FilePlace> place_of(
    task::TaskContext& context, const task::Connection& connection
) {
    if (connection.type != "http" && connection.type != "https")
        return std::make_shared<connect::FilePlace>(context, connection);
    return std::make_shared<connect::FilePlace>(
        context, connection, http_files(context, connection)
    );
}

Extracted from_files(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    return read_files(
        context,
        database,
        request,
        place_of(context, context.connection(request.from.at("conn_id").get<std::string>()))
    );
}

}  // namespace

Extracted read_files(
    task::TaskContext& context,
    engine::Database& database,
    const Request& request,
    const std::shared_ptr<connect::FilePlace>& shared
) {
    connect::FilePlace& place = *shared;
    std::vector<File> files = find(place, request.from);
    Extracted extracted;
    nlohmann::json files_read = nlohmann::json::object();
    if (request.known_files) {
        const std::size_t all = files.size();
        std::erase_if(files, [&](const File& file) {
            const auto sha256 = [&] {
                place.fetch(file);
                return connect::sha256_of_file(file.path);
            };
            return is_known(*request.known_files, file, sha256, files_read);
        });
        context.info(
            std::to_string(all - files.size()) + " of " + std::to_string(all) +
            " files are as they were read before"
        );
    }
    if (files.empty()) return extracted;
    for (const File& file : files) place.fetch(file);
    const std::string format = format_of(request.from, files);
    const bool text = format != "parquet";
    if (text) database.execute(rejects_table);
    if (format == "csv") {
        CsvLoader loader(context, database, request);
        for (const File& file : files) {
            context.info("reading " + file.name);
            loader.load(file.name, reader_of(file));
        }
        extracted = loader.finish();
    } else if (format == "parquet") {
        extracted = load_parquet(database, place.root(), files);
    } else {
        std::vector<JsonInput> inputs;
        for (const File& file : files) inputs.push_back({file.name, reader_of(file)});
        const std::string records = request.from.value("records", "");
        extracted = load_json(
            context,
            database,
            inputs,
            format == "json" ? JsonText::document : JsonText::lines,
            records,
            nested_of(request.from.value("nested", "keep"))
        );
    }
    extracted.files = static_cast<std::int64_t>(files.size());
    extracted.files_read = std::move(files_read);
    extracted.text = text;
    extracted.has_rejects = text;
    if (text)
        check_unchanged(place, files);
    else
        extracted.check = [shared, files = std::move(files)] { check_unchanged(*shared, files); };
    return extracted;
}

namespace {

void check_files(const nlohmann::json& from, task::CheckResult& result) {
    const std::string delimiter = from.value("delimiter", ",");
    const std::string quote = from.value("quote", "\"");
    if (delimiter == quote)
        task::problem(
            result, "E-EXTRACT-FROM", "/from/delimiter", "delimiter and quote are the same"
        );
    for (const auto& [key, written] : {std::pair{"delimiter", delimiter}, {"quote", quote}})
        if (written == "\n" || written == "\r")
            task::problem(
                result, "E-EXTRACT-FROM", std::string("/from/") + key, "a line break ends rows"
            );
}

}  // namespace

DataSource file_source() {
    return {
        .name = "files",
        .conn_types = {"fs", "s3", "aws"},
        .reads = {"path"},
        .keys =
            {"format",
             "compression",
             "delimiter",
             "quote",
             "header",
             "encoding",
             "skip",
             "null_tokens",
             "records",
             "nested",
             "on_missing"},
        .has_rejects = true,
        .check = check_files,
        .read = from_files,
        .writes = {"path"},
        .write_keys = {"format", "compression", "delimiter", "header"},
        .modes = {"replace"},
        .write = write_file,
    };
}

DataSource remote_file_source() {
    DataSource source = file_source();
    source.name = "files of a server";
    source.conn_types = {"sftp", "http", "https"};
    source.check = {
    };  // file_source() has it, and the connection's type is not known before the run
    source.writes = source.write_keys = source.modes = {};
    source.write = {};
    return source;
}

}  // namespace sluice::extract
