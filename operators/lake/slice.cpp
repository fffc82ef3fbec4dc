#include "operators/lake/slice.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "base/hash.hpp"
#include "operators/engine/constant.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/generation_file.hpp"
#include "operators/lake/storage.hpp"

namespace sluice::lake {

using engine::ColumnInfo;
using engine::quote;

std::string writer_slice(const task::TaskInfo& info) {
    std::string slice = "run:" + info.run_id;
    if (info.data_interval) {
        slice =
            format_offset(info.data_interval->start) + "/" + format_offset(info.data_interval->end);
    }
    if (info.map_index >= 0) slice += "#" + std::to_string(info.map_index);
    return slice;
}

std::pair<std::string, std::string> own_slice(
    task::TaskContext& context, const std::string& dataset
) {
    std::string partition = context.partition(dataset);
    // A partition belongs to one interval, so its writer replaces it whole.
    const bool whole = !partition.empty() && context.info().map_index < 0;
    return {std::move(partition), whole ? "" : writer_slice(context.info())};
}

std::string writer_name(const task::TaskInfo& info) { return info.dag_id + "." + info.task_id; }

std::vector<ColumnInfo> declared_columns(const DatasetSpec& dataset) {
    std::vector<ColumnInfo> columns;
    for (const ColumnSpec& column : dataset.columns) {
        columns.push_back({column.name, engine::type_name(engine::Dialect::duckdb, column.type)});
    }
    return columns;
}

namespace {

std::string empty_relation(const task::TaskContext& context, const std::string& dataset) {
    std::string select;
    for (const ColumnInfo& column : declared_columns(context.dataset(dataset))) {
        if (!select.empty()) select += ", ";
        select += "null::" + column.type + " as " + quote(column.name);
    }
    for (const std::string_view column : engine::provenance_columns) {
        if (!select.empty()) select += ", ";
        const bool time = column == "_sluice_loaded_at";
        select += std::string("null::") + (time ? "TIMESTAMP WITH TIME ZONE" : "VARCHAR") + " as " +
                  quote(column);
    }
    return "(select " + select + " where false)";
}

}  // namespace

Source read(task::TaskContext& context, engine::Database& database, const task::InputQuery& query) {
    Source source;
    source.slices = context.inputs(query);
    std::vector<std::string> files;
    for (const task::InputSlice& slice : source.slices) {
        source.rows += slice.rows;
        files.insert(files.end(), slice.files.begin(), slice.files.end());
    }
    // They stay open until the attempt ends: nobody knows when the relation is read.
    source.relation = files.empty() ? empty_relation(context, query.dataset)
                                    : parquet_relation(open_storage(context)->open(files));
    source.columns = database.describe("select * from " + source.relation);
    return source;
}

task::InputQuery query_of(const nlohmann::json& dataset) {
    task::InputQuery query;
    if (dataset.is_string()) {
        query.dataset = dataset.get<std::string>();
        return query;
    }
    query.dataset = dataset.at("dataset").get<std::string>();
    const std::string partitions = dataset.value("partitions", "interval");
    if (partitions == "latest") query.partitions = task::InputQuery::Partitions::latest;
    if (partitions == "all") query.partitions = task::InputQuery::Partitions::all;
    if (dataset.contains("lookback")) {
        query.lookback = parse_duration(dataset["lookback"].get<std::string>());
    }
    return query;
}

std::string inputs_json(const std::vector<task::InputSlice>& slices, const std::string& read) {
    nlohmann::json list = nlohmann::json::array();
    if (!read.empty()) list.push_back({{"read", nlohmann::json::parse(read)}});
    for (const task::InputSlice& slice : slices) {
        list.push_back(
            {{"dataset", slice.dataset},
             {"partition", slice.partition},
             {"slice", slice.slice},
             {"generation", slice.generation}}
        );
    }
    return list.dump();
}

namespace {

/// What the rows are wrapped in: kept columns, then provenance. Hashes made here go into the sum.
std::string provenance_query(
    const task::TaskInfo& info,
    const WriteRequest& request,
    const std::vector<ColumnInfo>& given,
    const engine::ContentSum& sum
) {
    std::vector<ColumnInfo> hashed;
    std::string select;
    bool has_source = false;
    bool has_hash = false;
    for (const ColumnInfo& column : given) {
        has_source = has_source || column.name == "_sluice_source";
        has_hash = has_hash || column.name == "_sluice_row_hash";
        if (engine::is_provenance(column.name)) continue;
        if (!select.empty()) select += ", ";
        // Parquet has no 128-bit integers, and would keep them as floats.
        const bool huge = column.type == "HUGEINT" || column.type == "UHUGEINT";
        select += huge ? quote(column.name) + "::decimal(38,0) as " + quote(column.name)
                       : quote(column.name);
        const auto& wanted = request.hash_columns;
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), column.name) != wanted.end())
            hashed.push_back(column);
    }
    std::string sources;
    for (const task::InputSlice& slice : request.inputs) {
        const std::string name = slice.dataset;
        if (sources.find(name) == std::string::npos) sources += (sources.empty() ? "" : ",") + name;
    }
    const std::string loaded_at =
        info.logical_date ? engine::literal(format_offset(*info.logical_date)) + "::timestamptz"
                          : "null::timestamptz";
    return "select " + select + ", " + engine::constant_text(info.run_id) + " as _sluice_run_id, " +
           engine::constant_text(writer_name(info)) + " as _sluice_task, " +
           engine::constant_text(writer_slice(info)) + " as _sluice_interval, " +
           (has_source ? "_sluice_source" : engine::constant_text(sources) + " as _sluice_source") +
           ", " + (has_hash ? "_sluice_row_hash" : sum.row_hash(hashed) + " as _sluice_row_hash") +
           ", " + loaded_at + " as _sluice_loaded_at from (" + request.query + ") as rows_";
}

std::int64_t rows_of(const std::vector<task::InputSlice>& inputs) {
    std::int64_t rows = 0;
    for (const task::InputSlice& slice : inputs) rows += slice.rows;
    return rows;
}

}  // namespace

namespace {

Written write_slice(
    task::TaskContext& context, engine::Database& database, const WriteRequest& request
) {
    const auto [partition, slice] = own_slice(context, request.dataset);
    const task::OutputClaim claim = context.claim_output(request.dataset, partition, slice);
    const std::vector<ColumnInfo> given = database.describe(request.query);
    if (engine::user_columns(given).empty()) {
        engine::bad_schema(request.dataset + " would have no columns");
    }
    const auto storage = open_storage(context);
    GenerationFile file(*storage, claim.folder);
    const GenerationFile::Watched watched{
        context, "writing " + request.dataset, request.inputs.empty() ? -1 : rows_of(request.inputs)
    };
    const engine::ContentSum sum;
    const Written written = file.write(
        database,
        provenance_query(context.info(), request, given, sum),
        request.tells_progress ? &watched : nullptr,
        &sum
    );
    fault_point("lake_after_write");

    OutputCommit output;
    output.dataset = request.dataset;
    output.partition = partition;
    output.slice = slice;
    output.generation = claim.generation;
    output.rows = written.rows;
    output.bytes = written.bytes;
    output.content_hash = written.content_hash;
    output.files = file.listed(written);
    output.input = inputs_json(request.inputs, request.read);
    output.code_hash = sha256_hex(request.code);
    context.commit_output(output);
    file.keep();
    return written;
}

}  // namespace

Written write(task::TaskContext& context, engine::Database& database, const WriteRequest& request) {
    try {
        return write_slice(context, database, request);
    } catch (const engine::Failure& failure) {
        const std::string what = failure.what();
        if (what.find(request.dataset) != std::string::npos) throw;
        throw engine::Failure(failure.error_class(), request.dataset + ": " + what);
    }
}

}  // namespace sluice::lake
