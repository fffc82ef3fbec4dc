// Slices of the lake compared: files of Parquet, before and after.
#include <algorithm>

#include "operators/engine/database.hpp"
#include "operators/engine/sql.hpp"
#include "operators/plan/difference.hpp"

namespace sluice::plan {

namespace {

std::string relation_of(const std::vector<std::string>& files) {
    if (files.empty()) return "";
    return "read_parquet(" + engine::literal_list(files) +
           ", union_by_name = true, hive_partitioning = false)";
}

std::vector<engine::ColumnInfo> columns_of(
    engine::Database& database, const std::string& relation
) {
    return engine::user_columns(database.describe("select * from " + relation));
}

}  // namespace

Difference compare_files(
    const Files& files, const DatasetSpec& dataset, const std::string& scratch
) {
    engine::Database database(
        {.memory_bytes = std::int64_t{1} << 30,
         .threads = 2,
         .temp_directory = scratch,
         .timezone = "UTC"}
    );
    Compared compared;
    compared.ask = [&database](const std::string& sql) {
        std::vector<Line> lines;
        for (const auto& row : database.query(sql).rows) {
            Line& line = lines.emplace_back();
            for (const engine::Value& value : row)
                line.push_back(
                    engine::is_null(value) ? std::nullopt : std::optional(engine::to_text(value))
                );
        }
        return lines;
    };
    compared.execute = [&database](const std::string& sql) { database.execute(sql); };
    compared.before = relation_of(files.before);
    compared.after = relation_of(files.after);
    if (compared.after.empty()) std::swap(compared.before, compared.after);
    const bool gone = files.after.empty() && !files.before.empty();
    if (compared.after.empty()) return {};
    Difference out;
    const auto now = columns_of(database, compared.after);
    const auto then = compared.before.empty() ? now : columns_of(database, compared.before);
    std::vector<std::string> texts;
    for (const engine::ColumnInfo& column : now)
        if (column.type == "VARCHAR") texts.push_back(column.name);
    const auto tokens = token_columns(compared.ask, compared.after, texts);
    std::vector<std::string> notes;
    for (const engine::ColumnInfo& column : now) {
        const auto known = std::ranges::find(then, column.name, &engine::ColumnInfo::name);
        if (known == then.end()) {
            notes.push_back("new column " + column.name);
        } else if (std::ranges::find(tokens, column.name) != tokens.end()) {
            notes.push_back("tokens are not compared: " + column.name);
        } else {
            const std::string name = engine::quote(column.name);
            compared.columns.push_back(column.name);
            compared.comparable.push_back(
                known->type == column.type ? name : "cast(" + name + " as varchar)"
            );
        }
    }
    for (const std::string& column : dataset.key)
        if (std::ranges::find(compared.columns, column) != compared.columns.end())
            compared.key.push_back(column);
    out = difference_of(compared, dataset);
    out.notes = std::move(notes);
    if (gone) {
        std::swap(out.before, out.after);
        std::swap(out.added, out.removed);
        for (std::string& line : out.samples) line[0] = line[0] == '+' ? '-' : line[0];
    }
    return out;
}

}  // namespace sluice::plan
