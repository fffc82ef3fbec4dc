#include "operators/extract/chunks.hpp"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/chunk_files.hpp"
#include "operators/lake/progress.hpp"

namespace sluice::extract {

using engine::Failure;
using engine::quote;

namespace {

/// The ranges that are missing, read by several threads.
class ChunkRun {
public:
    ChunkRun(
        task::TaskContext& context,
        engine::Database& database,
        const ChunkedRead& read,
        ChunkFiles& files
    )
        : context_(context),
          database_(database),
          read_(read),
          files_(files),
          progress_(context, "reading") {
        const std::size_t count = files.found()->size() + 1;
        for (std::size_t chunk = 0; chunk < count; ++chunk)
            if (!files.has(chunk)) missing_.push_back(chunk);
        count_ = count;
    }

    void run() {
        const std::size_t threads =
            std::min<std::size_t>(missing_.size(), static_cast<std::size_t>(read_.parallel));
        std::vector<std::thread> others;
        for (std::size_t i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
        if (threads > 0) work();
        for (std::thread& other : others) other.join();
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    void work() noexcept {
        std::shared_ptr<RangeReader> reader;
        try {
            reader = read_.open();
            if (!enter(reader)) return;
            const auto beside = database_.beside();
            while (const auto chunk = next()) one(*chunk, *reader, *beside);
        } catch (...) {
            fail(std::current_exception());
        }
        leave(reader);
    }
    bool enter(const std::shared_ptr<RangeReader>& reader) {
        const std::lock_guard lock(mutex_);
        readers_.push_back(reader);
        return !failure_;
    }
    /// Only then may it be destroyed: it is stopped under the lock.
    void leave(const std::shared_ptr<RangeReader>& reader) {
        const std::lock_guard lock(mutex_);
        std::erase(readers_, reader);
    }
    void fail(std::exception_ptr failure) {
        const std::lock_guard lock(mutex_);
        if (failure_) return;
        failure_ = std::move(failure);
        for (const auto& reader : readers_) reader->stop();
    }
    std::optional<std::size_t> next() {
        if (context_.cancelled()) throw Failure(ErrorClass::transient, "cancelled");
        const std::lock_guard lock(mutex_);
        if (failure_ || next_ == missing_.size()) return std::nullopt;
        return missing_[next_++];
    }

    void one(std::size_t chunk, RangeReader& reader, engine::Database& database) {
        const auto& bounds = *files_.found();
        ChunkRange range;
        if (chunk > 0) range.from = bounds[chunk - 1];
        if (chunk < bounds.size()) range.to = bounds[chunk];
        const std::string table = "sluice_chunk_" + std::to_string(chunk);
        database.execute("create table " + table + " (" + column_definitions(read_.columns) + ")");
        engine::RowAppender rows = database.append_rows(table);
        std::int64_t count = 0;
        try {
            count = reader.read(range, rows);
        } catch (const Failure& failure) {
            throw Failure(
                failure.error_class(),
                "chunk " + std::to_string(chunk + 1) + " of " + std::to_string(count_) + ", " +
                    failure.what()
            );
        }
        rows.close();
        database.execute(
            "copy " + table + " to " + engine::literal(files_.begin(chunk).string()) +
            " (format parquet)"
        );
        database.execute("drop table " + table);
        finish(chunk, count);
        fault_point("extract_chunk_done");
    }
    void finish(std::size_t chunk, std::int64_t rows) {
        const std::lock_guard lock(mutex_);
        files_.finish(chunk, rows);
        std::int64_t all = 0;
        for (const auto& [number, file] : files_.done()) all += file.rows;
        const std::size_t done = files_.done().size();
        progress_.call(
            "reading, " + std::to_string(done) + " of " + std::to_string(count_) + " chunks"
        );
        progress_.reach(all, -1, static_cast<double>(done) / static_cast<double>(count_));
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const ChunkedRead& read_;
    std::vector<std::size_t> missing_;
    std::size_t count_{0};

    std::mutex mutex_;  // guards all below
    ChunkFiles& files_;
    lake::Progress progress_;
    std::size_t next_{0};
    std::vector<std::shared_ptr<RangeReader>> readers_;
    std::exception_ptr failure_;
};

}  // namespace

std::optional<ChunkOptions> chunk_options(const Request& request) {
    if (!request.from.contains("chunk")) return std::nullopt;
    const nlohmann::json& written = request.from["chunk"];
    ChunkOptions options;
    options.rows = written.value("rows", options.rows);
    options.parallel = written.value("parallel", options.parallel);
    if (!request.dataset.key.empty()) options.column = request.dataset.key.front();
    options.column = written.value("column", options.column);
    return options;
}

std::string condition_of(
    const ChunkRange& range,
    const std::string& column,
    const std::function<std::string(const std::string&)>& literal
) {
    std::string condition;
    if (range.from) condition = column + " >= " + literal(*range.from);
    if (range.to)
        condition += (condition.empty() ? "" : " and ") + column + " < " + literal(*range.to);
    if (range.from || !range.to) return condition;
    return "(" + condition + " or " + column + " is null)";
}

std::string column_definitions(const std::vector<engine::ColumnInfo>& columns) {
    std::string list;
    for (const auto& [name, type] : columns)
        list += (list.empty() ? "" : ", ") + quote(name) + " " + type;
    return list;
}

Extracted read_chunks(
    task::TaskContext& context, engine::Database& database, const ChunkedRead& read
) {
    const auto files = std::make_shared<ChunkFiles>(context, read.key);
    if (files->found()) {
        context.info(
            "goes on with " + std::to_string(files->done().size()) + " of " +
            std::to_string(files->found()->size() + 1) + " chunks of the attempt before"
        );
    } else {
        files->plan(read.bounds());
    }
    ChunkRun(context, database, read, *files).run();
    Extracted extracted;
    std::vector<std::string> paths;
    for (const auto& [chunk, file] : files->done()) {
        paths.push_back(file.path.string());
        extracted.rows_in += file.rows;
    }
    std::string select;
    for (const auto& [name, type] : read.columns)
        select += (select.empty() ? "" : ", ") + quote(name) + "::" + type + " as " + quote(name);
    extracted.query = "select " + select + " from read_parquet(" + engine::literal_list(paths) +
                      ", hive_partitioning = false)";
    extracted.written = [files] { files->remove(); };
    return extracted;
}

}  // namespace sluice::extract
