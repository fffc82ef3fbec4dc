#include "operators/validate/side.hpp"

#include <nlohmann/json.hpp>

#include "operators/binding/physical.hpp"
#include "operators/validate/row_check.hpp"

namespace sluice::validate {

namespace {

class LakeSide final : public Side {
public:
    LakeSide(binding::RunInputs& inputs, std::string from, std::vector<std::string> columns)
        : inputs_(inputs),
          from_("(" + std::move(from) + ") as rows_"),
          columns_(std::move(columns)) {}

    [[nodiscard]] engine::Dialect dialect() const override { return engine::Dialect::duckdb; }
    [[nodiscard]] std::string from() const override { return from_; }
    /// A data set of the lake is read by the run's partition already.
    [[nodiscard]] std::string from_interval() const override { return from_; }
    [[nodiscard]] std::vector<std::string> columns() override { return columns_; }
    Answer ask(const std::string& sql) override {
        Answer out;
        for (const auto& row : inputs_.database().query(sql).rows) {
            auto& line = out.emplace_back();
            for (const engine::Value& cell : row)
                line.push_back(
                    engine::is_null(cell) ? std::nullopt : std::optional(engine::to_text(cell))
                );
        }
        return out;
    }
    std::string beside(const std::string& dataset) override {
        return "(" + inputs_.open(nlohmann::json(dataset)).sql + ")";
    }

private:
    binding::RunInputs& inputs_;
    std::string from_;
    std::vector<std::string> columns_;
};

class WarehouseSide final : public Side {
public:
    WarehouseSide(task::TaskContext& context, connect::Postgres& postgres, std::string dataset)
        : context_(context), postgres_(postgres), dataset_(std::move(dataset)) {}

    [[nodiscard]] engine::Dialect dialect() const override { return engine::Dialect::postgres; }
    [[nodiscard]] std::string from() const override {
        return binding::physical_name(context_, dataset_);
    }
    [[nodiscard]] std::string from_interval() const override {
        return "(select * from " + from() +
               " where _sluice_interval = " + engine::literal(lake::writer_slice(context_.info())) +
               ") as rows_";
    }
    [[nodiscard]] std::vector<std::string> columns() override {
        const std::string schema = binding::tier_of(dataset_);
        const auto rows = postgres_.query(
            "select column_name::text from information_schema.columns where table_schema = $1 and "
            "table_name = $2 order by ordinal_position",
            {context_.physical_schema(schema), dataset_.substr(schema.size() + 1)}
        );
        std::vector<std::string> out;
        for (const auto& row : rows.rows)
            if (!engine::is_provenance(row.front().value_or(""))) out.push_back(*row.front());
        return out;
    }
    Answer ask(const std::string& sql) override { return postgres_.query(sql).rows; }
    std::string beside(const std::string& dataset) override {
        if (binding::in_lake(dataset) || context_.schema_connection(binding::tier_of(dataset)) !=
                                             context_.schema_connection(binding::tier_of(dataset_)))
            throw Error(
                ErrorCode::invalid,
                dataset_ + " and " + dataset +
                    " are in different places: a foreign key needs both in one"
            );
        return binding::physical_name(context_, dataset);
    }

private:
    task::TaskContext& context_;
    connect::Postgres& postgres_;
    std::string dataset_;
};

}  // namespace

std::int64_t Side::count(const std::string& sql) {
    const Answer answer = ask(sql);
    if (answer.empty() || !answer.front().front()) return 0;
    return std::stoll(*answer.front().front());
}

connect::Postgres& Sides::warehouse(const std::string& conn_id) {
    auto& held = warehouses_[conn_id];
    if (!held) {
        held = connect::open_postgres(context_, conn_id, "sluice:validate");
        held->execute("set timezone to " + engine::literal(context_.info().timezone));
    }
    return *held;
}

std::unique_ptr<Side> Sides::open(const std::string& dataset) {
    if (!binding::in_lake(dataset)) {
        const auto conn_id = context_.schema_connection(binding::tier_of(dataset));
        if (!conn_id)
            throw Error(ErrorCode::invalid, dataset + ": its schema does not stand in `schemas`");
        return std::make_unique<WarehouseSide>(context_, warehouse(*conn_id), dataset);
    }
    const binding::Relation relation = inputs_.open(nlohmann::json(dataset));
    // Checks see columns in their declared types, also where raw keeps them as text.
    return std::make_unique<LakeSide>(
        inputs_, typed_sql(relation), binding::names(relation.columns)
    );
}

binding::Columns Sides::columns(const std::string& dataset) const {
    try {
        return context_.dataset(dataset).columns;
    } catch (const Error&) {
        return {};
    }
}

std::unique_ptr<Side> Sides::rows(const std::string& sql, std::vector<std::string> columns) {
    return std::make_unique<LakeSide>(inputs_, sql, std::move(columns));
}

}  // namespace sluice::validate
