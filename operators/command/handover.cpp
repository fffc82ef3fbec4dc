#include "operators/command/handover.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "operators/binding/cast.hpp"
#include "operators/binding/columns.hpp"
#include "operators/connect/file_place.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/source.hpp"
#include "operators/lake/slice.hpp"
#include "operators/lake/storage.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using Json = nlohmann::json;
using engine::quote;
namespace fs = std::filesystem;

std::vector<std::string> of_lake(const std::vector<std::string>& names) {
    std::vector<std::string> out;
    std::ranges::copy_if(names, std::back_inserter(out), [](const std::string& name) {
        return binding::in_lake(name);
    });
    return out;
}

Json told_columns(const DatasetSpec& dataset) {
    Json out = Json::array();
    for (const ColumnSpec& column : dataset.columns)
        out.push_back(
            {{"name", column.name},
             {"type", column.type},
             {"class", column.pii_class.empty() ? Json() : Json(column.pii_class)}}
        );
    return out;
}

}  // namespace

struct Handover::State {
    task::TaskContext& context;
    std::unique_ptr<lake::Storage> storage{};
    std::vector<task::InputSlice> inputs{};
    Json inlets = Json::object();
    std::vector<std::string> outlets{};
    std::string folder{};

    void open(const std::string& inlet) {
        const auto slices = context.inputs({.dataset = inlet});
        Json told{
            {"files", Json::array()}, {"rows", 0}, {"columns", told_columns(context.dataset(inlet))}
        };
        std::vector<std::string> files;
        std::int64_t rows = 0;
        for (const task::InputSlice& slice : slices) {
            rows += slice.rows;
            files.insert(files.end(), slice.files.begin(), slice.files.end());
        }
        if (!files.empty()) {
            if (!storage) storage = lake::open_storage(context);
            told["files"] = storage->open(files);
        }
        told["rows"] = rows;
        inlets[inlet] = std::move(told);
        inputs.insert(inputs.end(), slices.begin(), slices.end());
    }

    /// Throws if something lies where no outlet is: it would be lost without a word.
    void check_places() const {
        for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
            const std::string name = entry.path().filename().string();
            if (entry.is_directory() && std::ranges::count(outlets, name) != 0) continue;
            std::string known;
            for (const std::string& outlet : outlets)
                known += (known.empty() ? "" : ", ") + ("$SLUICE_OUT/" + outlet + "/");
            throw engine::Failure(
                ErrorClass::permanent,
                "the command wrote $SLUICE_OUT/" + name +
                    ", which is no data set of its outlets: files go under " + known
            );
        }
    }
    void take(const std::string& outlet, const std::string& code);
    std::string rows_of(
        engine::Database& database, const extract::Extracted& extracted, const DatasetSpec& dataset
    ) const;
};

namespace {

/// The format of what was written, by the names; one for all.
Json from_of(const std::string& outlet, const std::vector<connect::PlacedFile>& files) {
    Json from{{"path", "**/*"}, {"conn_id", "$SLUICE_OUT/" + outlet}};
    const std::set<std::string> packed{".gz", ".zst", ".zip"};
    const std::set<std::string> known{
        ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet"
    };
    for (const connect::PlacedFile& file : files) {
        fs::path name = file.path.filename();
        if (packed.contains(name.extension().string())) name = name.stem();
        const std::string ending = name.extension().string();
        if (!known.contains(ending))
            throw engine::Failure(
                ErrorClass::permanent,
                "$SLUICE_OUT/" + outlet + "/" + file.name +
                    ": what is taken ends in .csv, .tsv, .json, .jsonl or .parquet, and may be "
                    "packed (.gz, .zst, .zip)"
            );
        if (ending == ".tsv") from["delimiter"] = "\t";
    }
    return from;
}

/// Nothing that cannot be read is left out.
void check_all_read(engine::Database& database, const extract::Extracted& extracted) {
    if (!extracted.has_rejects) return;
    const auto rejected = database.integer("select count(*) from sluice_rejects");
    if (rejected == 0) return;
    engine::bad_data(
        std::to_string(rejected) + " records cannot be read, the first is " +
        database.text("select _sluice_source || coalesce(':' || line_no, '') || ': ' || reason "
                      "from sluice_rejects order by _sluice_source, line_no limit 1")
    );
}

void check_names(const std::vector<engine::ColumnInfo>& found) {
    std::vector<std::string> reserved;
    for (const engine::ColumnInfo& column : found)
        if (engine::is_provenance(column.name)) reserved.push_back(column.name);
    if (!reserved.empty())
        engine::bad_schema(
            "it has names that are Sluice's own, leave them out: " + engine::quoted_list(reserved)
        );
}

/// Parquet files with such a name could not even be read: it is ours there too.
void check_parquet(engine::Database& database, const std::vector<connect::PlacedFile>& files) {
    std::vector<std::string> paths;
    for (const connect::PlacedFile& file : files) {
        if (file.path.extension() != ".parquet") return;
        paths.push_back(file.path.string());
    }
    check_names(database.describe(
        "select * from read_parquet(" + engine::literal_list(paths) +
        ", union_by_name = true, hive_partitioning = false)"
    ));
}

/// Throws if the columns are not those that are declared.
void check_columns(const std::vector<engine::ColumnInfo>& found, const DatasetSpec& dataset) {
    std::vector<std::string> extra;
    std::vector<std::string> missing;
    const auto has = [&](const ColumnSpec& column) {
        return std::ranges::find(found, column.name, &engine::ColumnInfo::name) != found.end();
    };
    for (const engine::ColumnInfo& column : found) {
        if (std::ranges::find(dataset.columns, column.name, &ColumnSpec::name) ==
            dataset.columns.end())
            extra.push_back(column.name);
    }
    check_names(found);
    if (!dataset.declared) return;
    for (const ColumnSpec& column : dataset.columns)
        if (!has(column)) missing.push_back(column.name);
    if (!missing.empty())
        engine::bad_schema("declared columns are missing: " + engine::quoted_list(missing));
    if (!extra.empty())
        engine::bad_schema("columns are not declared: " + engine::quoted_list(extra));
}

}  // namespace

/// Raw data keeps its text; elsewhere a column has its declared type, or the task fails.
std::string Handover::State::rows_of(
    engine::Database& database, const extract::Extracted& extracted, const DatasetSpec& dataset
) const {
    auto found = database.describe(extracted.query);
    std::erase_if(found, [](const auto& column) { return column.name == "_sluice_source"; });
    check_columns(found, dataset);
    const bool typed = dataset.declared && binding::tier_of(dataset.name) != "raw";
    std::string select;
    std::string bad;  // per column: values that are not of its type, or not there
    for (const engine::ColumnInfo& column : found) {
        std::string value = quote(column.name);
        const ColumnSpec* spec = typed ? binding::find(dataset.columns, column.name) : nullptr;
        if (spec != nullptr) {
            const binding::CastTarget target{spec->type, spec->parse};
            value = binding::cast_sql(quote(column.name), column.type, target);
            const std::string there =
                spec->not_null ? "true"
                               : binding::present_sql(quote(column.name), column.type, target);
            bad += (bad.empty() ? "" : ", ") + ("count(*) filter (where (" + there + ") and (" +
                                                value + ") is null) as " + quote(column.name));
            value = "(" + value + ") as " + quote(column.name);
        }
        select += (select.empty() ? "" : ", ") + value;
    }
    if (!bad.empty()) {
        const auto counted = database.query("select " + bad + " from (" + extracted.query + ")");
        for (std::size_t i = 0; i < counted.columns.size(); ++i)
            if (const std::string count = engine::to_text(counted.rows.at(0).at(i)); count != "0")
                engine::bad_data(
                    "column " + counted.columns[i].name + ": " + count + " values are no " +
                    binding::find(dataset.columns, counted.columns[i].name)->type
                );
    }
    // What was read says where rows are from; without it the file does.
    if (inputs.empty()) select += ", _sluice_source";
    return "select " + select + " from (" + extracted.query + ")";
}

void Handover::State::take(const std::string& outlet, const std::string& code) {
    const task::Connection place{
        .id = "$SLUICE_OUT/" + outlet,
        .type = "fs",
        .host = {},
        .login = {},
        .password = {},
        .schema = {},
        .extra = Json{{"path", folder + "/" + outlet}}.dump()
    };
    const auto files = std::make_shared<connect::FilePlace>(context, place);
    const auto found = files->find("**/*");
    if (found.empty()) {
        context.info(outlet + ": nothing was written to it, it stays as it was");
        return;
    }
    const auto database = engine::open_database(context);
    extract::Request request;
    request.from = from_of(outlet, found);
    request.dataset = context.dataset(outlet);
    request.timezone = context.info().timezone;
    if (!request.dataset.declared) request.dataset.columns.clear();
    try {
        check_parquet(*database, found);
        const auto extracted = extract::read_files(context, *database, request, files);
        check_all_read(*database, extracted);
        lake::WriteRequest write;
        write.dataset = outlet;
        write.query = rows_of(*database, extracted, request.dataset);
        write.inputs = inputs;
        write.code = code;
        const lake::Written written = lake::write(context, *database, write);
        check_all_read(*database, extracted);
        if (extracted.check) extracted.check();
        context.info(
            outlet + ": " + std::to_string(written.rows) + " rows of " +
            std::to_string(extracted.files) + " files"
        );
    } catch (const engine::Failure& failure) {
        const std::string what = failure.what();
        const bool named = what.find(outlet) != std::string::npos;
        throw engine::Failure(
            failure.error_class(), named ? what : "$SLUICE_OUT/" + outlet + ": " + what
        );
    }
}

Handover::Handover(task::TaskContext& context) : state_(new State{context}) {
    for (const std::string& inlet : of_lake(context.job().inlets)) state_->open(inlet);
    state_->outlets = of_lake(context.job().outlets);
    if (state_->outlets.empty()) return;
    state_->folder = context.scratch() + "/out";
    for (const std::string& outlet : state_->outlets)
        fs::create_directories(fs::path(state_->folder) / outlet);
}

Handover::~Handover() = default;

void Handover::describe(Json& facts) const {
    facts["inlets"] = state_->inlets;
    facts["outlets"] = Json::object();
    for (const std::string& outlet : state_->outlets)
        facts["outlets"][outlet] = {
            {"folder", state_->folder + "/" + outlet},
            {"columns", told_columns(state_->context.dataset(outlet))}
        };
}

const std::string& Handover::folder() const { return state_->folder; }

void Handover::take(const std::string& code) {
    if (state_->outlets.empty()) return;
    state_->check_places();
    for (const std::string& outlet : state_->outlets) state_->take(outlet, code);
}

}  // namespace sluice::ops
