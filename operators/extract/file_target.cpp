// file_target.cpp — to files: CSV, JSON lines, JSON and Parquet, in the folder or the bucket of a
// connection. A file is written elsewhere first, and is whole when it has its name.
#include <filesystem>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/fault.hpp"
#include "operators/connect/aws_settings.hpp"
#include "operators/connect/files.hpp"
#include "operators/connect/s3.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/source.hpp"
#include "operators/lake/progress.hpp"

namespace sluice::extract {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct FileForm {
    std::string format;  // csv, jsonl, json, parquet
    connect::Compression compression{connect::Compression::none};
};

FileForm form_of(const Json& to) {
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
    return form;
}

std::string packing_of(const FileForm& form) {
    if (form.compression == connect::Compression::gzip) return "gzip";
    return form.compression == connect::Compression::zstd ? "zstd" : "none";
}

std::string delimiter_of(const Json& to) {
    const bool tabs = to.at("path").get<std::string>().find(".tsv") != std::string::npos;
    return to.value("delimiter", tabs ? "\t" : ",");
}

std::string options_of(const FileForm& form, const Json& to) {
    const std::string packing = packing_of(form);
    if (form.format == "parquet")
        return "(format parquet, compression " + (packing == "none" ? "zstd" : packing) + ")";
    if (form.format == "csv")
        return "(format csv, header " + std::string(to.value("header", true) ? "true" : "false") +
               ", delimiter " + engine::literal(delimiter_of(to)) + ", compression " + packing +
               ")";
    return "(format json, array " + std::string(form.format == "json" ? "true" : "false") +
           ", compression " + packing + ")";
}

/// Lines of a written file; those in quotes are none.
std::int64_t lines_in(const fs::path& file, const FileForm& form) {
    connect::FileReader reader(file, form.compression);
    std::vector<char> buffer(std::size_t{1} << 18);
    std::int64_t lines = 0;
    bool quoted = false;
    while (const std::size_t got = reader.read(buffer.data(), buffer.size()))
        for (std::size_t i = 0; i < got; ++i) {
            if (buffer[i] == '"' && form.format == "csv") quoted = !quoted;
            if (buffer[i] == '\n' && !quoted) ++lines;
        }
    return lines;
}

/// The rows that a written file has; `sent` where its format does not show them.
std::int64_t rows_in(
    engine::Database& database,
    const fs::path& file,
    const FileForm& form,
    const Json& to,
    std::int64_t sent
) {
    if (form.format == "parquet")
        return database.integer(
            "select count(*) from read_parquet(" + engine::literal(file.string()) + ")"
        );
    if (form.format == "json") return sent;
    const bool header = form.format == "csv" && to.value("header", true);
    return lines_in(file, form) - (header ? 1 : 0);
}

[[noreturn]] void fail_to(const std::string& what, const fs::path& path, int error) {
    const bool full = error == ENOSPC || error == EDQUOT;
    const bool refused = error == EACCES || error == EPERM || error == EROFS;
    throw engine::Failure(
        full      ? ErrorClass::resource
        : refused ? ErrorClass::auth
                  : ErrorClass::transient,
        what + " " + path.string() + ": " + std::generic_category().message(error)
    );
}

class Descriptor {
public:
    Descriptor(const fs::path& path, int flags) : number_(::open(path.c_str(), flags, 0666)) {
        if (number_ < 0) fail_to("cannot open", path, errno);
    }
    ~Descriptor() { ::close(number_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return number_; }

private:
    int number_;
};

void copy_durably(task::TaskContext& context, const fs::path& from, const fs::path& to) {
    const Descriptor in(from, O_RDONLY | O_CLOEXEC);
    const Descriptor out(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    std::vector<char> buffer(std::size_t{1} << 20);
    for (;;) {
        const ssize_t got = ::read(in.get(), buffer.data(), buffer.size());
        if (got < 0) fail_to("cannot read", from, errno);
        if (got == 0) break;
        for (ssize_t done = 0; done < got;) {
            const auto left = static_cast<std::size_t>(got - done);
            const ssize_t put = ::write(out.get(), buffer.data() + done, left);
            if (put < 0) fail_to("cannot write", to, errno);
            done += put;
        }
        if (context.cancelled()) throw engine::Failure(ErrorClass::transient, "cancelled");
    }
    if (::fsync(out.get()) != 0) fail_to("cannot write", to, errno);
}

/// Beside its place, then moved there. What an attempt before this one left goes: it was fenced.
void move_into(task::TaskContext& context, const fs::path& file, const fs::path& target) {
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    if (error) fail_to("cannot make the folder", target.parent_path(), error.value());
    const std::string begin = "." + target.filename().string() + ".sluice-";
    for (const auto& entry : fs::directory_iterator(target.parent_path(), error))
        if (entry.path().filename().string().starts_with(begin)) fs::remove(entry.path(), error);
    const fs::path part = target.parent_path() / (begin + context.info().attempt_id);
    try {
        copy_durably(context, file, part);
        fault_point("target_before_commit");
        fs::rename(part, target, error);
        if (error) fail_to("cannot move the new file to", target, error.value());
    } catch (...) {
        fs::remove(part, error);
        throw;
    }
    const Descriptor folder(target.parent_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::fsync(folder.get());
}

}  // namespace

Stored write_file(
    task::TaskContext& context, engine::Database& database, const WriteRequest& request
) {
    const std::string name = request.to.at("path").get<std::string>();
    const task::Connection connection =
        context.connection(request.to.at("conn_id").get<std::string>());
    connect::check_inside(name);
    const FileForm form = form_of(request.to);
    Stored stored;
    stored.generation = request.claim(1);
    const fs::path file = fs::path(context.scratch()) / "export";
    const std::string options = options_of(form, request.to);
    {
        const lake::Watch watch(context, database, "writing " + name, request.rows);
        stored.rows = database.execute(
            "copy (" + request.query + ") to " + engine::literal(file.string()) + " " + options
        );
    }
    if (request.verify) {
        stored.rows = rows_in(database, file, form, request.to, stored.rows);
        if (stored.rows != request.rows)
            throw engine::Failure(
                ErrorClass::permanent,
                "verify: " + std::to_string(request.rows) + " rows were sent, the new file has " +
                    std::to_string(stored.rows)
            );
    }
    stored.bytes = static_cast<std::int64_t>(fs::file_size(file));
    if (connect::is_object_store(connection)) {
        connect::S3 s3(context, connection);
        fault_point("target_before_commit");
        // An upload that a killed attempt began is seen by nobody, and paid for.
        s3.abort_uploads(name);
        s3.put(name, file);
    } else {
        move_into(context, file, connect::folder_of(connection) / name);
    }
    fault_point("target_after_commit");
    return stored;
}

}  // namespace sluice::extract
