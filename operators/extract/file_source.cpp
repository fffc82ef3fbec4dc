// file_source.cpp — from files: CSV by our own reader (bad lines are kept), JSON by
// json_lines.hpp, Parquet by the engine.
#include <algorithm>
#include <filesystem>
#include <map>

#include <nlohmann/json.hpp>

#include "operators/connect/file_digest.hpp"
#include "operators/connect/file_place.hpp"
#include "operators/connect/files.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/csv.hpp"
#include "operators/extract/file_version.hpp"
#include "operators/extract/json_lines.hpp"
#include "operators/extract/source.hpp"

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
    if (files.empty() && from.value("on_missing", "fail") == "fail") {
        // It may come later: a retry is worth something.
        throw engine::Failure(
            ErrorClass::transient,
            "the source file \"" + pattern + "\" is missing in connection \"" +
                from.at("conn_id").get<std::string>() + "\" (" + place.told() + ")"
        );
    }
    return files;
}

/// {"order id", "id", "id"} -> {"order id", "id", "id_2"}; an empty name becomes column_N.
std::vector<std::string> unique_names(const std::vector<CsvField>& fields) {
    std::vector<std::string> names;
    for (const CsvField& field : fields) {
        std::string name(field.text);
        if (name.empty()) name = "column_" + std::to_string(names.size() + 1);
        std::string candidate = name;
        for (int n = 2; std::find(names.begin(), names.end(), candidate) != names.end(); ++n) {
            candidate = name + "_" + std::to_string(n);
        }
        names.push_back(candidate);
    }
    return names;
}

/// Lines that could not be read, into sluice_rejects.
class Rejects {
public:
    explicit Rejects(engine::Database& database) : appender_(database.append("sluice_rejects")) {}
    void add(
        std::int64_t line,
        std::string_view text,
        const std::string& reason,
        const std::string& source
    ) {
        appender_.integer(line);
        // What is not UTF-8 cannot be kept as text: its hex is.
        appender_.text(valid_utf8(text) ? std::string(text) : "\\x" + hex(text));
        appender_.text(reason);
        appender_.text(source);
        appender_.end_row();
    }
    void close() { appender_.close(); }

private:
    static std::string hex(std::string_view bytes) {
        static constexpr char digits[] = "0123456789abcdef";
        std::string text;
        for (const char c : bytes) {
            const auto byte = static_cast<unsigned char>(c);
            text += digits[byte >> 4];
            text += digits[byte & 15];
        }
        return text;
    }
    engine::Appender appender_;
};

/// Tells cheaply whether a text is a time outside the increment; anything else stays in and is
/// looked at by the engine.
class EarlyFilter {
public:
    EarlyFilter(const Request& request, const std::vector<std::string>& columns) {
        if (!request.increment) return;
        for (const ColumnSpec& column : request.dataset.columns) {
            const bool plain =
                column.parse.empty() || column.parse == std::vector<std::string>{"iso"};
            if (column.name == request.increment->column && column.type == "timestamptz" && plain) {
                const auto found = std::find(columns.begin(), columns.end(), column.name);
                if (found == columns.end()) return;
                column_ = static_cast<std::size_t>(found - columns.begin());
                interval_ = request.increment->interval;
            }
        }
    }
    bool outside(const std::vector<CsvField>& fields) {
        if (!interval_) return false;
        const std::string_view text = fields[column_].text;
        // Files are mostly in order: the last answer often holds.
        if (text == last_) return last_outside_;
        last_ = text;
        const auto parsed = parse_time(text);
        last_outside_ = parsed && parsed->has_offset &&
                        (parsed->at < interval_->start || parsed->at >= interval_->end);
        return last_outside_;
    }

private:
    std::optional<Interval> interval_;
    std::size_t column_{0};
    std::string last_;
    bool last_outside_{false};
};

/// Reads CSV files into one table for each distinct header.
class CsvLoader {
public:
    CsvLoader(task::TaskContext& context, engine::Database& database, const Request& request)
        : context_(context), database_(database), request_(request), rejects_(database) {
        const nlohmann::json& from = request.from;
        options_.delimiter = from.value("delimiter", ",").at(0);
        options_.quote = from.value("quote", "\"").at(0);
        options_.header = from.value("header", true);
        options_.skip = from.value("skip", std::int64_t{0});
        if (from.contains("null_tokens")) {
            null_tokens_ = from["null_tokens"].get<std::vector<std::string>>();
        }
    }

    void load(const File& file) {
        connect::FileReader reader(file.path, file.compression);
        std::optional<EarlyFilter> filter;
        if (!options_.header) open(declared_names(), filter);
        CsvHandler handler;
        handler.header = [&](const std::vector<CsvField>& fields) {
            open(unique_names(fields), filter);
            return fields.size();
        };
        handler.row = [&](const std::vector<CsvField>& fields) {
            ++rows_;
            if (filter->outside(fields)) return;
            for (const CsvField& field : fields) put(field);
            table_->text(file.name);
            table_->end_row();
        };
        handler.reject = [&](const CsvReject& reject) {
            rejects_.add(reject.line, reject.text, reject.reason, file.name);
        };
        const auto read = [&](char* buffer, std::size_t size) {
            if (context_.cancelled()) throw engine::Failure(ErrorClass::transient, "cancelled");
            return reader.read(buffer, size);
        };
        read_csv(options_, options_.header ? 0 : declared_names().size(), read, handler);
        if (!filter) engine::bad_schema(file.name + " is empty: it has no header");
        close();
    }

    Extracted finish() {
        rejects_.close();
        Extracted extracted;
        for (const auto& [names, table] : tables_) {
            if (!extracted.query.empty()) extracted.query += " union all by name ";
            extracted.query += "select * from " + table;
        }
        extracted.rows_in = rows_;
        return extracted;
    }

private:
    std::vector<std::string> declared_names() const {
        std::vector<std::string> names;
        for (const ColumnSpec& column : request_.dataset.columns) names.push_back(column.name);
        if (names.empty()) engine::bad_schema("a CSV without a header needs declared columns");
        return names;
    }
    void open(const std::vector<std::string>& names, std::optional<EarlyFilter>& filter) {
        filter.emplace(request_, names);
        auto [found, is_new] = tables_.try_emplace(names, "");
        if (is_new) {
            found->second = "sluice_csv_" + std::to_string(tables_.size());
            std::string columns;
            for (const std::string& name : names) columns += quote(name) + " varchar, ";
            database_.execute(
                "create table " + found->second + " (" + columns + "_sluice_source varchar)"
            );
        }
        table_.emplace(database_.append(found->second));
    }
    void close() {
        table_->close();
        table_.reset();
    }
    void put(const CsvField& field) {
        const bool null =
            !field.quoted &&
            std::find(null_tokens_.begin(), null_tokens_.end(), field.text) != null_tokens_.end();
        if (null) {
            table_->null();
        } else {
            table_->text(field.text);
        }
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const Request& request_;
    Rejects rejects_;
    CsvOptions options_;
    std::vector<std::string> null_tokens_{"", "NULL", "null", "N/A", "NA", "-", "\\N"};
    std::map<std::vector<std::string>, std::string> tables_;
    std::optional<engine::Appender> table_;
    std::int64_t rows_{0};
};

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
    extracted.rows_in = database.integer("select count(*) from (" + extracted.query + ")");
    return extracted;
}

Extracted from_files(
    task::TaskContext& context, engine::Database& database, const Request& request
) {
    connect::FilePlace place(
        context, context.connection(request.from.at("conn_id").get<std::string>())
    );
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
    const std::string format = format_of(request.from, files.front());
    const bool text = format != "parquet";
    if (text) database.execute(rejects_table);
    if (format == "csv") {
        CsvLoader loader(context, database, request);
        for (const File& file : files) {
            context.info("reading " + file.name);
            loader.load(file);
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
    return extracted;
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
        .check = {},
        .read = from_files,
        .writes = {"path"},
        .write_keys = {"format", "compression", "delimiter", "header"},
        .modes = {"replace"},
        .write = write_file,
    };
}

}  // namespace sluice::extract
