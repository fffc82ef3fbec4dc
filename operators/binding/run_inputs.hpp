// run_inputs.hpp — inputs of a run: data sets of the lake as relations of the engine, with the
// slices that were read, for the ledger.
#pragma once

#include "operators/binding/inputs.hpp"
#include "operators/lake/slice.hpp"

namespace sluice::binding {

class RunInputs final : public Inputs {
public:
    RunInputs(task::TaskContext& context, engine::Database& database)
        : context_(context), database_(database) {}

    Relation open(const nlohmann::json& dataset) override;
    void open_names(const std::vector<std::string>& all) override;
    void open_as(const std::string& alias, const nlohmann::json& dataset) override;
    [[nodiscard]] Columns columns_of(const std::string& name) override;
    engine::Database& database() override { return database_; }

    [[nodiscard]] const std::vector<task::InputSlice>& slices() const { return slices_; }
    [[nodiscard]] std::int64_t rows() const override { return rows_; }

private:
    task::TaskContext& context_;
    engine::Database& database_;
    std::vector<task::InputSlice> slices_;
    std::set<std::string> seen_;
    std::map<std::string, Columns> columns_;
    std::int64_t rows_{0};
};

}  // namespace sluice::binding
