// check_inputs.hpp — inputs at load: every data set is an empty table. Notes what was read.
#pragma once

#include "operators/binding/binder.hpp"
#include "operators/binding/inputs.hpp"
#include "task/operator.hpp"

namespace sluice::binding {

class CheckInputs final : public Inputs {
public:
    explicit CheckInputs(const task::CheckInput& input);
    Relation open(const nlohmann::json& dataset) override;
    void open_names(const std::vector<std::string>& names) override;
    void open_as(const std::string& alias, const nlohmann::json& dataset) override;
    [[nodiscard]] Columns columns_of(const std::string& name) override;
    engine::Database& database() override { return binder_.database(); }

    [[nodiscard]] std::vector<std::string> reads() const { return {reads_.begin(), reads_.end()}; }
    /// The data set, noted as read. Throws Error(not_found).
    const DatasetSpec& dataset(const std::string& name);

private:
    const task::CheckInput& input_;
    Binder binder_;
    std::set<std::string> reads_;
    std::map<std::string, std::string> aliases_;
};

}  // namespace sluice::binding
