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
#include "operators/extract/target_check.hpp"
#include "operators/extract/written_file.hpp"
#include "operators/lake/progress.hpp"

namespace sluice::extract {

namespace {

namespace fs = std::filesystem;
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

/// The new file says what was sent, to who reads it by the types that were.
void check_file(
    engine::Database& database,
    const fs::path& file,
    const FileForm& form,
    const FileLines& lines,
    const WriteRequest& request
) {
    const std::string what = "the rows of the new file";
    try {
        check_content(
            what,
            {request.rows, request.content_hash},
            content_of_query(
                database, read_back(file, form, lines, request.columns), request.columns
            ),
            ""
        );
    } catch (const engine::Failure& failure) {
        const bool unread =
            failure.error_class() == ErrorClass::data_quality &&
            std::string_view(failure.what()).find("E-LOAD-VERIFY") == std::string_view::npos;
        if (!unread) throw;
        // What the engine says has values in it.
        engine::bad_data(
            "verify: " + what + " cannot be read by the types that were sent [E-LOAD-VERIFY]"
        );
    }
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
    if (!request.content_hash.empty() && !reads_back(form))
        throw Error(ErrorCode::invalid, std::string(no_hash_of_json));
    Stored stored;
    stored.generation = request.claim(1);
    const fs::path file = fs::path(context.scratch()) / "export";
    {
        const lake::Watch watch(context, database, "writing " + name, request.rows);
        stored.rows = database.execute(
            "copy (" + request.query + ") to " + engine::literal(file.string()) + " " +
            copy_options(form)
        );
    }
    if (request.verify) {
        const FileLines lines = form.format == "parquet" ? FileLines{} : lines_in(file, form);
        stored.rows = rows_in(database, file, form, lines).value_or(stored.rows);
        if (stored.rows != request.rows)
            throw engine::Failure(
                ErrorClass::permanent,
                "verify: " + std::to_string(request.rows) + " rows were sent, the new file has " +
                    std::to_string(stored.rows)
            );
        if (!request.content_hash.empty()) check_file(database, file, form, lines, request);
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
