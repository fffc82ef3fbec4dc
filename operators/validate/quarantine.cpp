#include "operators/validate/quarantine.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/binding/columns.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/slice.hpp"
#include "operators/validate/row_check.hpp"

namespace sluice::validate {

using engine::quote;

namespace {

constexpr const char* released_by = "_released_by";

/// A column that both the rows of now and the quarantine of before have.
struct Shared {
    std::string name;
    std::size_t place = 0;  // among the columns of the input
};

std::vector<Shared> shared_columns(
    const binding::Relation& input, const std::vector<engine::ColumnInfo>& before
) {
    std::vector<Shared> out;
    for (std::size_t i = 0; i < input.columns.size(); ++i) {
        const std::string& name = input.columns[i].name;
        if (std::ranges::find(before, name, &engine::ColumnInfo::name) == before.end()) continue;
        out.push_back({name, i});
    }
    return out;
}

/// Which row it is, by its values as text: types of files may differ from day to day.
std::string identity(const std::vector<Shared>& columns) {
    std::vector<engine::ColumnInfo> texts;
    for (const Shared& column : columns) texts.push_back({column.name, "VARCHAR"});
    return engine::row_hash(texts);
}

std::string as_texts(const std::vector<Shared>& columns) {
    std::string out;
    for (const Shared& column : columns)
        out += (out.empty() ? "cast(" : ", cast(") + quote(column.name) + " as varchar) as " +
               quote(column.name);
    return out;
}

class Traces {
public:
    Traces(engine::Database& database, std::vector<Shared> columns)
        : database_(database), columns_(std::move(columns)) {}

    /// `_before`: what the quarantine has now, `h_` telling the rows apart.
    void take_before(const std::string& relation, const std::string& where) {
        database_.execute(
            "create or replace temp table _before as select *, " + identity(columns_) +
            " as h_ from (select " + as_texts(columns_) + ", _reasons from " + relation + where +
            ")"
        );
    }

    /// `_released`: held before, not held now, and among the rows that pass.
    std::int64_t find_released() {
        std::string renamed;
        for (const Shared& column : columns_)
            renamed += (renamed.empty() ? "cast(" : ", cast(") + quote(raw_column(column.place)) +
                       " as varchar) as " + quote(column.name);
        database_.execute(
            "create or replace temp table _gone as select b.* exclude (k_) from (select *, "
            "row_number() over (partition by h_) as k_ from _before) b where not exists (select 1 "
            "from (select h_, row_number() over (partition "
            "by h_) as k_ from (select " +
            identity(columns_) + " as h_ from (select " + as_texts(columns_) +
            " from _held))) n where n.h_ = b.h_ and n.k_ = b.k_)"
        );
        if (database_.integer("select count(*) from _gone") == 0) return 0;
        database_.execute(
            "create or replace temp table _released as select * from _gone where h_ in (select " +
            identity(columns_) + " from (select " + renamed +
            " from _checked where _n not in (select n from _aside)))"
        );
        return database_.integer("select count(*) from _released");
    }

    /// The traces that this run adds.
    [[nodiscard]] std::string added(const std::string& by) const {
        return "select " + as_texts(columns_) + ", _reasons, " + by + " as " + released_by +
               " from _released";
    }

private:
    engine::Database& database_;
    std::vector<Shared> columns_;
};

}  // namespace

std::string quarantine_name(const nlohmann::json& params, const std::string& from) {
    return params.value("quarantine", from + "_quarantine");
}

DatasetSpec quarantine_of(const std::string& name, const DatasetSpec& from) {
    DatasetSpec out;
    out.name = name;
    out.partition = from.partition;
    out.columns = binding::with_origins(from);
    for (ColumnSpec& column : out.columns) {  // rows as they came: nothing is promised of them
        column.type = "varchar";
        column.not_null = false;
        column.parse.clear();
    }
    ColumnSpec reasons;
    reasons.name = "_reasons";
    reasons.type = "varchar[]";
    out.columns.push_back(std::move(reasons));
    return out;
}

std::string released_name(const std::string& quarantine) { return quarantine + "_released"; }

namespace {

/// A partition may have slices of other writers: theirs are not ours.
std::string own_rows(task::TaskContext& context, const std::string& dataset) {
    const auto [partition, slice] = lake::own_slice(context, dataset);
    return slice.empty() ? "" : " where _sluice_interval = " + engine::literal(slice);
}

/// The columns of earlier traces, as texts; "" = there are none.
std::string earlier_traces(
    task::TaskContext& context, engine::Database& database, const std::string& dataset
) {
    const task::InputQuery query = lake::query_of(nlohmann::json(dataset));
    if (context.inputs(query).empty()) return "";
    const lake::Source source = lake::read(context, database, query);
    std::string columns;
    for (const engine::ColumnInfo& column : engine::user_columns(source.columns))
        columns += (columns.empty() ? "" : ", ") + quote(column.name);
    return "select " + columns + " from " + source.relation + own_rows(context, dataset);
}

}  // namespace

Traced traces_of(
    task::TaskContext& context,
    engine::Database& database,
    const std::string& quarantine,
    const binding::Relation& input,
    const std::string& held
) {
    Traced out;
    const task::InputQuery query = lake::query_of(nlohmann::json(quarantine));
    if (context.inputs(query).empty()) return out;
    const lake::Source before = lake::read(context, database, query);
    std::vector<Shared> columns = shared_columns(input, before.columns);
    const bool has_reasons =
        std::ranges::find(before.columns, "_reasons", &engine::ColumnInfo::name) !=
        before.columns.end();
    if (columns.empty() || !has_reasons) return out;
    database.execute("create or replace temp table _held as " + held);
    Traces traces(database, std::move(columns));
    traces.take_before(before.relation, own_rows(context, quarantine));
    out.released = traces.find_released();
    if (out.released == 0) return out;
    const task::TaskInfo& info = context.info();
    out.query = traces.added(engine::literal(info.run_id + "#" + std::to_string(info.try_number)));
    const std::string earlier = earlier_traces(context, database, released_name(quarantine));
    if (!earlier.empty()) out.query = earlier + " union all by name " + out.query;
    return out;
}

}  // namespace sluice::validate
